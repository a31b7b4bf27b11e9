"""Putting fragments together and cutting packets into them (ip_fragment.c, nf_defrag_ipv4.c, ip_output.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.hooks import ACCEPT, DROP, OUTPUT, PREROUTING, STOLEN, HookContext, Priority
from fakecluster.kernel.packet import Skb

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

#: How long a datagram may stay incomplete (net.ipv4.ipfrag_time; IPv6: 60 s), and how many may wait at once.
TIMEOUT_NS = {4: 30 * 10**9, 6: 60 * 10**9}
MAX_QUEUES = 4096
MAX_DATAGRAM = 65535
FRAGMENT_HEADER = 44


@attrs.define
class Queue:
    """The fragments of one datagram so far: offset -> payload."""

    started_ns: int
    parts: dict[int, bytes] = attrs.field(factory=dict)
    total: int | None = None
    first: Skb | None = None
    largest: int = 0


class Fragments:
    """The reassembly queues of a namespace."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.queues: dict[tuple[int, int, int, int, int, str], Queue] = {}
        self.needed: dict[int, set[str]] = {4: set(), 6: set()}

    def need(self, family: int, owner: str) -> None:
        """Put fragments together before everything else, until the last owner releases it (nf_defrag_ipv4_enable)."""
        if not self.needed[family]:
            for hook in (PREROUTING, OUTPUT):
                self.netns.hooks.register(family, hook, Priority.CONNTRACK_DEFRAG, "defrag", self.hook, steady=True)
        self.needed[family].add(owner)

    def release(self, family: int, owner: str) -> None:
        had = bool(self.needed[family])
        self.needed[family].discard(owner)
        if had and not self.needed[family]:
            for hook in (PREROUTING, OUTPUT):
                self.netns.hooks.unregister(family, hook, "defrag")

    def hook(self, skb: Skb, ctx: HookContext) -> int:
        """Conntrack's defragmentation, before everything but the earliest raw chains."""
        if not skb.is_fragment and not is_atomic(skb):
            return ACCEPT
        user = "conntrack in" if ctx.hook == PREROUTING else "conntrack out"
        verdict = self.gather(skb, user)
        skb.taken = skb.taken or verdict == STOLEN  # who sent it hears of no error
        if skb.tracer is not None:
            words = {ACCEPT: "datagram complete", STOLEN: "held until the datagram is complete", DROP: "bad fragment"}
            skb.tracer.note("fragment", words[verdict])
        return verdict

    def gather(self, skb: Skb, user: str) -> int:
        """Take a fragment in: STOLEN while the datagram is incomplete, ACCEPT when `skb` has become the whole."""
        now = self.netns.clock.now_ns
        key = (skb.family, skb.src, skb.dst, skb.proto if skb.family == 4 else 0, identification(skb), user)
        queue = self.queues.get(key)
        if queue is None or now - queue.started_ns > TIMEOUT_NS[skb.family]:
            if len(self.queues) >= MAX_QUEUES:
                self._expire(now)
            queue = self.queues[key] = Queue(now)
        header = header_length(skb)
        payload = bytes(skb.data[header:])
        end = skb.frag_offset + len(payload)
        if end > MAX_DATAGRAM or (skb.more_fragments and len(payload) % 8) or self._overlaps(queue, skb, end):
            del self.queues[key]
            return DROP
        if not skb.more_fragments:
            queue.total = end
        if not skb.frag_offset:
            queue.first = skb.copy()
        queue.parts[skb.frag_offset] = payload
        queue.largest = max(queue.largest, len(skb.data))
        if queue.total is None or queue.first is None or sum(map(len, queue.parts.values())) != queue.total:
            return STOLEN
        del self.queues[key]
        _become_whole(skb, queue)
        return ACCEPT

    def _overlaps(self, queue: Queue, skb: Skb, end: int) -> bool:
        if queue.total is not None and (end > queue.total or (not skb.more_fragments and end != queue.total)):
            return True
        return any(at < end and skb.frag_offset < at + len(part) for at, part in queue.parts.items())

    def _expire(self, now: int) -> None:
        kept = {key: queue for key, queue in self.queues.items() if now - queue.started_ns <= TIMEOUT_NS[key[0]]}
        self.queues = dict(list(kept.items())[-MAX_QUEUES // 2 :])

    def fork(self, netns: Netns) -> Fragments:
        copy = Fragments(netns)
        copy.queues = {key: attrs.evolve(queue, parts=queue.parts.copy()) for key, queue in self.queues.items()}
        return copy


def identification(skb: Skb) -> int:
    if skb.family == 4:
        return skb.data[4] << 8 | skb.data[5]
    at = fragment_header(skb)
    return int.from_bytes(skb.data[at + 4 : at + 8])


def fragment_header(skb: Skb) -> int:
    """The offset of an IPv6 packet's fragment header (the one right before what `l4` points to)."""
    return skb.l4 - 8


def is_atomic(skb: Skb) -> bool:
    """An IPv6 packet with a fragment header that is all of its datagram (RFC 6946): the header goes too."""
    return skb.family == 6 and skb.l4 >= 48 and skb.data[_last_extension(skb, skb.l4 - 8)] == FRAGMENT_HEADER


def header_length(skb: Skb) -> int:
    """How many bytes of a fragment are not its payload."""
    return (skb.data[0] & 15) * 4 if skb.family == 4 else skb.l4


def _become_whole(skb: Skb, queue: Queue) -> None:
    assert queue.first is not None
    payload = b"".join(part for _, part in sorted(queue.parts.items()))
    first = queue.first
    if skb.family == 4:
        header = bytearray(first.data[: header_length(first)])
        header[2:4] = (len(header) + len(payload)).to_bytes(2)
        header[6:8] = bytes((header[6] & 0x40, 0))
        skb.data = header + payload
    else:
        at = fragment_header(first)
        header = bytearray(first.data[:at])
        if at == 40:
            header[6] = first.data[at]
        else:
            header[_last_extension(first, at)] = first.data[at]
        header[4:6] = (len(header) - 40 + len(payload)).to_bytes(2)
        skb.data = header + payload
    skb.frag_max_size = queue.largest
    skb.parse()
    skb.refresh_ip_checksum()


def _last_extension(skb: Skb, at: int) -> int:
    """Where the next-header byte that leads to offset `at` stands."""
    place, offset = 6, 40
    while offset < at:
        place, offset = offset, offset + 8 + skb.data[offset + 1] * 8
    return place


def cut(skb: Skb, mtu: int, *, ident: int) -> Iterator[bytes]:
    """The fragments of a packet, each at most `mtu` bytes (ip_do_fragment, ip6_fragment)."""
    if skb.frag_max_size:
        mtu = min(mtu, skb.frag_max_size)
    yield from _cut4(skb, mtu) if skb.family == 4 else _cut6(skb, mtu, ident)


def _cut4(skb: Skb, mtu: int) -> Iterator[bytes]:
    size = header_length(skb)
    payload = bytes(skb.data[size:])
    room = mtu - size & ~7
    base, more_after = skb.frag_offset, skb.more_fragments
    for at in range(0, len(payload), room):
        part = payload[at : at + room]
        header = bytearray(skb.data[:size])
        more = more_after or at + room < len(payload)
        header[2:4] = (size + len(part)).to_bytes(2)
        header[6:8] = ((0x2000 if more else 0) | (header[6] & 0x40) << 8 | (base + at) // 8).to_bytes(2)
        piece = Skb(header + part)
        piece.refresh_ip_checksum()
        yield bytes(piece.data)


def _cut6(skb: Skb, mtu: int, ident: int) -> Iterator[bytes]:
    payload = bytes(skb.data[40:])
    room = mtu - 48 & ~7
    for at in range(0, len(payload), room):
        part = payload[at : at + room]
        header = bytearray(skb.data[:40])
        header[4:6] = (8 + len(part)).to_bytes(2)
        header[6] = 44
        more = at + room < len(payload)
        yield bytes(header + bytes((skb.data[6], 0)) + (at | more).to_bytes(2) + ident.to_bytes(4) + part)
