"""From the name of a network namespace to the handle of what lives in it."""

from __future__ import annotations

from fakecluster.cni.nodes import OUTSIDE
from fakecluster.handles import Host, Node, Outside, Pod
from fakecluster.handles.world import World


def host_of(world: World, namespace: str) -> Host:
    """The Pod, Node or Outside of a namespace such as `pod/web-1`, `pod/shop/web-1`, `node/a`, `outside`."""
    if namespace == OUTSIDE:
        return Outside(world)
    kind, *names = namespace.split("/")
    if kind == "node":
        return Node(world, names[0])
    return Pod(world, names[-1], names[0] if len(names) == 2 else "default")
