"""The lists of the recent match (net/netfilter/xt_recent.c)."""

from __future__ import annotations

from fakecluster.rules.iptables.match_rate import RecentMatch

NS_PER_S = 1_000_000_000
#: ip_list_tot: addresses in a list; ip_pkt_list_tot rounded up: time stamps of an address
LIST_LIMIT, STAMPS_LIMIT = 100, 32
Key = tuple[int, int]


class Entry:
    """One address: when it was seen, as a ring of time stamps, and the TTL of its last packet."""

    __slots__ = ("index", "stamps", "ttl")

    def __init__(self, ttl: int, now_ns: int) -> None:
        self.ttl, self.stamps, self.index = ttl, [now_ns], 1

    def fork(self) -> Entry:
        twin = Entry(self.ttl, 0)
        twin.stamps, twin.index = self.stamps.copy(), self.index
        return twin


class RecentTable:
    """A named list, least recently seen first."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.stamps_limit = STAMPS_LIMIT

    def fork(self) -> RecentTable:
        twin = RecentTable()
        twin.entries = {key: entry.fork() for key, entry in self.entries.items()}
        twin.stamps_limit = self.stamps_limit
        return twin

    def make_room(self, hits: int) -> None:
        """A rule asks for so many hits: a list with too short rings forgets everything (recent_mt_check)."""
        wanted = 1 << (hits - 1).bit_length() if hits else STAMPS_LIMIT
        if wanted > self.stamps_limit:
            self.entries.clear()
            self.stamps_limit = wanted

    def match(self, value: RecentMatch, key: Key, ttl: int, now_ns: int) -> bool:
        """recent_mt(), before its inversion."""
        entry = self.entries.get(key)
        if entry is not None and value.rttl and entry.ttl != ttl:
            entry = None
        if entry is None:
            if value.action == "set":
                self._add(key, ttl, now_ns)
                return True
            return False
        if value.action == "remove":
            del self.entries[key]
            return True
        if value.action == "set":
            self._update(key, entry, ttl, now_ns)
            return True
        return self._look_up(value, key, entry, ttl, now_ns)

    def _look_up(self, value: RecentMatch, key: Key, entry: Entry, ttl: int, now_ns: int) -> bool:
        since = now_ns - value.seconds * NS_PER_S
        hits = sum(1 for stamp in entry.stamps if not value.seconds or stamp >= since)
        held = hits >= max(value.hitcount, 1)
        update = value.action == "update" and held != value.inverted
        if value.reap:
            self._reap(since, key, update=update)
        if update:
            self._update(key, entry, ttl, now_ns)
        return held

    def _reap(self, since: int, working: Key, *, update: bool) -> None:
        """Forget the least recently seen entry when it is too old."""
        oldest = next(iter(self.entries))
        if oldest == working and update:
            return
        entry = self.entries[oldest]
        if entry.stamps[entry.index - 1] < since:
            del self.entries[oldest]

    def _add(self, key: Key, ttl: int, now_ns: int) -> None:
        self.entries.pop(key, None)
        if len(self.entries) >= LIST_LIMIT:
            del self.entries[next(iter(self.entries))]
        self.entries[key] = Entry(ttl, now_ns)

    def _update(self, key: Key, entry: Entry, ttl: int, now_ns: int) -> None:
        at = entry.index % self.stamps_limit
        if at < len(entry.stamps):
            entry.stamps[at] = now_ns
        else:
            entry.stamps.append(now_ns)
        entry.index = at + 1
        entry.ttl = ttl
        self.entries.pop(key, None)
        self.entries[key] = entry
