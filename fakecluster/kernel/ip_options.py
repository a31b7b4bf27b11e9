"""IPv4 options of received packets: record route and timestamps are filled in, broken ones refused (ip_options.c).

ip_rcv: every option is checked; a slot for this host is claimed and filled with the address that was addressed
ip_forward: the slot is filled again, with the address of the interface that the packet leaves by
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fakecluster.kernel.packet import Skb
from fakecluster.kernel.routing import Route

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

END, NOOP, RECORD_ROUTE, TIMESTAMP, LOOSE_ROUTE, STRICT_ROUTE = 0, 1, 7, 68, 131, 137
#: What the low bits of a timestamp option's fourth byte say: time stamps only, with addresses, of given addresses.
TIME_ONLY, TIME_AND_ADDRESS, PRESPECIFIED = 0, 1, 3
HEADER = 20
MS_PER_DAY = 86_400_000


class BadOption(Exception):
    """An option that does not make sense; `pointer` is the offset in the header that a parameter problem names."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        super().__init__(f"broken IP option at byte {pointer}")


def receive(netns: Netns, skb: Skb, route: Route) -> str:
    """Check and fill the options of an arriving packet; why it is dropped, "" when it is not. Raises `BadOption`."""
    end = (skb.data[0] & 15) * 4
    at, seen, filled = HEADER, set(), []
    while at < end:
        kind = skb.data[at]
        if kind == END:
            break
        if kind == NOOP:
            at += 1
            continue
        length = skb.data[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end or (kind in FILLERS and kind in seen):
            raise BadOption(at)
        seen.add(kind)
        if kind in (LOOSE_ROUTE, STRICT_ROUTE):
            return "source routing is off (accept_source_route)"
        filler = FILLERS.get(kind)
        if filler is not None:
            filled += filler(netns, skb, route, at, length)
        at += length
    skb.option_slots = tuple(filled)  # the checksum stays behind until the packet is forwarded
    return ""


def echoed(netns: Netns, skb: Skb, source: int) -> bytes:
    """The options of an answer to a packet: its recorded route and timestamps, gone on with (ip_options_echo).

    Before routing nobody has read them yet.
    """
    if skb.family == 6 or skb.data[0] & 15 == 5 or skb.route is None:
        return b""
    found = {skb.data[at]: at for at in _places(skb)}
    text = bytearray()
    for kind, needed in ((RECORD_ROUTE, 4), (TIMESTAMP, 8)):
        if kind in found:
            at = found[kind]
            option = bytearray(skb.data[at : at + skb.data[at + 1]])
            _go_on(netns, option, needed, source)
            text += option
    return bytes(text) + bytes(-len(text) % 4)


def _go_on(netns: Netns, option: bytearray, size: int, source: int) -> None:
    """Fill the next slot of a copied option with our address (and the time of day), if there is one."""
    pointer = option[2]
    flag = option[3] & 15 if option[0] == TIMESTAMP else TIME_AND_ADDRESS
    if flag == TIME_ONLY:
        size = 4
    if flag == PRESPECIFIED or pointer - 1 + size > len(option):
        return
    slot = pointer - 1
    if flag == TIME_AND_ADDRESS:
        option[slot : slot + 4] = source.to_bytes(4)
    if option[0] == TIMESTAMP:
        option[slot + size - 4 : slot + size] = milliseconds_of_day(netns).to_bytes(4)
    option[2] = pointer + size


def _places(skb: Skb) -> Iterator[int]:
    """Where each option of a packet that has been found sound begins."""
    at, end = HEADER, (skb.data[0] & 15) * 4
    while at + 1 < end and skb.data[at] != END:
        if skb.data[at] == NOOP:
            at += 1
            continue
        if skb.data[at + 1] < 2 or at + skb.data[at + 1] > end:
            return
        yield at
        at += skb.data[at + 1]


def forward(netns: Netns, skb: Skb) -> None:
    """The slots of this host carry the address that the packet leaves by (ip_forward_options)."""
    if not skb.option_slots:
        return
    route: Route = skb.route
    source = route.prefsrc or netns.addresses.select(route.oif, 4, route.next_hop(skb.dst))
    for at in skb.option_slots:
        skb.data[at : at + 4] = source.to_bytes(4)
    skb.refresh_ip_checksum()


def _own_address(netns: Netns, skb: Skb, route: Route) -> bytes:
    """The address that was spoken to (fib_compute_spec_dst)."""
    if route.kind == "local":
        return skb.dst.to_bytes(4)
    back = netns.routes.lookup(4, skb.src)
    if back is not None and back.oif:
        return (back.prefsrc or netns.addresses.select(back.oif, 4, back.next_hop(skb.src))).to_bytes(4)
    return netns.addresses.select(skb.iif, 4, skb.src).to_bytes(4)


def _record_route(netns: Netns, skb: Skb, route: Route, at: int, length: int) -> list[int]:
    data = skb.data
    if length < 3:
        raise BadOption(at + 1)
    pointer = data[at + 2]
    if pointer < 4:
        raise BadOption(at + 2)
    if pointer > length:
        return []
    if pointer + 3 > length:
        raise BadOption(at + 2)
    slot = at + pointer - 1
    data[slot : slot + 4] = _own_address(netns, skb, route)
    data[at + 2] = pointer + 4
    return [slot]


def _timestamp(netns: Netns, skb: Skb, route: Route, at: int, length: int) -> list[int]:
    data = skb.data
    if length < 4:
        raise BadOption(at + 1)
    pointer, flag = data[at + 2], data[at + 3] & 15
    if pointer < 5:
        raise BadOption(at + 2)
    if pointer > length:
        if flag != PRESPECIFIED:
            if data[at + 3] >> 4 == 15:
                raise BadOption(at + 3)
            data[at + 3] += 16
        return []
    size = 4 if flag == TIME_ONLY else 8
    if pointer - 1 + size > length:
        raise BadOption(at + 2)
    if flag not in (TIME_ONLY, TIME_AND_ADDRESS, PRESPECIFIED):
        raise BadOption(at + 3)
    slot = at + pointer - 1
    data[at + 2] = pointer + size
    if flag == PRESPECIFIED and not netns.addresses.is_local(4, int.from_bytes(data[slot : slot + 4])):
        return []
    if flag == TIME_AND_ADDRESS:
        data[slot : slot + 4] = _own_address(netns, skb, route)
    time_at = slot + size - 4
    data[time_at : time_at + 4] = milliseconds_of_day(netns).to_bytes(4)
    return [slot] if flag == TIME_AND_ADDRESS else []


#: Options that a host writes into: kind -> what fills it; the offsets of addresses that forwarding writes again.
FILLERS = {RECORD_ROUTE: _record_route, TIMESTAMP: _timestamp}


def milliseconds_of_day(netns: Netns) -> int:
    """Milliseconds since midnight UT (inet_current_timestamp)."""
    return (netns.clock.unix_s * 1000 + netns.clock.now_ns // 1_000_000 % 1000) % MS_PER_DAY
