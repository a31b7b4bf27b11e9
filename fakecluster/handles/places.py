"""From a target, as people write it, to an address and a port."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError
from fakecluster.handles.targets import Target, TargetError

if TYPE_CHECKING:
    from fakecluster.handles.host import Host

JsonObject = dict[str, Any]


@attrs.frozen
class Place:
    """Where packets go: `family` 4 or 6, the address as an integer, the port, and the target it came from."""

    protocol: str
    family: int
    address: int
    port: int
    target: str

    def __str__(self) -> str:
        ip = str(ip_address(self.address))
        end = f"[{ip}]:{self.port}" if self.family == 6 else f"{ip}:{self.port}"
        return end if self.target in ("", f"{self.protocol}://{end}") else f"{self.target} ({end})"


def locate(host: Host, target: Target) -> Place:
    """Resolve a target for `host`: objects by their status, names by the host's own DNS.

    Raises `TargetError` for what does not exist or has no such port, `ResolveFailed` for a name without addresses.
    """
    if target.kind:
        address, port = _OBJECTS[target.kind](host, target, _get(host, target))
    else:
        if not isinstance(target.port, int) or not target.port:
            raise TargetError(f"{target}: a port is needed")
        address, port = target.address or host.resolve(target.host)[0], target.port
    parsed = ip_address(address)
    return Place(target.protocol, parsed.version, int(parsed), port, str(target))


def _get(host: Host, target: Target) -> JsonObject:
    namespace = "" if target.kind == "nodes" else target.namespace or host.kubernetes_namespace
    try:
        return host.world.seen.get(target.kind, target.host, namespace)
    except ApiError as missing:
        raise TargetError(f"{target}: {missing.message}") from None


def _service(host: Host, target: Target, service: JsonObject) -> tuple[str, int]:
    spec = service["spec"]
    address = spec.get("clusterIP") or ""
    if address in ("", "None"):
        kind = "an ExternalName Service" if spec.get("type") == "ExternalName" else "a headless Service"
        raise TargetError(f"{target}: {kind} has no address of its own; use its DNS name")
    return address, _service_port(target, spec.get("ports") or [])


def _service_port(target: Target, ports: list[JsonObject]) -> int:
    words = ", ".join(f"{port.get('name') or ''}:{port['port']}".lstrip(":") for port in ports)
    if not target.port:
        if len(ports) != 1:
            raise TargetError(f"{target}: say which port of {words}")
        return int(ports[0]["port"])
    if isinstance(target.port, int):
        return target.port
    for port in ports:
        if port.get("name") == target.port:
            return int(port["port"])
    raise TargetError(f"{target}: no port is named {target.port!r}; there are {words}")


def _pod(host: Host, target: Target, pod: JsonObject) -> tuple[str, int]:
    address = pod.get("status", {}).get("podIP")
    if not address:
        raise TargetError(f"{target}: the Pod has no IP (phase {pod.get('status', {}).get('phase')})")
    ports = [port["containerPort"] for entry in pod["spec"]["containers"] for port in entry.get("ports") or ()]
    if not target.port and len(ports) != 1:
        raise TargetError(f"{target}: say which port" + (f" of {', '.join(map(str, ports))}" if ports else ""))
    return address, int(target.port or ports[0])


def _node(host: Host, target: Target, node: JsonObject) -> tuple[str, int]:
    addresses = node.get("status", {}).get("addresses") or ()
    address = next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), None)
    if address is None:
        raise TargetError(f"{target}: the Node has no InternalIP")
    if not isinstance(target.port, int) or not target.port:
        raise TargetError(f"{target}: a port is needed")
    return address, target.port


_OBJECTS = {"services": _service, "pods": _pod, "nodes": _node}
