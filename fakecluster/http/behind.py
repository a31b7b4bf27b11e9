"""What the API server passes on: requests to programs through `pods/proxy` and `services/proxy`, commands in Pods.

The API model checks such a request (who asks, whether the object exists) and ends with 501; what is here goes on from
there, with packets from the first node, where the API server's own would come from.
"""

from __future__ import annotations

import attrs

from fakecluster.api import status
from fakecluster.api.kinds_network import service_proxy
from fakecluster.api.rest.path import parse
from fakecluster.api.rest.response import Response
from fakecluster.cluster import Cluster
from fakecluster.handles.talk import ConnectFailed
from fakecluster.http import commands
from fakecluster.http.commands import Finished

PATIENCE_S = 30.0
#: Headers of one connection only.
HOP_BY_HOP = ("connection", "content-length", "transfer-encoding", "keep-alive")


@attrs.frozen(eq=False)
class Behind:
    """The programs of one cluster."""

    cluster: Cluster

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response | None:
        """The answer of the program behind a proxied path; None for what is not passed on here."""
        target = parse(method, path, {})
        if target.subresource != "proxy" or target.resource not in ("pods", "services"):
            return None
        if target.resource == "services":
            address, port = service_proxy.locate(self.cluster.parts.server.store, target.namespace, target.name)
        else:
            address, port = self._pod(target.namespace, target.name)
        rest = "/" + "/".join(target.rest) + (f"?{query}" if query else "")
        kept = {name: value for name, value in headers.items() if name not in (*HOP_BY_HOP, "authorization", "host")}
        kept |= {"host": f"{address}:{port}", "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        request = f"{method} {rest} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + body
        try:
            connection = self.cluster.nodes[0].connect(address, port, timeout_s=PATIENCE_S)
            raw = connection.request(request, timeout_s=PATIENCE_S).raw
        except ConnectFailed as failed:
            words = f"error trying to reach service: dial tcp {address}:{port}: {failed.outcome}"
            return Response(503, status.failure(503, "ServiceUnavailable", words).status)
        return relayed(raw)

    def _pod(self, namespace: str, name: str) -> tuple[str, int]:
        name, _, port = name.partition(":")
        pod = self.cluster.api.get("pods", name, namespace)
        ports = [one["containerPort"] for own in pod["spec"]["containers"] for one in own.get("ports") or ()]
        address = pod.get("status", {}).get("podIP") or "0.0.0.0"
        return address, int(port) if port.isdecimal() else (ports or [80])[0]

    def run(self, namespace: str, pod: str, container: str, words: list[str]) -> Finished | None:
        """Run a command in a Pod."""
        handle = self.cluster.pod(pod, namespace)
        return commands.run(handle, container or handle.object["spec"]["containers"][0]["name"], words)


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
