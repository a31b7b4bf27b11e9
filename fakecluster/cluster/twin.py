"""A copy of a cluster's network only, for trying a packet out: the control plane is shared and stands still."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.cluster.hosts import host_of
from fakecluster.handles.history import History
from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.client import Client
    from fakecluster.cluster.components import Components
    from fakecluster.cluster.dns import StandIn
    from fakecluster.cni import Runtime
    from fakecluster.fabric.network import Network
    from fakecluster.handles import Host, PacketTrace
    from fakecluster.trace import Event, Hop


#: The mode whose proxy answers connections itself, and those in which endpoints take turns.
RELAYING, TAKING_TURNS = "userspace", ("ipvs", "userspace")


@attrs.define
class Twin:
    """The part of a `World` that packets need."""

    seen: Client
    runtime: Runtime
    clock: Clock
    choices: Choices
    network: Network
    proxy: str
    dns: StandIn | None = None
    traces: list[PacketTrace] = attrs.field(factory=list)
    history: History = attrs.field(factory=lambda: History(is_muted=True))
    guard: AbstractContextManager[Any] = attrs.field(factory=nullcontext)

    @classmethod
    def of(cls, parts: Components, choices: Choices) -> Twin:
        clock = parts.clock.fork()
        network = parts.network.twin(clock, choices)
        dns = parts.dns.stand_in(network, clock, choices) if parts.dns else None
        return cls(parts.client, parts.runtime, clock, choices, network, parts.spec.proxy, dns)

    @property
    def relays(self) -> bool:
        return self.proxy == RELAYING

    @property
    def takes_turns(self) -> bool:
        return self.proxy in TAKING_TURNS

    def said(self, hops: Sequence[Hop]) -> tuple[Event, ...]:
        """Nothing: no kube-proxy lives here."""
        return ()

    def host_of(self, namespace: str) -> Host:
        return host_of(self, namespace)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def twin(self, choices: Choices) -> Twin:
        clock = self.clock.fork()
        network = self.network.twin(clock, choices)
        dns = self.dns.stand_in(network, clock, choices) if self.dns else None
        return Twin(self.seen, self.runtime, clock, choices, network, self.proxy, dns)
