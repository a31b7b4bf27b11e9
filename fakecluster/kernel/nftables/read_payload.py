"""Header fields: reading (nft_payload.c, nft_exthdr.c) and writing them, checksums included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fakecluster.kernel.checksums import checksum_change
from fakecluster.kernel.nftables.program import Getter, Packet, Value
from fakecluster.kernel.packet import TCP, Skb
from fakecluster.rules.nft.expressions import Exthdr, Payload, TcpOption

_ETHER_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_EXTENSIONS = frozenset((0, 43, 60, 135))
_FRAGMENT = 44
#: Options one TCP header can hold (40 bytes, one each).
_MAX_OPTIONS = 40
_MAX_EXTENSIONS = 16


def payload(field: Payload) -> Getter:
    """A function that reads a field, None when the packet ends before it."""
    shortcut = _SHORTCUTS.get((field.base, field.offset, field.bits))
    if shortcut is not None and field.base == "network":
        family, read_address = shortcut
        if field.protocol:
            return lambda packet: read_address(packet.skb) if packet.skb.family == family else None
    if field.base == "transport" and field.bits == 16 and field.offset in (0, 16):
        return _port_reader(field.offset // 8)
    first, last = field.offset // 8, (field.offset + field.bits + 7) // 8
    shift = last * 8 - field.offset - field.bits
    mask = (1 << field.bits) - 1
    start_of = _unchecked_start if _is_fast(field.base, first, last - first) else _STARTS[field.base]

    def read(packet: Packet) -> Value:
        skb = packet.skb
        data: bytes | bytearray = skb.data
        start = start_of(skb)
        if start is None:
            return None
        if field.base == "link":
            data = skb.dst_mac + skb.src_mac + _ETHER_TYPES[skb.family]
            if not skb.dst_mac:
                return None
        if start + last > len(data):
            return None
        return int.from_bytes(data[start + first : start + last]) >> shift & mask

    return read


def _is_fast(base: str, offset: int, size: int) -> bool:
    """nft_payload_fast_eval(): small aligned fields, which are read from later fragments too, whatever is there."""
    return base == "transport" and size in (1, 2, 4) and offset % size == 0


def _unchecked_start(skb: Skb) -> int:
    return skb.l4


def _port_reader(offset: int) -> Getter:
    def read(packet: Packet) -> Value:
        skb = packet.skb
        at = skb.l4 + offset
        data = skb.data
        if at + 2 > len(data):
            return None
        return data[at] << 8 | data[at + 1]

    return read


def _transport_start(skb: Skb) -> int | None:
    return None if skb.frag_offset else skb.l4


def _first(skb: Skb) -> int | None:
    return 0


_STARTS: Mapping[str, Callable[[Skb], int | None]] = {"network": _first, "transport": _transport_start, "link": _first}
_SHORTCUTS: Mapping[tuple[str, int, int], tuple[int, Callable[[Skb], int]]] = {
    ("network", 96, 32): (4, lambda skb: skb.src),
    ("network", 128, 32): (4, lambda skb: skb.dst),
    ("network", 64, 128): (6, lambda skb: skb.src),
    ("network", 192, 128): (6, lambda skb: skb.dst),
}


def write(field: Payload, skb: Skb, value: int) -> bool:
    """Set a field (nft_payload_set); False when the packet ends before it."""
    special = _SETTERS.get((field.protocol, field.field))
    if special is not None:
        return special(skb, value)
    start = _STARTS[field.base](skb)
    first, last = field.offset // 8, (field.offset + field.bits + 7) // 8
    if start is None or field.base == "link" or start + last > len(skb.data):
        return False
    shift = last * 8 - field.offset - field.bits
    mask = ((1 << field.bits) - 1) << shift
    old = int.from_bytes(skb.data[start + first : start + last])
    new = old & ~mask | value << shift & mask
    _replace(skb, start + first, new.to_bytes(last - first), field.base)
    return True


def _replace(skb: Skb, at: int, new: bytes, base: str) -> None:
    """Change bytes and the checksum that covers them; whole 16-bit words count."""
    low, high = at & ~1, min((at + len(new) + 1) & ~1, len(skb.data) & ~1)
    before = int.from_bytes(skb.data[low:high])
    skb.data[at : at + len(new)] = new
    change = checksum_change(before, int.from_bytes(skb.data[low:high]))
    if base == "network" and skb.family == 4:
        skb.fix_checksum(10, change)
    elif base == "transport":
        skb.fix_l4_checksum(change)
    skb.parse()


def _set_src(skb: Skb, value: int) -> bool:
    skb.set_src(value)
    return True


def _set_dst(skb: Skb, value: int) -> bool:
    skb.set_dst(value)
    return True


def _set_ttl(skb: Skb, value: int) -> bool:
    skb.set_ttl(value)
    return True


def _set_dscp(skb: Skb, value: int) -> bool:
    skb.set_tos(skb.tos & 3 | value << 2)
    return True


def _set_ecn(skb: Skb, value: int) -> bool:
    skb.set_tos(skb.tos & 0xFC | value)
    return True


_SETTERS = {
    ("ip", "saddr"): _set_src,
    ("ip", "daddr"): _set_dst,
    ("ip6", "saddr"): _set_src,
    ("ip6", "daddr"): _set_dst,
    ("ip", "ttl"): _set_ttl,
    ("ip6", "hoplimit"): _set_ttl,
    ("ip", "dscp"): _set_dscp,
    ("ip6", "dscp"): _set_dscp,
    ("ip", "ecn"): _set_ecn,
    ("ip6", "ecn"): _set_ecn,
}


def _options(skb: Skb) -> Iterator[tuple[int, int, int]]:
    """(kind, offset, length) of each TCP option."""
    if skb.proto != TCP or skb.frag_offset or len(skb.data) < skb.l4 + 20:
        return
    end = skb.l4 + (skb.data[skb.l4 + 12] >> 4) * 4
    if end > len(skb.data):
        return
    at = skb.l4 + 20
    for _ in range(_MAX_OPTIONS):
        if at >= end:
            return
        kind = skb.data[at]
        length = 1 if kind in (0, 1) else skb.data[at + 1] if at + 1 < end else 0
        if not length or at + length > end:
            return
        yield kind, at, length
        at += length


def tcp_option(option: TcpOption) -> Getter:
    """A function that reads a TCP option's field, or whether the option is there."""

    def read(packet: Packet) -> Value:
        for kind, at, length in _options(packet.skb):
            if kind == option.kind:
                if not option.field:
                    return 1
                first, size = option.offset // 8, option.bits // 8
                if first + size > length:
                    return None
                return int.from_bytes(packet.skb.data[at + first : at + first + size])
        return None if option.field else 0

    return read


