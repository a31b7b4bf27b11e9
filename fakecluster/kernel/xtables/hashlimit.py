"""Token buckets, and the named tables of them that the hashlimit match keeps (net/netfilter/xt_hashlimit.c)."""

from __future__ import annotations

from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import HotDrop
from fakecluster.rules.iptables.match_hashlimit import HashlimitMatch
from fakecluster.rules.iptables.numbers import mask_of

#: htable_create(): hash chains of a machine with more than 1 GB; entries at most, for each of them
DEFAULT_SIZE, ENTRIES_PER_CHAIN = 8192, 8
NS_PER_MS = 1_000_000


class Bucket:
    """Tokens in nanoseconds: `room` at most, `cost` a packet; full at first."""

    __slots__ = ("cost", "last_ns", "room", "tokens")

    def __init__(self, cost: int, room: int, now_ns: int) -> None:
        self.cost, self.room, self.tokens, self.last_ns = cost, room, room, now_ns

    def fork(self) -> Bucket:
        twin = Bucket(self.cost, self.room, self.last_ns)
        twin.tokens = self.tokens
        return twin

    def take(self, now_ns: int) -> bool:
        self.tokens = min(self.tokens + now_ns - self.last_ns, self.room)
        self.last_ns = now_ns
        if self.tokens < self.cost:
            return False
        self.tokens -= self.cost
        return True


def table_key(value: HashlimitMatch) -> tuple[str, str]:
    """Under what the table of a match is kept: rules of one family with one name share it."""
    return value.name, f"hashlimit{value.family}"


class HashlimitTable:
    """The buckets of one name. The rule that made it says rate, mode, masks, sizes and times for all that share it."""

    def __init__(self, value: HashlimitMatch, now_ns: int) -> None:
        self.value, self.opened_ns = value, now_ns
        size = value.size or DEFAULT_SIZE
        self.most = max(value.maximum, size) if value.maximum else size * ENTRIES_PER_CHAIN
        self.held: dict[tuple[int, ...], tuple[Bucket, int]] = {}

    def fork(self) -> HashlimitTable:
        twin = HashlimitTable(self.value, self.opened_ns)
        twin.held = {key: (bucket.fork(), end) for key, (bucket, end) in self.held.items()}
        return twin

    def bucket(self, skb: Skb, now_ns: int) -> Bucket:
        """The packet's bucket, kept for another while. Raises `HotDrop` when the table is full."""
        self._collect(now_ns)
        value, key = self.value, self._key(skb)
        found = self.held.get(key)
        if found is None and len(self.held) >= self.most:
            raise HotDrop
        cost = value.cost * 1000
        bucket = found[0] if found else Bucket(cost, cost * value.burst, now_ns)
        self.held[key] = bucket, now_ns + value.expire * NS_PER_MS
        return bucket

    def _collect(self, now_ns: int) -> None:
        """Forget what had ended when the table was last gone through: every so often since it was made (htable_gc)."""
        interval = max(self.value.gc_interval, 1) * NS_PER_MS
        last_ns = now_ns - (now_ns - self.opened_ns) % interval
        for key in [key for key, (_bucket, end) in self.held.items() if end <= last_ns]:
            del self.held[key]

    def _key(self, skb: Skb) -> tuple[int, ...]:
        value, has_ports = self.value, skb.has_ports
        fields = {
            "srcip": skb.src & mask_of(value.srcmask, value.family),
            "dstip": skb.dst & mask_of(value.dstmask, value.family),
            "srcport": skb.sport if has_ports else 0,
            "dstport": skb.dport if has_ports else 0,
        }
        return tuple(fields[name] for name in value.mode)
