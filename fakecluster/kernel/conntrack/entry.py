"""Connection tracking's nouns: tuples, entries, status bits (nf_conntrack_common.h, nf_conntrack_tuple.h)."""

from __future__ import annotations

from typing import Any, NamedTuple

from fakecluster.kernel.packet import GRE, ICMP, ICMPV6, PORT_PROTOCOLS, Skb

ESTABLISHED, RELATED, NEW, ESTABLISHED_REPLY, RELATED_REPLY, UNTRACKED = 0, 1, 2, 3, 4, 7
ORIGINAL, REPLY = 0, 1

EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, SRC_NAT, DST_NAT = 1, 2, 4, 8, 16, 32
SEQ_ADJUST, SRC_NAT_DONE, DST_NAT_DONE, DYING, FIXED_TIMEOUT = 64, 128, 256, 512, 1024
NAT_MASK, NAT_DONE_MASK = SRC_NAT | DST_NAT, SRC_NAT_DONE | DST_NAT_DONE

#: Requests that open an ICMP flow -> the type that answers them.
ICMP_ANSWERS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
ICMPV6_ANSWERS = {128: 129, 129: 128, 139: 140, 140: 139}
ICMP_OPENERS = frozenset((8, 13, 15, 17))
ICMPV6_OPENERS = frozenset((128, 139))


_ICMP = frozenset((ICMP, ICMPV6))
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Tuple(NamedTuple):
    """One direction of a flow. ICMP: `sport` is the id and `dport` is type << 8 | code."""

    family: int
    proto: int
    src: int
    dst: int
    sport: int
    dport: int

    def inverted(self) -> Tuple | None:
        """The tuple of an answer; None for an ICMP type that has none."""
        if self[1] in _ICMP:
            answers = ICMP_ANSWERS if self.proto == ICMP else ICMPV6_ANSWERS
            answer = answers.get(self.dport >> 8)
            if answer is None:
                return None
            return Tuple(self.family, self.proto, self.dst, self.src, self.sport, answer << 8 | self.dport & 0xFF)
        family, proto, src, dst, sport, dport = self
        return _new(Tuple, (family, proto, dst, src, dport, sport))


class Conn:
    """One tracked flow: what its packets look like in each direction, and what became of it.

    `state` is the protocol's state in `conntrack -L` words ("" without); `expires_ns` is absolute once confirmed and a
    duration before. `packets`/`octets` are per direction and only counted with nf_conntrack_acct.
    """

    __slots__ = (
        "expires_ns", "id", "labels", "mark", "masq_oif", "master", "octets", "orig", "packets", "proto_info", "reply",
        "shortcuts", "state", "status", "template", "tuples", "zone_orig", "zone_reply",
    )  # fmt: skip

    def __init__(self, orig: Tuple, reply: Tuple, *, zone_orig: int = 0, zone_reply: int = 0) -> None:
        self.orig, self.reply = orig, reply
        self.zone_orig, self.zone_reply = zone_orig, zone_reply
        self.status = self.mark = self.expires_ns = self.id = 0
        self.state = ""
        self.proto_info: Any = None
        self.master: Conn | None = None
        self.labels = 0
        self.masq_oif = ""
        self.packets, self.octets = [0, 0], [0, 0]
        self.template = False
        self.shortcuts: tuple[Any, ...] = ()  # under which keys the flow cache has it

    @property
    def confirmed(self) -> bool:
        return bool(self.status & CONFIRMED)

    @property
    def zone(self) -> int:
        return self.zone_orig or self.zone_reply

    def add_shortcut(self, key: Any) -> None:
        """The flow cache has it under one more key."""
        if key not in self.shortcuts:
            self.shortcuts += (key,)

    def tuple_of(self, direction: int) -> Tuple:
        return self.reply if direction else self.orig

    def keys(self) -> tuple[tuple[int, Tuple], tuple[int, Tuple]]:
        """Under what the table finds it: (zone, tuple) of each direction."""
        return (self.zone_orig, self.orig), (self.zone_reply, self.reply)

    def fork(self) -> Conn:
        copy = Conn(self.orig, self.reply, zone_orig=self.zone_orig, zone_reply=self.zone_reply)
        for name in ("status", "mark", "expires_ns", "id", "state", "labels", "masq_oif", "master", "template"):
            setattr(copy, name, getattr(self, name))
        copy.packets, copy.octets = self.packets.copy(), self.octets.copy()
        copy.proto_info = self.proto_info.fork() if self.proto_info is not None else None
        return copy

    def __repr__(self) -> str:
        return f"<Conn {self.orig} {self.state or 'no state'} status={self.status:#x}>"


def direction(ctinfo: int) -> int:
    """0 for packets of the direction that opened the flow, 1 for the other."""
    return REPLY if ctinfo in (ESTABLISHED_REPLY, RELATED_REPLY) else ORIGINAL


def state_name(skb: Skb) -> str:
    """The word for -m conntrack --ctstate / nft ct state."""
    if skb.ct is None:
        return "UNTRACKED" if skb.ctinfo == UNTRACKED else "INVALID"
    return STATE_NAMES[skb.ctinfo]


STATE_NAMES = {
    ESTABLISHED: "ESTABLISHED",
    ESTABLISHED_REPLY: "ESTABLISHED",
    RELATED: "RELATED",
    RELATED_REPLY: "RELATED",
    NEW: "NEW",
    UNTRACKED: "UNTRACKED",
}


def packet_tuple(skb: Skb) -> Tuple | None:
    """The tuple of a packet; None when it is a later fragment or its transport header is too short."""
    if skb.frag_offset:
        return None
    if skb.proto in PORT_PROTOCOLS and len(skb.data) >= skb.l4 + 4:
        return _new(Tuple, (skb.family, skb.proto, skb.src, skb.dst, skb.sport, skb.dport))
    return tuple_at(skb.data, skb.l4, skb.family, skb.proto, skb.src, skb.dst)


def tuple_at(data: bytes | bytearray, l4: int, family: int, proto: int, src: int, dst: int) -> Tuple | None:
    """The tuple of a transport header at `l4`, with the given addresses."""
    if proto in PORT_PROTOCOLS:
        if len(data) < l4 + 4:
            return None
        return Tuple(family, proto, src, dst, data[l4] << 8 | data[l4 + 1], data[l4 + 2] << 8 | data[l4 + 3])
    if proto == (ICMP if family == 4 else ICMPV6):
        if len(data) < l4 + 8:
            return None
        return Tuple(family, proto, src, dst, data[l4 + 4] << 8 | data[l4 + 5], data[l4] << 8 | data[l4 + 1])
    if proto == GRE:
        return _gre_tuple(data, l4, family, src, dst)
    return Tuple(family, proto, src, dst, 0, 0)


def _gre_tuple(data: bytes | bytearray, l4: int, family: int, src: int, dst: int) -> Tuple | None:
    """gre_pkt_to_tuple(): PPTP's version 1 has a call id for its key, other GRE none."""
    if len(data) < l4 + 4:
        return Tuple(family, GRE, src, dst, 0, 0)
    if data[l4 + 1] & 7 != 1:
        return Tuple(family, GRE, src, dst, 0, 0)
    if len(data) < l4 + 8:
        return None
    if data[l4 + 2 : l4 + 4] != b"\x88\x0b":
        return None
    return Tuple(family, GRE, src, dst, 0, data[l4 + 6] << 8 | data[l4 + 7])
