"""A kubelet's own API, as far as `nodes/proxy` is asked for it: is it well, which Pods run there.

Source: kubernetes pkg/kubelet/server/server.go.
"""

from __future__ import annotations

from fakecluster.api import status
from fakecluster.api.rest.response import TEXT, Response
from fakecluster.cluster import Cluster

PORT = 10250


def answer(cluster: Cluster, node: str, path: str) -> Response:
    """What the kubelet of a node says to GET `path`; 501 for what is not modelled of it."""
    if path.rstrip("/") in ("/healthz", "/healthz/ping", "/healthz/syncloop"):
        return Response(200, content_type=TEXT, content=b"ok")
    if path.rstrip("/") in ("/pods", "/runningpods"):
        pods = [pod for pod in cluster.api.list("pods") if pod["spec"].get("nodeName") == node]
        return Response(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
    return Response(501, status.failure(501, "NotImplemented", f"not modelled: a kubelet's {path}", {}).status)
