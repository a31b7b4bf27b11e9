"""A Node, as a test holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.cni.nodes import namespace_of_node
from fakecluster.handles.host import Host

if TYPE_CHECKING:
    from fakecluster.handles.world import World

JsonObject = dict[str, Any]


class Node(Host):
    """A Node by name: its kernel (`run`), its addresses, and a place to send from."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, namespace_of_node(name))
        self.name = name

    @property
    def target(self) -> str:
        return f"node/{self.name}"

    @property
    def expression(self) -> str:
        return f"cluster.node({self.name!r})"

    @property
    def node_name(self) -> str:
        return self.name

    @property
    def object(self) -> JsonObject:
        """The API object as it is now. Raises `ApiError` (404) when it does not exist."""
        return self.world.seen.get("nodes", self.name)

    @property
    def ip(self) -> str:
        """The Node's first InternalIP."""
        return self.world.runtime.nodes[self.name].ips[0]

    @property
    def pod_cidr(self) -> str:
        return self.world.runtime.nodes[self.name].pod_cidrs[0]
