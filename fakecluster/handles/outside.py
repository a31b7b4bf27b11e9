"""The world outside the cluster: the router of the node network, which is also a client of the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.cni.nodes import OUTSIDE
from fakecluster.discovery.zone import Zone
from fakecluster.handles.history import kept
from fakecluster.handles.host import Host
from fakecluster.kernel.sockets import Program

if TYPE_CHECKING:
    from fakecluster.handles.world import World


class Outside(Host):
    """A host beyond the nodes' network."""

    def __init__(self, world: World) -> None:
        super().__init__(world, OUTSIDE)

    @property
    def expression(self) -> str:
        return "cluster.outside"

    @property
    def ip(self) -> str:
        """Its own address on the internet."""
        plan = self.world.runtime.plan
        return plan.outside[plan.families[0]]

    @property
    def dns(self) -> Zone:
        """The names that DNS servers outside know: `cluster.outside.dns["example.com"] = "198.51.100.7"`."""
        return self.world.runtime.outside_dns

    @kept
    def serve(self, port: int, program: Program, *, protocol: str = "tcp") -> None:
        """Let a program listen here. Raises `SendError` (EADDRINUSE)."""
        self.world.runtime.listen(self.netns, protocol, port, program, owner=("", "outside"), name="outside")