def write_option(option: TcpOption, skb: Skb, value: int) -> bool:
    """Set a TCP option's field (nft_exthdr_tcp_set_eval). maxseg is only ever lowered."""
    for kind, at, length in _options(skb):
        if kind != option.kind:
            continue
        first, size = at + option.offset // 8, option.bits // 8
        if option.offset // 8 + size > length:
            return False
        old = int.from_bytes(skb.data[first : first + size])
        if option.option == "maxseg" and option.field == "size" and old <= value:
            return True
        new = value.to_bytes(size)
        if first % 2:
            _replace(skb, first, new, "transport")
        else:
            skb.data[first : first + size] = new
            skb.fix_l4_checksum(checksum_change(old, value))
        return True
    return True


def exthdr(field: Exthdr) -> Getter:
    """A function that reads an IPv6 extension header's field, or whether the header is there."""

    def read(packet: Packet) -> Value:
        skb = packet.skb
        at = _extension_at(skb, field.protocol)
        if not field.field:
            return int(at is not None)
        if at is None:
            return None
        first, last = at + field.offset // 8, at + (field.offset + field.bits + 7) // 8
        if last > len(skb.data):
            return None
        shift = last * 8 - (at * 8 + field.offset + field.bits)
        return int.from_bytes(skb.data[first:last]) >> shift & (1 << field.bits) - 1

    return read


def _extension_at(skb: Skb, wanted: int) -> int | None:
    if skb.family != 6:
        return None
    proto, at = skb.data[6], 40
    for _ in range(_MAX_EXTENSIONS):
        if proto == wanted:
            return at
        if at + 8 > len(skb.data):
            return None
        if proto in _EXTENSIONS:
            proto, at = skb.data[at], at + 8 + skb.data[at + 1] * 8
        elif proto == _FRAGMENT:
            proto, at = skb.data[at], at + 8
        else:
            return None
    return None
