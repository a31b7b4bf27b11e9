"""What should answer, by the API objects alone: the yardstick that the packet path is held against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Service

JsonObject = dict[str, Any]


@attrs.frozen
class Backend:
    """One address that a Service port leads to, by its EndpointSlices."""

    address: str
    port: int
    name: str  # of the Pod, "" for an address without one
    node: str
    ready: bool
    serving: bool


@attrs.frozen
class Expectation:
    """The backends that a Service port may use: `all_of` them must be possible, unless topology chooses among them."""

    backends: tuple[Backend, ...]
    #: hints or a traffic distribution may leave some out
    chooses: bool

    @property
    def names(self) -> frozenset[str]:
        return frozenset(backend.name or backend.address for backend in self.backends)


def backends(service: Service, port: JsonObject) -> Iterator[Backend]:
    """Every endpoint of a Service port, IPv4 and IPv6."""
    for entry in service.slices:
        number = next(
            (own["port"] for own in entry.get("ports") or () if (own.get("name") or "") == (port.get("name") or "")),
            None,
        )
        if number is None:
            continue
        for endpoint in entry.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            ready = conditions.get("ready", True)
            reference = endpoint.get("targetRef") or {}
            yield Backend(
                endpoint["addresses"][0],
                number,
                _name(service, reference, endpoint["addresses"][0]),
                endpoint.get("nodeName") or "",
                ready,
                conditions.get("serving", ready),
            )


def _name(service: Service, reference: JsonObject, address: str) -> str:
    """How outcomes name whoever has the address: the node for a Pod on the host network."""
    for node, own in service.world.runtime.nodes.items():
        if address in own.ips:
            return f"node/{node}"
    if reference.get("kind") != "Pod":
        return ""
    name: str = reference["name"]
    return name if service.kubernetes_namespace == "default" else f"{service.kubernetes_namespace}/{name}"


def expected(service: Service, port: JsonObject, *, family: int, local_to: str = "") -> Expectation:
    """Who may answer: the ready endpoints, or if none is, those that still serve while terminating (KEP-1669).

    `local_to` keeps those on one node only, as a Local traffic policy does.
    """
    found = [backend for backend in backends(service, port) if (":" in backend.address) == (family == 6)]
    if local_to:
        found = [backend for backend in found if backend.node == local_to]
    usable = [backend for backend in found if backend.ready] or [backend for backend in found if backend.serving]
    return Expectation(tuple(usable), bool(service.object["spec"].get("trafficDistribution")))


def service_ports(cluster: Cluster) -> Iterator[tuple[Service, JsonObject]]:
    """Every port of every Service that has addresses of its own and TCP or UDP ports."""
    for service in cluster.services:
        if service.cluster_ip not in ("", "None"):
            for port in service.object["spec"].get("ports") or ():
                if port.get("protocol", "TCP") in ("TCP", "UDP"):
                    yield service, port


def words(service: Service, port: JsonObject) -> str:
    """How a finding names a Service port."""
    return f"svc/{service.kubernetes_namespace}/{service.name}:{port['port']}/{port.get('protocol', 'TCP').lower()}"
