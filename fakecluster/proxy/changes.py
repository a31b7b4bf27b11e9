"""Change tracking: watch events in, one consistent update of the node's view out, with what it touched.

Events only mark Services as changed; `ChangeTracker.apply` computes them once per sync however often they changed, so
many changes between two syncs cost one. Source: Kubernetes pkg/proxy/servicechangetracker.go and
endpointschangetracker.go, endpointslicecache.go.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from fakecluster.proxy.view import (
    SERVICE_NAME_LABEL,
    Endpoint,
    Endpoints,
    Family,
    JsonObject,
    NodeView,
    ServiceName,
    ServicePortName,
    ServicePorts,
    is_watched,
    service_ports,
    slice_endpoints,
)


@attrs.frozen
class Changes:
    """What one `apply` changed: Services whose ports or endpoints are not as they were at the last sync."""

    services: frozenset[ServiceName] = frozenset()
    endpoints: frozenset[ServiceName] = frozenset()
    #: endpoints of a Service with a UDP port changed: conntrack may hold entries to endpoints that are gone
    udp_endpoints: bool = False
    #: UDP: service ports with the addresses of endpoints that serve no more; service ports that serve again; cluster
    #: IPs of service ports that are gone
    udp_stopped: tuple[tuple[ServicePortName, str], ...] = ()
    udp_begun: tuple[ServicePortName, ...] = ()
    udp_cluster_ips: tuple[str, ...] = ()

    @property
    def touched(self) -> frozenset[ServiceName]:
        return self.services | self.endpoints


class ChangeTracker:
    """Collects the changes of one IP family and applies them to a `NodeView`."""

    def __init__(self, view: NodeView) -> None:
        self.view = view
        self._endpoints: dict[ServiceName, Endpoints] = {}  # as last applied
        self._pending_services: dict[ServiceName, ServicePorts] = {}
        self._slices: dict[ServiceName, dict[str, JsonObject]] = {}  # inner ones are shared with forks: replaced only
        self._pending_slices: dict[ServiceName, None] = {}  # in order of their first change

    @property
    def pending(self) -> tuple[int, int]:
        """Services and endpoints sets waiting to be applied."""
        return len(self._pending_services), len(self._pending_slices)

    def on_service(self, service: JsonObject, *, deleted: bool = False) -> bool:
        """Note a Service as it is now; returns whether this calls for a sync."""
        name = ServiceName(service["metadata"].get("namespace", "default"), service["metadata"]["name"])
        ports = {} if deleted or not is_watched(service) else service_ports(service, self.view.family)
        if ports == self.view.services_by_name.get(name, {}):
            self._pending_services.pop(name, None)
        else:
            self._pending_services[name] = ports
        return bool(self._pending_services)

    def on_slice(self, endpoint_slice: JsonObject, *, deleted: bool = False) -> bool:
        """Note an EndpointSlice as it is now; returns whether this calls for a sync."""
        metadata = endpoint_slice["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
        if not service or endpoint_slice.get("addressType") != self.view.family:
            return False
        name = ServiceName(metadata.get("namespace", "default"), service)
        slices = self._slices.get(name, {})
        older = slices.get(metadata["name"])
        if deleted or not is_watched(endpoint_slice):
            if older is None:
                return False
            self._slices[name] = {each: held for each, held in slices.items() if each != metadata["name"]}
        elif older is not None and _same_content(older, endpoint_slice):
            return False
        else:
            self._slices[name] = {**slices, metadata["name"]: endpoint_slice}
        self._pending_slices[name] = None
        return True

    def apply(self) -> Changes:
        """Bring the view up to date with all changes noted so far."""
        changed_services = self._pending_services
        self._pending_services = {}
        gone: list[str] = []
        for name, ports in changed_services.items():
            gone += _udp_cluster_ips(self.view.services_by_name.get(name, {}), ports)
            self._replace_service(name, ports)
        services = frozenset(changed_services)
        return attrs.evolve(self.apply_endpoints(), services=services, udp_cluster_ips=tuple(dict.fromkeys(gone)))

    def apply_endpoints(self) -> Changes:
        """Bring only the endpoints up to date."""
        udp, changed_endpoints = False, set[ServiceName]()
        stopped: list[tuple[ServicePortName, str]] = []
        begun: list[ServicePortName] = []
        for name in self._pending_slices:
            old = self._endpoints.get(name, {})
            new = slice_endpoints(self._slices[name].values(), self.view.family, self.view.node_name)
            if old == new:
                continue
            changed_endpoints.add(name)
            for port in dict.fromkeys((*old, *new)):
                if port.protocol == "UDP":
                    udp = True
                    _compare_serving(port, old.get(port, ()), new.get(port, ()), stopped, begun)
            self._replace_endpoints(name, old, new)
        self._pending_slices = {}
        return Changes(
            endpoints=frozenset(changed_endpoints),
            udp_endpoints=udp,
            udp_stopped=tuple(stopped),
            udp_begun=tuple(begun),
        )

    def _replace_service(self, name: ServiceName, ports: ServicePorts) -> None:
        view = self.view
        for port in view.services_by_name.pop(name, ()):
            del view.services[port]
            view.total_endpoints -= len(view.endpoints.get(port, ()))
        for port, info in ports.items():
            view.services[port] = info
            view.total_endpoints += len(view.endpoints.get(port, ()))
        if ports:
            view.services_by_name[name] = ports

    def _replace_endpoints(self, name: ServiceName, old: Endpoints, new: Endpoints) -> None:
        view = self.view
        for port, endpoints in old.items():
            view.total_endpoints -= len(endpoints) if port in view.services else 0
            if port not in new:
                del view.endpoints[port]
        for port, endpoints in new.items():
            view.total_endpoints += len(endpoints) if port in view.services else 0
            view.endpoints[port] = endpoints
        if new:
            self._endpoints[name] = new
        else:
            self._endpoints.pop(name, None)

    def fork(self, view: NodeView) -> ChangeTracker:
        """A tracker for the copy `view`; API objects and applied values are shared."""
        copy = ChangeTracker(view)
        copy._endpoints = self._endpoints.copy()
        copy._pending_services = self._pending_services.copy()
        copy._slices = self._slices.copy()
        copy._pending_slices = self._pending_slices.copy()
        return copy


def _udp_cluster_ips(old: ServicePorts, new: ServicePorts) -> list[str]:
    return [port.cluster_ip for name, port in old.items() if port.protocol == "UDP" and name not in new]


def _compare_serving(
    port: ServicePortName,
    old: Sequence[Endpoint],
    new: Sequence[Endpoint],
    stopped: list[tuple[ServicePortName, str]],
    begun: list[ServicePortName],
) -> None:
    """Note what older versions remembered of a UDP service port for their conntrack clean-up."""
    before, now = ({e.text: e.ip for e in endpoints if e.is_serving} for endpoints in (old, new))
    stopped += [(port, ip) for text, ip in before.items() if text not in now]
    if now and not before:
        begun.append(port)


def _same_content(older: JsonObject, newer: JsonObject) -> bool:
    return older.get("endpoints") == newer.get("endpoints") and older.get("ports") == newer.get("ports")


def families_of(endpoint_slice: JsonObject) -> tuple[Family, ...]:
    """The families whose proxier takes a slice: its address type, and none for FQDN."""
    address_type = endpoint_slice.get("addressType")
    return (address_type,) if address_type in ("IPv4", "IPv6") else ()
