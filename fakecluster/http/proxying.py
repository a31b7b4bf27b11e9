"""`pods/proxy`, `services/proxy` and `nodes/proxy`: an HTTP request passed on as packets, its answer passed back.

Source: kubernetes apimachinery pkg/util/proxy, pkg/registry/core/{pod,service,node} (ResourceLocation).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address

from fakecluster.api import status
from fakecluster.api.go_values import go_quote
from fakecluster.api.kinds_network import service_proxy
from fakecluster.api.rest.path import Target
from fakecluster.api.rest.response import Response
from fakecluster.cluster import Cluster
from fakecluster.cluster.commands import fetch
from fakecluster.errors import Unsupported
from fakecluster.handles.talk import ConnectFailed
from fakecluster.http import kubelet_api

PATIENCE_S = 30.0
#: Headers of one connection only.
HOP_BY_HOP = ("connection", "content-length", "transfer-encoding", "keep-alive", "te", "trailer", "upgrade")
_NAMED = re.compile(r"(?:(https|http|):)?([^:]+)(?::([^:]*))?")
Place = tuple[str, int]


def answer(cluster: Cluster, method: str, target: Target, query: str, headers: dict[str, str], body: bytes) -> Response:
    """What the program behind a proxied path says. Raises ApiError when there is no place to go to."""
    place = LOCATE[target.resource](cluster, target)
    path = "/" + "/".join(target.rest)
    if place is None:
        return kubelet_api.answer(cluster, target.name.partition(":")[0], path)
    address, port = place
    request = _request(method, path + (f"?{query}" if query else ""), place, headers, body)
    try:
        connection = cluster.nodes[0].connect(address, port, timeout_s=PATIENCE_S)
        raw = fetch.received(connection, request, PATIENCE_S)
        connection.close()
    except ConnectFailed as failed:
        words = f"error trying to reach service: dial tcp {host_port(place)}: {failed.outcome}"
        return Response(503, status.failure(503, "ServiceUnavailable", words).status)
    return relayed(raw)


def _request(method: str, path: str, place: Place, headers: dict[str, str], body: bytes) -> bytes:
    kept = {name: value for name, value in headers.items() if name not in (*HOP_BY_HOP, "authorization", "host")}
    kept |= {"host": host_port(place), "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + body


def host_port(place: Place) -> str:
    address, port = place
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def relayed(raw: bytes) -> Response:
    """A program's HTTP answer as the server's own."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        why = "error trying to reach service: malformed HTTP response"
        return Response(503, status.failure(503, "ServiceUnavailable", why).status)
    pairs = [line.split(": ", 1) for line in lines if ": " in line]
    headers = [(name, value) for name, value in pairs if name.lower() not in (*HOP_BY_HOP, "content-type")]
    kind = next((value for name, value in pairs if name.lower() == "content-type"), "application/octet-stream")
    return Response(int(words[1]), content_type=kind, content=body, headers=headers)


# --- where a request goes


def _named(target: Target, what: str) -> tuple[str, str]:
    """(name, port) of `name`, `name:port` or `scheme:name:port`. Raises ApiError (400), Unsupported for https."""
    match = _NAMED.fullmatch(target.name)
    if match is None:
        raise status.bad_request(f"invalid {what} request {go_quote(target.name)}")
    if match[1] == "https":
        raise Unsupported("proxying to programs over TLS")
    return match[2], match[3] or ""


def _service(cluster: Cluster, target: Target) -> Place:
    return service_proxy.locate(cluster.parts.server.store, target.namespace, target.name)


def _pod(cluster: Cluster, target: Target) -> Place:
    name, port = _named(target, "pod")
    pod = cluster.api.get("pods", name, target.namespace)
    ports = [one["containerPort"] for own in pod["spec"]["containers"] for one in own.get("ports") or ()]
    address = pod.get("status", {}).get("podIP") or ""
    if not address or (not ip_address(address).is_global and not ip_address(address).is_private):
        raise status.bad_request("address not allowed")
    return address, _number(port) or (ports or [80])[0]


def _node(cluster: Cluster, target: Target) -> Place | None:
    """A port of the node's own; None: the kubelet itself."""
    name, port = _named(target, "node")
    node = cluster.api.get("nodes", name)
    if port in ("", str(kubelet_api.PORT)):
        return None
    return cluster.node(node["metadata"]["name"]).ip, _number(port)


def _number(port: str) -> int:
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise status.failure(503, "ServiceUnavailable", f"error trying to reach service: unknown port {port}")
    return int(port or 0)


LOCATE: dict[str, Callable[[Cluster, Target], Place | None]] = {"services": _service, "pods": _pod, "nodes": _node}
