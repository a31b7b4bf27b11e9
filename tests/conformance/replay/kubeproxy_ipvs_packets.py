"""The packets of an ipvs recording: every try in order, since the scheduler's state carries over from one to the next.

Nothing is left to chance but the source port after masquerade, so that each try must come out as recorded. Where the
recorder answered every try, not only the first of its group, the replay makes up the other answers from the first's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fakecluster.kernel.effects import SendError
from fakecluster.kernel.packet import Skb
from fakecluster.proxy.view import host_port
from fakecluster.sim import Seeded
from replay.kubeproxy_node import Node
from replay.kubeproxy_packets import (
    Injector,
    Seen,
    Steered,
    captured,
    changed_port,
    outcome_of,
    packet_differences,
)
from replay.kubeproxy_wire import TCP, patched_ports, ports_of

Json = dict[str, Any]
Packets = tuple[tuple[str, bytes], ...]
#: recorded, in the model
Ports = tuple[int | None, int | None]
SYN_ACK = 0x12


_DESTINATION = re.compile(r"dst=(\S+):(\d+)$")


def lists_from_packets(probes: Iterable[Json]) -> dict[str, list[tuple[str, int]]]:
    """The kernel's list of real servers of each virtual server that is new, where only the packets tell: rr begins at
    its head."""
    found: dict[str, list[tuple[str, int]]] = {}
    for probe in probes:
        if "order" not in probe:
            continue
        key = f"{probe['proto']} {host_port(probe['dst'], probe['dport'])}"
        first = [_destination(probe["groups"][number]) for number in probe["order"]]
        if key not in found and all(first):
            found[key] = [(real, 1) for real in dict.fromkeys(first) if real is not None]
    return found


def _destination(group: Json) -> str | None:
    """Where the packets of a group went, when they went on."""
    ways = [match for text in group["outcome"] if not text.startswith("local") and (match := _DESTINATION.search(text))]
    return host_port(ways[0][1], int(ways[0][2])) if len(ways) == 1 else None


class IpvsProbe:
    """One probe; `run` yields what came out otherwise than recorded."""

    def __init__(self, node: Node, probe: Json, numbers: Seeded) -> None:
        self.node, self.probe, self.numbers = node, probe, numbers
        self.groups: list[Json] = probe["groups"]
        self.injector = Injector(node, probe, numbers)

    def run(self) -> Iterator[str]:
        if "order" not in self.probe:
            yield from self._single()
            return
        begun: set[int] = set()
        for number, group_number in enumerate(self.probe["order"]):
            group = self.groups[group_number]
            first = group_number not in begun
            begun.add(group_number)
            found = list(self._try(number, group, first=first))
            yield from found
            if found:
                return

    def _single(self) -> Iterator[str]:
        """A ping, or a packet with a port of its own: all of it is in the capture."""
        for group in self.groups:
            packet = bytes.fromhex(group["in"]["hex"])
            seen = self._send(packet)
            expected = _pairs(out for out in group["out"] if not self._is_of_another_flow(out))
            yield from packet_differences("out", expected, seen.packets, _ports(packet, expected, packet, seen))

    def _is_of_another_flow(self, out: Json) -> bool:
        """A socket of the node said something again while the recorder waited for a ping."""
        return self.probe["proto"].startswith("ICMP") and out["text"].startswith("TCP")

    def _try(self, number: int, group: Json, *, first: bool) -> Iterator[str]:
        packet = self._packet(number, group, first=first)
        seen = self._send(packet)
        want = outcome_of(group)
        if seen.outcome != want:
            yield f"try {number}: {list(seen.outcome)} instead of {list(want)}"
            return
        expected = _pairs(group["out"])
        ports = _ports(bytes.fromhex(group["in"]["hex"]), expected, packet, seen)
        if first and not any(_is_syn_ack(data) for _, data in expected):  # a socket's sequence numbers are random
            yield from packet_differences("out", expected, seen.packets, ports)
        if "reply" in group and (first or self.probe["everyTryAnswered"]):
            yield from self._answer(group, packet, ports, compare=first)

    def _packet(self, number: int, group: Json, *, first: bool) -> bytes:
        template = bytes.fromhex(group["in"]["hex"])
        if first or self.probe["sameSport"]:
            return template
        return patched_ports(template, sport=(self.probe["sportBase"] + number) & 0xFFFF)

    def _send(self, packet: bytes) -> Seen:
        self.node.netns.choices = Steered((), self.numbers)
        return self.injector.send(self.node.netns, packet)

    def _answer(self, group: Json, packet: bytes, ports: Ports, *, compare: bool) -> Iterator[str]:
        """The endpoint's answer to a try, and the client's next packet."""
        client_port = ports_of(packet)[0]
        reply = patched_ports(bytes.fromhex(group["reply"]["in"]["hex"]), dport=ports[1] or client_port)
        for what, data in (("reply", reply), ("followup", None)):
            if what in group:
                if data is None:
                    data = patched_ports(bytes.fromhex(group[what]["in"]["hex"]), sport=client_port)
                actual = self._inject(data, group[what]["in"]["iface"])
                if compare:
                    expected = _pairs(out for out in group[what]["out"] if out["hex"])
                    yield from packet_differences(what, expected, actual, ports)

    def _inject(self, packet: bytes, iface: str) -> Packets:
        netns = self.node.netns
        netns.choices = Steered((), self.numbers)
        try:
            effects = netns.send_local(packet) if iface == "host" else netns.receive(packet, iface)
        except SendError as error:
            effects = error.effects
        return tuple(captured(self.node, effects, iface))


def _pairs(recorded: Iterable[Json]) -> Packets:
    """Packets out; neighbour discovery is not part of the captures, but rate-limited redirects slipped through.

    A checksum that the device was to finish is finished.
    """
    kept = (out for out in recorded if "ICMPv6 type 137 " not in out["text"])
    return tuple((out["iface"], _finished(bytes.fromhex(out["hex"]))) for out in kept)


def _finished(packet: bytes) -> bytes:
    skb = Skb(packet)
    if skb.proto == TCP and not skb.l4_checksum_ok():
        skb.refresh_l4_checksum()
    return bytes(skb.data)


def _ports(recorded_in: bytes, recorded_out: Packets, packet: bytes, seen: Seen) -> Ports:
    """The source port after masquerade, as recorded and in the model; None where it stayed."""
    return changed_port(recorded_out, ports_of(recorded_in)[0]), changed_port(seen.packets, ports_of(packet)[0])


def _is_syn_ack(packet: bytes) -> bool:
    skb = Skb(packet)
    return skb.proto == TCP and skb.tcp_flags & SYN_ACK == SYN_ACK
