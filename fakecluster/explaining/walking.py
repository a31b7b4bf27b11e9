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
from fakecluster.trace import Trace

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster


class NoInterface(FakeclusterError):
    """The packet comes in by an interface that the node does not have."""


#: Changes a copy before the packet is sent: given the namespace by its name.
Alter = Callable[[Netns], None]


@attrs.frozen
class Walked:
    """A walk, and the namespaces as it left them."""

    trace: Trace
    namespaces: Mapping[str, Netns]


#: Walks a packet through a fresh copy, whose namespace of a name is altered first.
Walker = Callable[[PacketWords, str, "Alter | None"], Walked]


def through_node(netns: Netns) -> Walker:
    """A walker through one namespace."""

    def walk(words: PacketWords, altered: str = "", alter: Alter | None = None) -> Walked:
        copy = netns.fork(netns.clock.fork(), netns.choices.fork())
        if alter is not None:
            alter(copy)
        effects = _send(copy, words)
        hops = [hop for effect in effects if (hop := getattr(effect, "hop", None)) is not None]
        return Walked(Trace(tuple(sorted(hops, key=lambda hop: hop.walk))), {copy.name: copy})

    return walk


def through_cluster(cluster: Cluster, at: str) -> Walker:
    """A walker that begins in the namespace `at` and goes wherever the packet goes."""

    def walk(words: PacketWords, altered: str = "", alter: Alter | None = None) -> Walked:
        network: Network = cluster.twin(cluster.choices.fork()).network
        start = network.namespaces[at]
        if alter is not None:
            alter(network.namespaces[altered])
        _check(start, words)
        packet = words.packet()
        with network.recorded() as journey:
            if words.interface:
                network.inject(Port(at, words.interface), packet)
                network.run()
            else:
                with quiet_port(start, packet):
                    network.record(start, _send(start, words))
                    network.run()
        return Walked(network.trace(journey), network.namespaces)

    return walk


def _check(netns: Netns, words: PacketWords) -> None:
    if words.interface and words.interface not in netns.interfaces:
        raise NoInterface(f"no interface {words.interface}; there are {', '.join(netns.interfaces)}")


def _send(netns: Netns, words: PacketWords) -> list[Effect]:
    _check(netns, words)
    try:
        if words.interface:
            return netns.receive(words.packet(), words.interface, trace=True)
        return netns.send_local(words.packet(), trace=True)
    except SendError as refused:
        return refused.effects
