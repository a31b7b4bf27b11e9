"""ttl-controller: how long kubelets may trust what they read, as an annotation that grows with the cluster.

Source: kubernetes pkg/controller/ttl/ttl_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, key_of

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

ANNOTATION = "node.alpha.kubernetes.io/ttl"
#: (nodes at most, seconds)
STEPS = ((100, 0), (500, 15), (1000, 30), (2000, 60))
LONGEST_S = 300


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    if event.type == "ADDED" or (event.type == "MODIFIED" and _ttl(event.previous) != _ttl(event.object)):
        yield key_of(event.object)


def _ttl(node: object) -> object:
    return isinstance(node, dict) and (node["metadata"].get("annotations") or {}).get(ANNOTATION)


def sync(desk: Desk, key: Key) -> None:
    node = desk.get("nodes", key)
    if node is None:
        return
    count = desk.client.server.store.count("nodes")
    wanted = str(next((seconds for limit, seconds in STEPS if count <= limit), LONGEST_S))
    if _ttl(node) != wanted:
        patch = {"metadata": {"annotations": {ANNOTATION: wanted}}}
        desk.client.patch("nodes", key[1], patch, kind="strategic")


DUTY = Duty("ttl-controller", "ttl-controller", frozenset({"nodes"}), {}, notice, sync)
