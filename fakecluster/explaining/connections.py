"""Who answers whom, exactly, for every Service; and what of that is different in another cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import OutcomesError
from fakecluster.handles import TargetError
from fakecluster.sim import Seeded

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Host

#: Shares that differ by less are alike: iptables rounds probabilities to 31 bits.
ALIKE = Fraction(1, 10**6)
#: A share's denominator above which it is shown as a decimal.
READABLE = 1000
Shares = Mapping[str, Fraction]


@attrs.frozen
class Connection:
    """From a host (`pod/client`, `node/a`, `outside`) to a target (`svc/web:80`, `node/a:30080`)."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} to {self.target}"


@attrs.frozen
class ChangedConnection:
    """A connection that ends otherwise: who answers, with which share, before and after; empty where it is not there."""

    connection: Connection
    before: Shares
    after: Shares

    def __str__(self) -> str:
        return f"{self.connection}: {shares_text(self.before)} -> {shares_text(self.after)}"


def connections(cluster: Cluster, sources: Iterable[str] = ()) -> Iterator[tuple[Connection, Shares]]:
    """Every connection from `sources` (default: all Pods, Nodes and the outside) to every port of every Service.

    The outside asks node ports and load balancers only. Raises `TargetError` for a source that does not exist.
    """
    for host in _hosts(cluster, sources):
        for target in _targets(cluster, host):
            try:
                # tried out from one and the same chance, so that two clusters differ by themselves only
                found = cluster.fork(choices=Seeded(0)).host_of(host.namespace).outcomes(target).probabilities
            except OutcomesError as many:
                found = {str(many): Fraction(1)}
            except TargetError:
                continue  # a headless Service, an ExternalName: nothing to connect to
            yield Connection(host.namespace, target), found


def changed(before: Mapping[Connection, Shares], after: Mapping[Connection, Shares]) -> list[ChangedConnection]:
    """The connections that end otherwise, in order."""
    return [
        ChangedConnection(one, before.get(one, {}), after.get(one, {}))
        for one in dict.fromkeys((*before, *after))
        if not _alike(before.get(one, {}), after.get(one, {}))
    ]


def _alike(one: Shares, other: Shares) -> bool:
    return all(abs(one.get(name, Fraction(0)) - other.get(name, Fraction(0))) < ALIKE for name in (*one, *other))


def _hosts(cluster: Cluster, sources: Iterable[str]) -> list[Host]:
    names = list(sources)
    if not names:
        return [
            *(pod for pod in cluster.pods if pod.namespace in cluster.network.namespaces),
            *cluster.nodes,
            cluster.outside,
        ]
    hosts = [cluster.host_of(name.replace("pod/default/", "pod/")) for name in names]
    for host, name in zip(hosts, names, strict=True):
        if host.namespace not in cluster.network.namespaces:
            raise TargetError(f"{name!r}: no such host; expected pod/[NAMESPACE/]NAME, node/NAME or outside")
    return hosts


def _targets(cluster: Cluster, host: Host) -> Iterator[str]:
    """What a host asks, as targets."""
    for service in cluster.services:
        spec, meta = service.object["spec"], service.object["metadata"]
        space = "" if meta["namespace"] == "default" else f"{meta['namespace']}/"
        for port in spec.get("ports") or ():
            protocol = str(port.get("protocol", "TCP")).lower()
            scheme = "" if protocol == "tcp" else f"{protocol}://"
            if host.namespace != "outside":
                yield f"{scheme}svc/{space}{meta['name']}:{port['port']}"
            elif port.get("nodePort"):
                yield from (f"{scheme}node/{node.name}:{port['nodePort']}" for node in cluster.nodes)


def shares_text(shares: Shares) -> str:
    """`web-1 1/3, web-2 2/3`; "nothing" where there is no such connection."""
    if not shares:
        return "nothing"
    return ", ".join(f"{name} {_share(value)}" for name, value in sorted(shares.items()))


def _share(value: Fraction) -> str:
    if value == 1:
        return "always"
    near = value.limit_denominator(READABLE)
    return str(near) if abs(near - value) < ALIKE else f"{float(value):.4f}"
