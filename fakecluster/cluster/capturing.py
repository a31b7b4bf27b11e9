"""Recording what passes: taps on interfaces, links and hooks for as long as a `with` lasts, written as pcapng."""

from __future__ import annotations

from errno import ENOENT
from os import strerror
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from fakecluster.cni.nodes import OUTSIDE, namespace_of_node
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.fabric.pcapng import PcapngWriter, Stamp
from fakecluster.kernel.hooks import ACCEPT, Hook, HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.sim.clock import NS_PER_S

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

INTERFACE = "eth0"
#: A tap on a hook runs before everything that stands there.
FIRST = -(2**31)
TAP = "capture"
_HOOKS = {hook.name: hook for hook in Hook}


class Tapped(NamedTuple):
    """A packet that passed a port: virtual time in ns, "in" or "out" as the port's namespace sees it, L3 bytes."""

    port: Port
    time_ns: int
    direction: str
    packet: bytes


def port_of(network: Network, text: str) -> Port:
    """The interface that is called `a:eth0`, `node/a:eth0`, `pod/web-1`, `pod/shop/web-1:eth0` or `outside`.

    Raises LookupError with what there is.
    """
    place, _, interface = text.partition(":")
    namespace = place.replace("pod/default/", "pod/")
    if "/" not in namespace and namespace != OUTSIDE:
        namespace = namespace_of_node(namespace)
    netns = network.namespaces.get(namespace)
    if netns is None:
        raise LookupError(f"{text!r}: no {namespace}; there are {', '.join(sorted(network.namespaces))}")
    interface = interface or INTERFACE
    if interface not in netns.interfaces:
        raise LookupError(f"{text!r}: {namespace} has no {interface}; it has {', '.join(netns.interfaces)}")
    return Port(namespace, interface)


class _Tap:
    """One port's tap: all taps of a recording append to one list, so that it is in order."""

    def __init__(self, port: Port, packets: list[Tapped]) -> None:
        self.port, self.packets = port, packets

    def append(self, seen: tuple[int, str, bytes], /) -> None:
        self.packets.append(Tapped(self.port, *seen))

    def copy(self) -> _Tap:
        return _Tap(self.port, [])


class _HookTap:
    """A function on a hook that keeps a copy of every packet which comes there."""

    def __init__(self, port: Port, packets: list[Tapped]) -> None:
        self.port, self.packets = port, packets

    def __call__(self, skb: Skb, ctx: HookContext) -> int:
        way = "out" if ctx.hook in (Hook.OUTPUT, Hook.POSTROUTING) else "in"
        self.packets.append(Tapped(self.port, ctx.netns.clock.now_ns, way, bytes(skb.data)))
        return ACCEPT


def places_of(network: Network, text: str) -> tuple[Port, ...]:
    """What a place to capture at means: an interface, a hook (`a:FORWARD`, as a port of that name), a link's interfaces.

    Raises LookupError with what there is.
    """
    if text in network.segments:
        return network.segments[text].ports
    place, _, name = text.partition(":")
    if name in _HOOKS:
        return (Port(port_of(network, f"{place}:lo").namespace, name),)
    try:
        return (port_of(network, text),)
    except LookupError as missing:
        shared = (name for name in network.segments if not name.startswith("veth "))
        raise LookupError(f"{missing}; links: {', '.join(shared)}; hooks: {', '.join(_HOOKS)}") from None


class Recording:
    """Taps on `places` (see `places_of`) while it is entered; `packets` are what passed, in order.

    A hook is seen before anything that stands there has changed the packet.
    """

    def __init__(self, cluster: Cluster, places: tuple[str, ...], *, path: str | Path | None = None) -> None:
        self.cluster, self.path = cluster, Path(path) if path is not None else None
        found = [port for place in places for port in places_of(cluster.network, place)]
        self.ports = tuple(dict.fromkeys(found))
        self.packets: list[Tapped] = []

    def __enter__(self) -> Recording:
        if self.path is not None and not self.path.parent.is_dir():
            raise FileNotFoundError(ENOENT, strerror(ENOENT), str(self.path))  # now, and not when all was recorded
        for port in self.ports:
            if self._is_tapped(port):
                raise ValueError(f"{port} is being captured already")
        for port in self.ports:
            if port.interface in _HOOKS:
                hooks, tap = self.cluster.network.namespaces[port.namespace].hooks, _HookTap(port, self.packets)
                for family in (4, 6):
                    hooks.register(family, _HOOKS[port.interface], FIRST, TAP, tap)
            else:
                self.cluster.network.taps[port] = _Tap(port, self.packets)
        return self

    def _is_tapped(self, port: Port) -> bool:
        if port.interface not in _HOOKS:
            return port in self.cluster.network.taps
        entries = self.cluster.network.namespaces[port.namespace].hooks.entries[4][_HOOKS[port.interface]]
        return any(entry.name == TAP for entry in entries)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for port in self.ports:
            netns = self.cluster.network.namespaces.get(port.namespace)
            if port.interface not in _HOOKS:
                self.cluster.network.taps.pop(port, None)
            elif netns is not None:
                for family in (4, 6):
                    netns.hooks.unregister(family, _HOOKS[port.interface], TAP)
        if self.path is not None:
            self.write(self.path)

    def write(self, path: str | Path) -> int:
        """Write a pcapng file with an interface for every place; returns the number of packets."""
        epoch_ns = self.cluster.clock.epoch_s * NS_PER_S
        with Path(path).open("wb") as file:
            writer = PcapngWriter(file)
            for port in self.ports:
                writer.interface(str(port))
            stamps: dict[tuple[Port, str], Stamp] = {}
            for seen in self.packets:
                key = seen.port, seen.direction
                stamp = stamps.get(key)
                if stamp is None:
                    stamp = stamps[key] = writer.stamp(str(seen.port), direction=seen.direction)
                writer.write(stamp, epoch_ns + seen.time_ns, seen.packet)
        return len(self.packets)
