"""Where a probe goes and what it says (Kubernetes pkg/kubelet/prober/prober.go, pkg/probe/http/request.go)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

JsonObject = dict[str, Any]
KINDS = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS = ("httpGet", "tcpSocket", "grpc")


def handler_of(probe: JsonObject) -> JsonObject:
    """The part of a probe that names its port."""
    return next((probe[name] for name in _HANDLERS if name in probe), {})


def probed_ports(container: JsonObject) -> Iterator[int]:
    """The numeric ports of a container's own that its probes name."""
    for kind in KINDS:
        handler = handler_of(container.get(kind) or {})
        if isinstance(handler.get("port"), int) and not handler.get("host"):
            yield handler["port"]


def probe_address(pod: JsonObject, container: str, probe: JsonObject, pod_ip: str) -> tuple[str, int]:
    """(address, port) that a probe connects to. Raises ValueError for a port name that the container does not have."""
    handler = handler_of(probe)
    port = handler.get("port")
    if isinstance(port, str) and not port.isdigit():
        spec = pod["spec"]
        entries = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
        ports = next((entry.get("ports") or () for entry in entries if entry["name"] == container), ())
        number = next((entry["containerPort"] for entry in ports if entry.get("name") == port), None)
        if number is None:
            raise ValueError(f"couldn't find named port {port!r} in container {container!r}")
        return handler.get("host") or pod_ip, number
    return handler.get("host") or pod_ip, int(port or 0)


def http_request(get: JsonObject, address: str, port: int) -> bytes:
    """The bytes of an httpGet probe."""
    host = f"[{address}]" if ":" in address else address
    path = get.get("path") or "/"
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    headers |= {entry["name"]: entry.get("value", "") for entry in get.get("httpHeaders") or ()}
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
