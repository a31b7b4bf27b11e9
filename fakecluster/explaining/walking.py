"""Walking a packet through copies: of one node made from dumps, or of a whole cluster's network. The original stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from fakecluster.errors import FakeclusterError
from fakecluster.explaining.packet_words import PacketWords
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.handles.sending import quiet_port
from fakecluster.kernel.effects import Effect, SendError
from fakecluster.kernel.netns import Netns
from fakecluster.trace import Trace, fate, summary

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster


class NoInterface(FakeclusterError):
    """The packet comes in by an interface that the node does not have."""


#: Changes a copy before the packet is sent: given the namespace by its name.
Alter = Callable[[Netns], None]


@attrs.frozen
class Walked:
    """A walk, and the namespaces as it left them; `refused` is what the sender's kernel answered instead of sending."""

    trace: Trace
    namespaces: Mapping[str, Netns]
    refused: str = ""

    @property
    def end(self) -> str:
        """How the packet ended and, when it left, as what."""
        hops = self.trace.hops
        if not hops:
            return self.refused or "nothing happened"
        out = self.trace.way[-1].packet_out
        return fate(hops) + (f" as {summary(out)}" if self.trace.way[-1].verdict.what == "transmitted" and out else "")


#: Walks a packet through a fresh copy, whose namespace of a name is altered first.
Walker = Callable[[PacketWords, str, "Alter | None"], Walked]


def through_node(netns: Netns) -> Walker:
    """A walker through one namespace."""

    def walk(words: PacketWords, altered: str = "", alter: Alter | None = None) -> Walked:
        copy = netns.fork(netns.clock.fork(), netns.choices.fork())
        if alter is not None:
            alter(copy)
        effects, refused = _send(copy, words)
        hops = [hop for effect in effects if (hop := getattr(effect, "hop", None)) is not None]
        return Walked(Trace(tuple(sorted(hops, key=lambda hop: hop.walk))), {copy.name: copy}, refused)

    return walk


def through_cluster(cluster: Cluster, at: str) -> Walker:
    """A walker that begins in the namespace `at` and goes wherever the packet goes."""

    def walk(words: PacketWords, altered: str = "", alter: Alter | None = None) -> Walked:
        network: Network = cluster.twin(cluster.choices.fork()).network
        start = network.namespaces[at]
        if alter is not None:
            alter(network.namespaces[altered])
        _check(start, words)
        packet, refused = words.packet(), ""
        with network.recorded() as journey:
            if words.interface:
                network.inject(Port(at, words.interface), packet)
                network.run()
            else:
                with quiet_port(start, packet):
                    effects, refused = _send(start, words)
                    network.record(start, effects)
                    network.run()
        return Walked(network.trace(journey), network.namespaces, refused)

    return walk


def _check(netns: Netns, words: PacketWords) -> None:
    if words.interface and words.interface not in netns.interfaces:
        raise NoInterface(f"no interface {words.interface}; there are {', '.join(netns.interfaces)}")


def _send(netns: Netns, words: PacketWords) -> tuple[list[Effect], str]:
    """What happens to the packet; and what the kernel says when it does not send one of its own."""
    _check(netns, words)
    try:
        if words.interface:
            return netns.receive(words.packet(), words.interface, trace=True), ""
        return netns.send_local(words.packet(), trace=True), ""
    except SendError as refused:
        return refused.effects, f"not sent by {netns.name}: {str(refused).lower()}"
