"""A thousand watches at once: each hears of everything, and the server goes on answering."""

import resource
import socket

import pytest

from fakecluster import Cluster
from fakecluster.http import Served

WATCHES = 1000
MAPS = "/api/v1/namespaces/default/configmaps"


def test_a_thousand_open_watches_all_hear_of_a_change(shop: Cluster, api: Served) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2 * WATCHES + 200:
        pytest.skip("too few file descriptors are allowed")
    version = shop.parts.server.store.revision
    request = f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    watches = [socket.create_connection(("127.0.0.1", api.port), timeout=30) for _ in range(WATCHES)]
    for watch in watches:
        watch.sendall(request)
    heads = [read_until(watch, b"\r\n\r\n") for watch in watches]
    assert {head.split(b"\r\n")[0] for head in heads} == {b"HTTP/1.1 200 OK"}
    shop.api.create("configmaps", {"metadata": {"name": "news"}}, "default")
    lines = [read_until(watch, b"}\n") for watch in watches]
    assert all(b'{"type":"ADDED","object":{"kind":"ConfigMap"' in line and b'"name":"news"' in line for line in lines)
    for watch in watches:
        watch.close()


def read_until(watch: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        part = watch.recv(4096)
        assert part, found
        found += part
    return found
