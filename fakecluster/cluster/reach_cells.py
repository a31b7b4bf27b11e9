"""The cells of a reachability matrix: what policies allow, who listens, and which endpoints stand behind a Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster.policies import policies_of
from fakecluster.kernel.sockets import Sockets
from fakecluster.policy.model import node_of, pod_of
from fakecluster.policy.reach import Judge, Place, Surroundings, judge
from fakecluster.proxy.topology import usable_endpoints
from fakecluster.proxy.view import FAMILIES, Endpoint, NodeView, ServicePortName

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

ALLOWED, DENIED, NO_LISTENER, PARTLY = "allowed", "denied", "no listener", "partly"
OUTSIDE = "outside"
#: Its Pods are reached through its Services, they are no rows and columns of their own.
SYSTEM = "kube-system"


@attrs.frozen
class End:
    """Where a connection to a column may end: a place (by number) and its port."""

    place: int
    port: int


@attrs.frozen
class Cells:
    """Rows are the first places, columns those and Services; `services` has each one's ends as seen from a row."""

    sources: tuple[str, ...]
    services: Mapping[str, tuple[tuple[End, ...], ...]]
    port: int
    judges: Mapping[int, Judge]
    #: (place, port) of what is served
    listening: frozenset[End]
    #: (row, place) of what is never judged: a Pod and its own node
    own_node: frozenset[tuple[int, int]]

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.sources, *self.services)

    def verdict(self, row: int, column: int) -> str:
        """allowed, denied or no listener; partly for a Service of which not all endpoints are alike."""
        through_service = column >= len(self.sources)
        found = {self._judged(row, end, through_service) for end in self._ends(row, column)} or {NO_LISTENER}
        return found.pop() if len(found) == 1 else PARTLY

    def reasons(self, row: int, column: int) -> tuple[str, ...]:
        """The policies that decided."""
        ends = [end for end in self._ends(row, column) if (row, end.place) not in self.own_node]
        found = (reason for end in ends for reason in self.judges[end.port].reasons(row, end.place))
        return tuple(dict.fromkeys(found))

    def _ends(self, row: int, column: int) -> tuple[End, ...]:
        if column < len(self.sources):
            return (End(column, self.port),)
        return self.services[self.targets[column]][row]

    def _judged(self, row: int, end: End, through_service: bool) -> str:
        decided = self.judges[end.port]
        lets = decided.lets_through if through_service else decided.is_allowed
        if (row, end.place) not in self.own_node and not lets(row, end.place):
            return DENIED
        return ALLOWED if end in self.listening else NO_LISTENER


def cells_of(cluster: Cluster, protocol: str, port: int) -> Cells:
    """Everything that a cluster's matrix for one protocol and port is made of."""
    family = cluster.spec.families[0]
    shown, hidden, sockets = _pods(cluster, family)
    outside = Place(OUTSIDE, cluster.runtime.plan.outside[family])
    rows = (*shown, outside)
    behind = dict(_services(cluster, protocol, port, rows, family))
    known = {place.address for place in (*rows, *hidden)}
    far = {one.ip: None for ends in behind.values() for row in ends for one in row if one.ip not in known}
    places = (*rows, *hidden, *(Place(ip, ip) for ip in far))
    numbers = {place.address: number for number, place in enumerate(places)}
    services = {
        name: tuple(tuple(End(numbers[one.ip], one.port) for one in row) for row in ends)
        for name, ends in behind.items()
    }
    ports = {port, *(end.port for ends in services.values() for row in ends for end in row)}
    nodes = [node_of(obj) for obj in cluster.seen.list("nodes")]
    own = {node.name: {numbers[ip] for ip in node.ips if ip in numbers} for node in nodes}
    return Cells(
        tuple(place.name for place in rows),
        services,
        port,
        _judges(cluster, places, protocol, ports),
        frozenset(
            End(number, one)
            for number, place in enumerate(places)
            for one in ports
            if place.name not in sockets or listens(sockets[place.name], protocol, one)
        ),
        frozenset((row, one) for row, place in enumerate(rows) if place.pod for one in own.get(place.pod.node, ())),
    )


def _pods(cluster: Cluster, family: int) -> tuple[list[Place], list[Place], dict[str, Sockets]]:
    """Pods that are shown and that are not, and the sockets of all of them."""
    shown: list[Place] = []
    hidden: list[Place] = []
    sockets: dict[str, Sockets] = {}
    for obj in cluster.seen.list("pods"):
        pod = pod_of(obj)
        sandbox = cluster.runtime.sandboxes.get(obj["metadata"]["uid"])
        if pod is None or sandbox is None:
            continue
        place = Place(f"{pod.namespace}/{pod.name}", pod.ip(family), pod)
        (hidden if pod.namespace == SYSTEM else shown).append(place)
        sockets[place.name] = cluster.network.namespaces[sandbox.namespace].sockets
    return shown, hidden, sockets


def _judges(cluster: Cluster, places: tuple[Place, ...], protocol: str, ports: set[int]) -> dict[int, Judge]:
    labels = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in cluster.seen.list("namespaces")}
    around = Surroundings(labels, tuple(map(node_of, cluster.seen.list("nodes"))))
    policies = policies_of(cluster.parts.server.store)
    return {port: judge(places, policies, around, protocol, port) for port in sorted(ports)}


def _services(
    cluster: Cluster, protocol: str, port: int, rows: tuple[Place, ...], family: int
) -> Iterator[tuple[str, tuple[tuple[Endpoint, ...], ...]]]:
    """Each Service that offers the port, with the endpoints that kube-proxy would choose from for each row."""
    own = FAMILIES[family == 6]
    views = {
        node: proxy.process.proxiers[own].view
        for node, proxy in cluster.parts.proxies.items()
        if own in proxy.process.proxiers
    }
    if not views:
        return
    anywhere = next(iter(views.values()))
    for name, service in sorted(anywhere.services.items()):
        if (service.protocol, service.port) == (protocol, port):
            yield (
                f"service/{name.namespace}/{name.name}",
                tuple(_endpoints(views[place.pod.node] if place.pod else anywhere, name, place) for place in rows),
            )


def _endpoints(view: NodeView, name: ServicePortName, source: Place) -> tuple[Endpoint, ...]:
    """What the node of a Pod sends to; from outside, what anyone may reach at all."""
    service, usable = view.services[name], usable_endpoints(view, name)
    if source.pod is not None:
        return usable.local if service.internal_local else usable.cluster
    return usable.reachable if service.externally_accessible else ()


def listens(sockets: Sockets, protocol: str, port: int) -> bool:
    """Whether any socket of a namespace serves the port."""
    return any(sock.port == port and f"({protocol.lower()}:" in sock.name for sock in sockets)
