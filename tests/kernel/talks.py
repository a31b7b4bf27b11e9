"""Conversations through a router, packet by packet, with both sides' sequence numbers kept right."""

from __future__ import annotations

import attrs
from kernel.kernel_node import wire
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Packet

from fakecluster.kernel.effects import Effect, Transmit
from fakecluster.kernel.netns import Netns


@attrs.define
class Talk:
    """A client behind `iface` speaks to `dst`; the far end is whoever its packets reached, once one has left.

    With `local` it speaks to the router itself, whose sockets answer by themselves.
    """

    iface: str
    src: str
    dst: str
    proto: str = "tcp"
    sport: int = 1000
    dport: int = 80
    local: bool = False
    seq: list[int] = attrs.field(factory=lambda: [100, 5000])
    far: tuple[str, str, str, int, int] | None = None  # interface, its address, the client's, ports likewise

    def packet(self, side: int, flags: str = "A", load: bytes = b"", *, back: int = 0, **fields: object) -> bytes:
        """The next packet of the client (0) or the far end (1); `back` shifts its sequence number."""
        src, dst, sport, dport = self.src, self.dst, self.sport, self.dport
        if side:
            assert self.far is not None
            _iface, src, dst, sport, dport = self.far
        options = fields.pop("options", [])
        if self.proto == "udp":
            return wire(src, dst, UDP(sport=sport, dport=dport) / load, **fields)
        ack = self.seq[1 - side] if "A" in flags else 0
        header = TCP(
            sport=sport, dport=dport, flags=flags, seq=(self.seq[side] - back) % 2**32, ack=ack, window=8000,
            options=options,
        )  # fmt: skip
        if not back:
            self.seq[side] += len(load) + ("S" in flags) + ("F" in flags)
        return wire(src, dst, header / load, **fields)

    def arrives(self, side: int) -> str:
        return self.iface if not side or self.far is None else self.far[0]

    def learn(self, effects: list[Effect]) -> None:
        """See where the client's packet went."""
        for effect in effects:
            if isinstance(effect, Transmit) and not effect.generated:
                if self.local:
                    self._hear(effect)
                    continue
                layer = IP(effect.packet) if effect.family == 4 else IPv6(effect.packet)
                transport: Packet = layer.payload
                if not isinstance(transport, ICMP | ICMPv6EchoRequest) and hasattr(transport, "dport"):
                    self.far = (effect.iface, layer.dst, layer.src, transport.dport, transport.sport)

    def _hear(self, effect: Transmit) -> None:
        """The router's own answer: what it sent is acknowledged from now on."""
        layer = (IP if effect.family == 4 else IPv6)(effect.packet)
        if TCP in layer:
            header = layer[TCP]
            flags = str(header.flags)
            self.seq[1] = header.seq + len(bytes(header.payload)) + ("S" in flags) + ("F" in flags)

    def open(self, *machines: Netns) -> None:
        """The handshake, or for UDP a datagram each way, and the first packets after it."""
        for side, flags in ((0, "S"), (1, "SA"), (0, "A"), (1, "A"), (0, "A")):
            packet = self.packet(side, flags)
            for netns in machines:
                effects = netns.receive(packet, self.arrives(side))
                if not side:
                    self.learn(effects)
