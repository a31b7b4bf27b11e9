"""All proxy modes lead to the same places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fakecluster.checks.endpoints import service_ports, words
from fakecluster.checks.finding import Finding
from fakecluster.checks.probes import with_probes
from fakecluster.checks.services import FAILURES, RANDOM_MODES, outcomes_of

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

#: The modes that are compared with the cluster's own.
COMPARED = ("iptables", "nftables", "ipvs")


def modes_agree(cluster: Cluster) -> Iterator[Finding]:
    """From a Pod on every node, each Service port has the same destinations in every mode.

    A mode that takes turns has one next destination: it must be one of the others' possible ones.
    """
    seen: dict[str, dict[tuple[str, str], frozenset[str]]] = {}
    for mode in dict.fromkeys((cluster.spec.proxy, *COMPARED)):
        seen[mode] = destinations(cluster, mode)
    own = seen.pop(cluster.spec.proxy)
    for mode, theirs in seen.items():
        for (node, subject), ends in own.items():
            other = theirs[node, subject]
            if not _agree(ends, other, exact=mode in RANDOM_MODES and cluster.spec.proxy in RANDOM_MODES):
                problem = (
                    f"from a Pod on node {node}: {_words(ends)} in {cluster.spec.proxy} mode, {_words(other)} in {mode}"
                )
                yield Finding("modes-agree", subject, problem)


def destinations(cluster: Cluster, mode: str) -> dict[tuple[str, str], frozenset[str]]:
    """(node, Service port) -> who can answer, in one mode."""
    copy, pods = with_probes(cluster, proxy=mode)
    found: dict[tuple[str, str], frozenset[str]] = {}
    for service, port in service_ports(copy):
        for node, pod in pods.items():
            ends = outcomes_of(pod, port, (service.cluster_ip, port["port"])).destinations
            found[node, words(service, port)] = frozenset("no one" if end in FAILURES else end for end in ends)
    return found


def _agree(one: frozenset[str], other: frozenset[str], *, exact: bool) -> bool:
    return one == other if exact else one <= other or other <= one


def _words(ends: frozenset[str]) -> str:
    return ", ".join(sorted(ends)) or "nobody"
