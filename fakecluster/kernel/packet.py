"""A packet inside the kernel: raw bytes from the IP header on, headers parsed once into integers, and metadata.

Addresses are integers (32 or 128 bits); `family` is 4 or 6. The setters change the bytes, the parsed field and the
checksums together, incrementally as the kernel does (RFC 1624), so that a wrong checksum stays wrong.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from fakecluster.kernel.checksums import checksum, checksum_change, crc32c

if TYPE_CHECKING:
    from fakecluster.kernel.trail import Trail
    from fakecluster.trace import Tracer

ICMP, IGMP, IPIP, TCP, UDP, DCCP, GRE, ESP, AH, ICMPV6, SCTP, UDPLITE = 1, 2, 4, 6, 17, 33, 47, 50, 51, 58, 132, 136
PROTOCOL_NAMES = {
    ICMP: "icmp", IGMP: "igmp", IPIP: "ipencap", TCP: "tcp", UDP: "udp", DCCP: "dccp", GRE: "gre", ESP: "esp", AH: "ah",
    ICMPV6: "ipv6-icmp", SCTP: "sctp", UDPLITE: "udplite",
}  # fmt: skip
PORT_PROTOCOLS = frozenset((TCP, UDP, SCTP, UDPLITE, DCCP))
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

_IPV4 = Struct("!BxHxxHxBxxII").unpack_from
_PORTS_AT = Struct("!HH").unpack_from
_PACK4 = Struct("!I").pack_into
_U16 = Struct("!H")
#: In an IPv4 header: more fragments, or not the first one.
FRAGMENT = 0x3FFF
_EXTENSIONS = frozenset((0, 43, 60, 135))
_FRAGMENT_HEADER = 44
ICMP_QUERIES = frozenset((0, 8, 13, 14, 15, 16, 17, 18))
ICMPV6_QUERIES = frozenset((128, 129))
_CHECKSUM_OFFSET = {TCP: 16, UDP: 6, UDPLITE: 6, ICMPV6: 2}
#: Extension headers that a packet may carry before we stop looking (the kernel has no limit but the packet's length).
MAX_EXTENSIONS = 16


class BadPacket(ValueError):
    """The bytes are not an IP packet that a kernel would look at (InHdrErrors / InTruncatedPkts)."""


#: `uid` of what the kernel's own sockets send: there is a socket, but no file and so no user
NO_USER = -1


class Skb:
    """One packet; see the module's docstring. `l4` is the offset of the transport header in `data`.

    `sport`/`dport` are valid when `has_ports`; for ICMP echo and the like read `data[l4:]`. `frag_offset` is in bytes.
    `iif`/`oif` are interface names ("" when there is none). `ct` is the conntrack entry (None: untracked or not seen),
    `ctinfo` its relation (see conntrack). `tracer` is None unless the walk is recorded.
    """

    __slots__ = (
        "ct", "ctinfo", "data", "dport", "dst", "dst_mac", "family", "frag_max_size", "frag_offset", "generated", "iif",
        "ipvs_property", "l4", "mark", "more_fragments", "oif", "option_slots", "physin", "physout", "pkttype",
        "priority", "proto", "reply_to", "route", "sock", "sport", "src", "src_mac", "taken", "tracer", "trail", "uid",
        "zone_tmpl",
    )  # fmt: skip

    data: bytearray
    family: int
    src: int
    dst: int
    proto: int
    sport: int
    dport: int
    l4: int
    frag_offset: int
    more_fragments: bool

    def __init__(self, data: bytes | bytearray, *, iif: str = "", mark: int = 0, tracer: Tracer | None = None) -> None:
        """Parse `data` (L3 bytes). Raises `BadPacket` for what ip_rcv()/ipv6_rcv() would discard by its header."""
        self.data = bytearray(data)
        self.iif, self.oif, self.mark, self.tracer = iif, "", mark, tracer
        self.physin = self.physout = ""
        self.pkttype = "unicast"  # or broadcast, multicast, otherhost: by the frame's destination MAC
        self.src_mac = self.dst_mac = b""
        self.priority = 0
        self.ct: Any = None
        self.ctinfo = 0
        self.trail: Trail | None = None  # what is learned on the way, for the flow cache
        self.zone_tmpl: Any = None
        self.route: Any = None
        self.sock: Any = None
        self.uid: int | None = None
        self.generated = False  # made by this host's own stack, not received and not given by a process
        self.frag_max_size = 0  # the largest fragment that a reassembled packet came in (0: it came whole)
        self.reply_to: Any = None
        self.ipvs_property = False  # IPVS has dealt with it
        self.taken = False  # a hook function sends it on itself: its first walk ended well
        self.option_slots: tuple[int, ...] = ()  # where in the IPv4 options this host has put its address
        self.parse()

    def parse(self) -> None:
        """Read the headers again from `data` (after something rewrote it wholesale)."""
        data = self.data
        size = len(data)
        if size >= 24 and data[0] == 0x45:  # nearly every packet: IPv4 without options, whole, with ports
            _, total, fragment, proto, self.src, self.dst = _IPV4(data)
            if total == size and not fragment & FRAGMENT and proto in PORT_PROTOCOLS:
                self.family, self.l4, self.proto, self.frag_offset, self.more_fragments = 4, 20, proto, 0, False
                self.sport, self.dport = _PORTS_AT(data, 20)
                return
        if not data:
            raise BadPacket("empty packet")
        version = data[0] >> 4
        if version == 4:
            self._parse4(data)
        elif version == 6:
            self._parse6(data)
        else:
            raise BadPacket(f"IP version {version}")
        self._parse_ports()

    def _parse4(self, data: bytearray) -> None:
        if len(data) < 20:
            raise BadPacket("IPv4 header truncated")
        vihl, total, frag, self.proto, self.src, self.dst = _IPV4(data)
        self.family, self.l4 = 4, (vihl & 15) * 4
        if self.l4 < 20 or total < self.l4 or total > len(data):
            raise BadPacket("IPv4 header length or total length is wrong")
        if total < len(data):
            del data[total:]
        self.frag_offset, self.more_fragments = (frag & 0x1FFF) * 8, bool(frag & 0x2000)

    def _parse6(self, data: bytearray) -> None:
        if len(data) < 40:
            raise BadPacket("IPv6 header truncated")
        end = 40 + (data[4] << 8 | data[5])
        if end > len(data):
            raise BadPacket("IPv6 payload length is wrong")
        if end < len(data):
            del data[end:]
        self.family, self.frag_offset, self.more_fragments = 6, 0, False
        self.src, self.dst = int.from_bytes(data[8:24]), int.from_bytes(data[24:40])
        proto, offset = data[6], 40
        for _ in range(MAX_EXTENSIONS):
            if proto in _EXTENSIONS and offset + 8 <= end:
                proto, offset = data[offset], offset + 8 + data[offset + 1] * 8
            elif proto == _FRAGMENT_HEADER and offset + 8 <= end:
                bits = data[offset + 2] << 8 | data[offset + 3]
                self.frag_offset, self.more_fragments = bits & 0xFFF8, bool(bits & 1)
                proto, offset = data[offset], offset + 8
                if self.frag_offset:
                    break
            else:
                break
        self.proto, self.l4 = proto, offset

    def _parse_ports(self) -> None:
        if self.proto in PORT_PROTOCOLS and not self.frag_offset and len(self.data) >= self.l4 + 4:
            self.sport, self.dport = _PORTS_AT(self.data, self.l4)
        else:
            self.sport = self.dport = 0

    @property
    def has_ports(self) -> bool:
        return self.proto in PORT_PROTOCOLS and not self.frag_offset and len(self.data) >= self.l4 + 4

    @property
    def is_fragment(self) -> bool:
        return self.frag_offset != 0 or self.more_fragments

    @property
    def tos(self) -> int:
        """The TOS / traffic class byte."""
        return self.data[1] if self.family == 4 else (self.data[0] & 15) << 4 | self.data[1] >> 4

    @property
    def ttl(self) -> int:
        """TTL or hop limit."""
        return self.data[8] if self.family == 4 else self.data[7]

    @property
    def tcp_flags(self) -> int:
        """The TCP flag byte (0 when the header is not there)."""
        at = self.l4 + 13
        return self.data[at] if self.proto == TCP and not self.frag_offset and at < len(self.data) else 0

    def set_src(self, address: int) -> None:
        self._set_address(address, 12 if self.family == 4 else 8)
        self.src = address

    def set_dst(self, address: int) -> None:
        self._set_address(address, 16 if self.family == 4 else 24)
        self.dst = address

    def set_sport(self, port: int) -> None:
        self._set_l4_word(0, port)
        self.sport = port

    def set_dport(self, port: int) -> None:
        self._set_l4_word(2, port)
        self.dport = port

    def set_ttl(self, ttl: int) -> None:
        if self.family == 6:
            self.data[7] = ttl
            return
        data = self.data
        change = (ttl - data[8]) * 256  # of the word that it is the upper half of
        data[8] = ttl
        if change:
            self.fix_checksum(10, change % 0xFFFF)

    def set_tos(self, tos: int) -> None:
        if self.family == 6:
            self.data[0] = 0x60 | tos >> 4
            self.data[1] = (tos & 15) << 4 | self.data[1] & 15
            return
        old = _U16.unpack_from(self.data, 0)[0]
        self.data[1] = tos
        self.fix_checksum(10, checksum_change(old, _U16.unpack_from(self.data, 0)[0]))

    def set_end4(self, address: int, port: int, *, source: bool) -> None:
        """Change one end of an IPv4 packet with a TCP or UDP header, address and port, and each checksum once."""
        data = self.data
        if source:
            farther, higher, at, port_at = address - self.src, port - self.sport, 12, self.l4
            self.src, self.sport = address, port
        else:
            farther, higher, at, port_at = address - self.dst, port - self.dport, 16, self.l4 + 2
            self.dst, self.dport = address, port
        if farther:
            _PACK4(data, at, address)
            self.fix_checksum(10, farther % 0xFFFF or 0xFFFF)
        if higher:
            data[port_at], data[port_at + 1] = port >> 8, port & 0xFF
        if farther or higher:
            change = (farther + higher) % 0xFFFF or 0xFFFF
            self.fix_l4_checksum(change)

    def _set_address(self, address: int, at: int) -> None:
        size = 4 if self.family == 4 else 16
        data = self.data
        change = checksum_change(int.from_bytes(data[at : at + size]), address)
        if not change:
            return
        data[at : at + size] = address.to_bytes(size)
        if self.family == 4:
            self.fix_checksum(10, change)
        self.fix_l4_checksum(change)

    def _set_l4_word(self, offset: int, value: int) -> None:
        at = self.l4 + offset
        before = _U16.unpack_from(self.data, at)[0]
        _U16.pack_into(self.data, at, value)
        if self.proto == SCTP:
            self.refresh_sctp_checksum()
        elif self.proto == ICMP:
            self.fix_checksum(self.l4 + 2, checksum_change(before, value))
        else:
            self.fix_l4_checksum(checksum_change(before, value))

    def fix_l4_checksum(self, change: int) -> None:
        """Carry a change (see `checksum_change`) into the transport checksum, where there is one."""
        proto, data = self.proto, self.data
        offset = _CHECKSUM_OFFSET.get(proto)
        if offset is None or self.frag_offset or self.l4 + offset + 2 > len(data):
            return
        at = self.l4 + offset
        if proto != UDP:
            self.fix_checksum(at, change)
        elif data[at] or data[at + 1]:  # a UDP checksum of zero means none
            self.fix_checksum(at, change)
            if not (data[at] or data[at + 1]):
                data[at : at + 2] = b"\xff\xff"

    def fix_checksum(self, at: int, change: int) -> None:
        """Carry a change (see `checksum_change`) into the checksum at `at`."""
        data = self.data
        if at + 2 > len(data) or not change:
            return
        value = (data[at] << 8 | data[at + 1]) - change
        if value < 0:
            value += 0xFFFF
        data[at], data[at + 1] = value >> 8, value & 0xFF

    def set_icmp_id(self, identifier: int) -> None:
        """Change the id of an ICMP query or its answer; other ICMP messages have none and stay."""
        queries = ICMP_QUERIES if self.proto == ICMP else ICMPV6_QUERIES
        if self.data[self.l4] in queries:
            self._set_l4_word(4, identifier)

    def l4_checksum_ok(self) -> bool:
        """Whether the transport checksum is right (always, for protocols without one or a UDP checksum of zero)."""
        data, l4 = self.data, self.l4
        size = len(data) - l4
        if self.proto == TCP and size >= 18 and not size & 1 and not (self.frag_offset or self.more_fragments):
            return not (int.from_bytes(data[l4:]) + self.src + self.dst + TCP + size) % 0xFFFF
        offset = 2 if self.proto == ICMP else _CHECKSUM_OFFSET.get(self.proto)
        if offset is None or self.is_fragment:
            return True
        at = self.l4 + offset
        if at + 2 > len(self.data):
            return False
        if self.proto == UDP and self.family == 4 and not (self.data[at] or self.data[at + 1]):
            return True
        return checksum(self.data[self.l4 :], self.pseudo_header_sum()) == 0

    def refresh_l4_checksum(self) -> None:
        """Compute the transport checksum anew."""
        if self.proto == SCTP:
            self.refresh_sctp_checksum()
            return
        offset = 2 if self.proto == ICMP else _CHECKSUM_OFFSET.get(self.proto)
        if offset is None or self.l4 + offset + 2 > len(self.data):
            return
        at = self.l4 + offset
        self.data[at : at + 2] = b"\0\0"
        value = checksum(self.data[self.l4 :], self.pseudo_header_sum())
        _U16.pack_into(self.data, at, value or (0xFFFF if self.proto == UDP else 0))

    def pseudo_header_sum(self) -> int:
        """What transport checksums include besides: addresses, protocol and length, added as numbers."""
        if self.proto == ICMP:
            return 0
        return self.src + self.dst + self.proto + len(self.data) - self.l4

    def refresh_ip_checksum(self) -> None:
        """Compute the IPv4 header checksum anew."""
        if self.family == 4:
            size = (self.data[0] & 15) * 4
            self.data[10:12] = b"\0\0"
            _U16.pack_into(self.data, 10, checksum(self.data[:size]))

    def refresh_sctp_checksum(self) -> None:
        """Compute the SCTP checksum (CRC32c, little endian on the wire) anew, as nf_nat does."""
        at = self.l4 + 8
        if at + 4 <= len(self.data):
            self.data[at : at + 4] = bytes(4)
            self.data[at : at + 4] = crc32c(bytes(self.data[self.l4 :])).to_bytes(4, "little")

    def copy(self) -> Skb:
        """Another packet with the same bytes and metadata (the conntrack entry is shared)."""
        twin = Skb.__new__(Skb)
        for name in Skb.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.data = bytearray(self.data)
        twin.trail = None
        return twin


def is_group(family: int, address: int) -> bool:
    """Whether an address is multicast (or, in IPv4, the broadcast of all networks)."""
    return address >> 28 == 0xE or address == 0xFFFFFFFF if family == 4 else address >> 120 == 0xFF


def is_link_local(address: int) -> bool:
    """Whether an address is in fe80::/10, as no address of IPv4 is."""
    return address >> 118 == 0x3FA


def as_bytes(packet: Any) -> bytes:
    """L3 bytes of whatever is given: bytes, or a Scapy packet (an Ethernet header is left out)."""
    if isinstance(packet, bytes | bytearray):
        return bytes(packet)
    if isinstance(packet, Skb):
        return bytes(packet.data)
    layer = packet.payload if packet.__class__.__name__ == "Ether" else packet
    return bytes(layer)
