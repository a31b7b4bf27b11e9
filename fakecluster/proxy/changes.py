"""Change tracking: watch events in, one consistent update of the node's view out, with what it touched.

Events only mark Services as changed; `ChangeTracker.apply` computes them once per sync however often they changed, so
many changes between two syncs cost one. Source: Kubernetes pkg/proxy/servicechangetracker.go and
endpointschangetracker.go, endpointslicecache.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from fakecluster.proxy.log import structured
from fakecluster.proxy.oddities import is_of_no_service, service_oddities, slice_oddities
from fakecluster.proxy.view import (
    SERVICE_NAME_LABEL,
    Endpoint,
    JsonObject,
    NodeView,
    ServiceName,
    ServicePortName,
    ServicePorts,
    is_watched,
    service_ports,
    slice_endpoints,
)

#: Controllers say here when that happened because of which they wrote a slice.
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


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
        #: what the real one logs about odd objects, each with the Service that it is about ("": none)
        self.remarks: list[tuple[str, str]] = []
        #: when what made EndpointSlices change had happened, by Service: seconds since 1970
        self.triggers: dict[ServiceName, list[float]] = {}
        self._pending_services: dict[ServiceName, ServicePorts] = {}
        self._slices: dict[ServiceName, dict[str, JsonObject]] = {}  # inner ones are shared with forks: replaced only
        self._pending_slices: dict[ServiceName, None] = {}  # in order of their first change
        self._slice_events = 0

    @property
    def pending(self) -> tuple[int, int]:
        """Services, and changes of EndpointSlices, waiting to be applied."""
        return len(self._pending_services), self._slice_events

    def on_service(self, service: JsonObject, *, deleted: bool = False) -> bool:
        """Note a Service as it is now; returns whether this calls for a sync."""
        name = ServiceName(service["metadata"].get("namespace", "default"), service["metadata"]["name"])
        gone = deleted or not is_watched(service)
        ports = {} if gone else service_ports(service, self.view.family)
        if not gone:
            self.remarks += [(str(name), text) for text in service_oddities(service, self.view.family)]
        if ports == self.view.services_by_name.get(name, {}):
            self._pending_services.pop(name, None)
        else:
            self._pending_services[name] = ports
        return bool(self._pending_services)

    def is_ours(self, endpoint_slice: JsonObject) -> bool:
        """Whether an EndpointSlice is of this family and names a Service; a remark is made about one that does not."""
        if endpoint_slice.get("addressType") != self.view.family:
            return False
        problem = is_of_no_service(endpoint_slice)
        if problem:
            self.remarks.append(("", problem))
        return not problem

    def on_slice(self, endpoint_slice: JsonObject, *, deleted: bool = False) -> bool:
        """Note an EndpointSlice (that `is_ours`) as it is now; returns whether this calls for a sync.

        Anything that is new in the object calls for one, were it only an annotation.
        """
        metadata = endpoint_slice["metadata"]
        name = ServiceName(metadata.get("namespace", "default"), metadata["labels"][SERVICE_NAME_LABEL])
        slices = self._slices.get(name, {})
        older = slices.get(metadata["name"])
        if deleted or not is_watched(endpoint_slice):
            if older is None:
                return False
            self._slices[name] = {each: held for each, held in slices.items() if each != metadata["name"]}
            self.triggers.pop(name, None)
        elif older == endpoint_slice:
            return False
        else:
            self._slices[name] = {**slices, metadata["name"]: endpoint_slice}
            if text := (metadata.get("annotations") or {}).get(TRIGGER_TIME):
                self._note_trigger(name, text)
        self._pending_slices[name] = None
        self._slice_events += 1
        return True

    def _note_trigger(self, name: ServiceName, text: str) -> None:
        try:
            self.triggers.setdefault(name, []).append(datetime.fromisoformat(text).timestamp())
        except ValueError:
            said = "Error while parsing EndpointsLastChangeTriggerTimeAnnotation"
            self.remarks.append((str(name), structured(said, value=text)))

    def take_triggers(self) -> list[float]:
        """The times noted so far, which are forgotten."""
        taken, self.triggers = self.triggers, {}
        return [time for times in taken.values() for time in times]

    def apply(self) -> Changes:
        """Bring the view up to date with all changes noted so far."""
        changed_services = self._pending_services
        self._pending_services = {}
        gone: list[str] = []
        for name, ports in changed_services.items():
            gone += _udp_cluster_ips(self.view.services_by_name.get(name, {}), ports)
            self.view.replace_service(name, ports)
        services = frozenset(changed_services)
        return attrs.evolve(self.apply_endpoints(), services=services, udp_cluster_ips=tuple(dict.fromkeys(gone)))

    def apply_endpoints(self) -> Changes:
        """Bring only the endpoints up to date: those of every Service of which a slice changed, in whatever."""
        changed, self._pending_slices, self._slice_events = self._pending_slices, {}, 0
        udp = False
        stopped: list[tuple[ServicePortName, str]] = []
        begun: list[ServicePortName] = []
        for name in changed:
            slices = self._slices[name]
            self.remarks += [(str(name), text) for each in slices.values() for text in slice_oddities(each)]
            view = self.view
            new = slice_endpoints(slices.values(), view.family, view.node_name, running_wins=view.running_wins)
            if not slices:
                del self._slices[name]
            old = self.view.replace_endpoints(name, new)
            for port in dict.fromkeys((*old, *new)):
                if port.protocol == "UDP":
                    udp = True
                    _compare_serving(port, old.get(port, ()), new.get(port, ()), stopped, begun)
        return Changes(
            endpoints=frozenset(changed),
            udp_endpoints=udp,
            udp_stopped=tuple(stopped),
            udp_begun=tuple(begun),
        )

    def fork(self, view: NodeView) -> ChangeTracker:
        """A tracker for the copy `view`; API objects and applied values are shared."""
        copy = ChangeTracker(view)
        copy._pending_services = self._pending_services.copy()
        copy._slices = self._slices.copy()
        copy._pending_slices, copy._slice_events = self._pending_slices.copy(), self._slice_events
        copy.remarks = self.remarks.copy()
        copy.triggers = {name: times.copy() for name, times in self.triggers.items()}
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
