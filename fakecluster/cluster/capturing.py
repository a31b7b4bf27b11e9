"""Recording what passes: taps on interfaces for as long as a `with` lasts, kept in memory, written as pcapng."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from fakecluster.cni.nodes import OUTSIDE, namespace_of_node
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.fabric.pcapng import PcapngWriter
from fakecluster.sim.clock import NS_PER_S

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

INTERFACE = "eth0"


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


class Recording:
    """Taps on `places` (named as in `port_of`) while it is entered; `packets` are what passed, in order."""

    def __init__(self, cluster: Cluster, places: tuple[str, ...], *, path: str | Path | None = None) -> None:
        self.cluster, self.path = cluster, Path(path) if path is not None else None
        self.ports = tuple(port_of(cluster.network, place) for place in places)
        self.packets: list[Tapped] = []

    def __enter__(self) -> Recording:
        taps = self.cluster.network.taps
        for port in self.ports:
            if port in taps:
                raise ValueError(f"{port} is being captured already")
        for port in self.ports:
            taps[port] = _Tap(port, self.packets)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for port in self.ports:
            self.cluster.network.taps.pop(port, None)
        if self.path is not None:
            self.write(self.path)

    def write(self, path: str | Path) -> int:
        """Write a pcapng file with an interface for every port; returns the number of packets."""
        epoch_ns = self.cluster.clock.epoch_s * NS_PER_S
        with Path(path).open("wb") as file:
            writer = PcapngWriter(file)
            for port in self.ports:
                writer.interface(str(port))
            for seen in self.packets:
                writer.write(str(seen.port), epoch_ns + seen.time_ns, seen.packet, direction=seen.direction)
        return len(self.packets)
