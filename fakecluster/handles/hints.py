"""Why nobody answers at an address, by the API's objects: the port that was meant, the endpoints that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from fakecluster.handles.places import Place
from fakecluster.handles.service import Service

if TYPE_CHECKING:
    from fakecluster.handles.host import Host

JsonObject = dict[str, Any]


def hint(host: Host, place: Place) -> str:
    """In one line what a Service or Pod at this place lacks to answer `host`; "" when nothing of the kind is known."""
    address, wanted = str(ip_address(place.address)), f"{place.port}/{place.protocol.upper()}"
    for service in host.world.seen.list("services"):
        if address in (service["spec"].get("clusterIPs") or ()):
            return _service_lacks(host, service, wanted)
    for pod in host.world.seen.list("pods"):
        if address in _pod_ips(pod) and not pod["spec"].get("hostNetwork"):
            return _pod_lacks(pod, wanted)
    own = ip_address(place.address)
    is_for_services = any(own in ip_network(cidr) for cidr in host.world.runtime.plan.service_cidrs)
    return "no Service has this address" if is_for_services else ""


def _service_lacks(host: Host, service: JsonObject, wanted: str) -> str:
    spec, meta = service["spec"], service["metadata"]
    name = f"Service {meta['namespace']}/{meta['name']}"
    offered = {f"{port['port']}/{port['protocol']}": port.get("name") or "" for port in spec.get("ports") or ()}
    if wanted not in offered:
        return f"{name} has no port {wanted}, only {', '.join(offered)}"
    handle = Service(host.world, meta["name"], meta["namespace"])
    ready = list(_ready_endpoints(handle, offered[wanted]))
    if not ready:
        return f"{name} has no ready endpoint: {_selected(handle)}"
    node = host.node_name
    if node and spec.get("internalTrafficPolicy") == "Local" and node not in {one.get("nodeName") for one in ready}:
        return f"{name} has internalTrafficPolicy Local and no ready endpoint on node {node}"
    return ""


def _ready_endpoints(service: Service, port_name: str) -> Iterator[JsonObject]:
    """The ready endpoints of a Service port; a named target port that a Pod does not have is in no slice with it."""
    for entry in service.slices:
        if port_name in ((port.get("name") or "") for port in entry.get("ports") or ()):
            yield from (one for one in entry.get("endpoints") or () if (one.get("conditions") or {}).get("ready", True))


def _selected(service: Service) -> str:
    selector = service.object["spec"].get("selector")
    if not selector:
        return "it has no selector, and its EndpointSlices list none"
    words = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = service.pods
    if not pods:
        return f"no Pod matches its selector {words}"
    return f"{len(pods)} Pod{'s match' if len(pods) > 1 else ' matches'} its selector {words}, none is ready for this port"


def _pod_ips(pod: JsonObject) -> list[str]:
    return [one["ip"] for one in (pod.get("status") or {}).get("podIPs") or ()]


def _pod_lacks(pod: JsonObject, wanted: str) -> str:
    meta = pod["metadata"]
    offered = [
        f"{port['containerPort']}/{port.get('protocol', 'TCP')}"
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    ]
    if wanted in offered:
        return ""
    others = f", only {', '.join(offered)}" if offered else " and no other"
    return f"Pod {meta['namespace']}/{meta['name']} declares no port {wanted}{others}"
