"""All proxy modes lead to the same places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.checks.endpoints import service_ports, words
from fakecluster.checks.finding import WARNING, Finding
from fakecluster.checks.probes import probes_of, with_probes
from fakecluster.checks.services import FAILURES, outcomes_of

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

JsonObject = dict[str, Any]

#: The modes that are compared with the cluster's own (userspace has been gone since Kubernetes 1.26).
COMPARED = ("iptables", "nftables", "ipvs")


@attrs.frozen
class KnownDifference:
    """Where one mode leads elsewhere by design: `applies` to a Service's spec."""

    mode: str
    words: str
    applies: Callable[[JsonObject], bool]


def _is_internal_local(spec: JsonObject) -> bool:
    return spec.get("internalTrafficPolicy") == "Local"


def _knows_all_endpoints(spec: JsonObject) -> bool:
    return spec["type"] in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))


#: Source of the first: pkg/proxy/ipvs/proxier.go syncEndpoint; of the second: the proxier of Kubernetes 1.25.
KNOWN_DIFFERENCES = (
    KnownDifference(
        "ipvs",
        "ipvs mode uses all endpoints where internalTrafficPolicy Local finds none on the node",
        lambda spec: _is_internal_local(spec) and _knows_all_endpoints(spec),
    ),
    KnownDifference("userspace", "userspace mode knows no internalTrafficPolicy", _is_internal_local),
)


def modes_agree(cluster: Cluster, compared: Iterable[str] = COMPARED) -> Iterator[Finding]:
    """From a Pod on every node, each Service port has the same destinations in every mode.

    With session affinity, a mode in which endpoints take turns has one destination: it must be one of the others'.
    `KNOWN_DIFFERENCES` are warnings.
    """
    with_pods, _ = with_probes(cluster)
    seen = {mode: destinations(with_pods.fork(proxy=mode)) for mode in dict.fromkeys((cluster.spec.proxy, *compared))}
    specs = {words(service, port): service.object["spec"] for service, port in service_ports(cluster)}
    mine = cluster.spec.proxy
    own = seen.pop(mine)
    for mode, theirs in seen.items():
        for (node, subject), ends in own.items():
            other = theirs[node, subject]
            tied = specs[subject].get("sessionAffinity") == "ClientIP"
            if _agree(ends, other, exact=not tied):
                continue
            known = [one.words for one in KNOWN_DIFFERENCES if one.mode in (mode, mine) and one.applies(specs[subject])]
            problem = f"from a Pod on node {node}: {_words(ends)} in {mine} mode, {_words(other)} in {mode}"
            if known:
                yield Finding("modes-agree", subject, f"{problem} ({known[0]})", WARNING)
            else:
                yield Finding("modes-agree", subject, problem)


def destinations(cluster: Cluster) -> dict[tuple[str, str], frozenset[str]]:
    """(node, Service port) -> who can answer a probing Pod there."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for service, port in service_ports(cluster):
        for node, pod in probes_of(cluster).items():
            ends = outcomes_of(pod, port, (service.cluster_ip, port["port"])).destinations
            found[node, words(service, port)] = frozenset("no one" if end in FAILURES else end for end in ends)
    return found


def _agree(one: frozenset[str], other: frozenset[str], *, exact: bool) -> bool:
    return one == other if exact else one <= other or other <= one


def _words(ends: frozenset[str]) -> str:
    return ", ".join(sorted(ends)) or "nobody"
