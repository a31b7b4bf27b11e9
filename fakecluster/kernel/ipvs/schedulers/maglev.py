"""mh: Maglev hashing of the client (ip_vs_mh.c). Its hash keys are constants of the kernel: nothing is random."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

from fakecluster.kernel.ipvs.schedulers.hashing import U32, TableHashing, fold

#: A prime (CONFIG_IP_VS_MH_TAB_INDEX 12).
TABLE_SIZE = 4093
KEY_PLACE, KEY_SKIP = 2654435761, 2654446892
#: Turns that the heaviest destination may take in one round of filling, in bits.
TURN_BITS = 6
U64 = 0xFFFFFFFFFFFFFFFF


class MaglevHashing(TableHashing):
    """mh: few clients move when a destination comes or goes."""

    __slots__ = ()

    def _bucket(self, source: int) -> int:
        return hsiphash(source & U32, KEY_PLACE) % TABLE_SIZE

    def _other_bucket(self, source: int, bucket: int, offset: int) -> int:
        return self._bucket(source + (offset + bucket) % TABLE_SIZE)

    def _fill(self) -> tuple[int, ...]:
        """Round by round each destination takes the next free buckets of a sequence of its own."""
        destinations = self.service.destinations
        turns = _turns([destination.last_weight for destination in destinations])
        if not any(turns):
            self.table = ()
            return ()
        walks = [_sequence(fold(d.family, d.address) + d.port & U32) for d in destinations]
        places = [place for place, _ in walks]
        table = [-1] * TABLE_SIZE
        free = TABLE_SIZE
        while free:
            for index, count in enumerate(turns):
                place, skip = places[index], walks[index][1]
                for _ in range(min(count, free)):
                    while table[place] >= 0:
                        place = (place + skip) % TABLE_SIZE
                    table[place] = index
                    place = (place + skip) % TABLE_SIZE
                    free -= 1
                places[index] = place
        self.table = tuple(table)
        return self.table


def _turns(weights: list[int]) -> list[int]:
    """How many buckets each weight takes per round: divided by their common measure, and bounded."""
    measure = gcd(*weights) or 1
    shift = max(0, (max(weights, default=0) // measure).bit_length() - TURN_BITS)
    return [max(1, weight // measure >> shift) if weight else 0 for weight in weights]


@lru_cache(maxsize=65536)
def _sequence(value: int) -> tuple[int, int]:
    """(first bucket, distance to the next) of a destination."""
    return hsiphash(value, KEY_PLACE) % TABLE_SIZE, hsiphash(value, KEY_SKIP) % (TABLE_SIZE - 1) + 1


@lru_cache(maxsize=65536)
def hsiphash(value: int, key: int) -> int:
    """SipHash-1-3 of a little-endian 32-bit value, both key halves equal, cut to 32 bits (hsiphash_1u32)."""
    v0, v1 = key ^ 0x736F6D6570736575, key ^ 0x646F72616E646F6D
    v2, v3 = key ^ 0x6C7967656E657261, key ^ 0x7465646279746573
    block = 4 << 56 | value
    v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ block)
    v0, v2 = v0 ^ block, v2 ^ 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return (v0 ^ v1 ^ v2 ^ v3) & U32


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = v0 + v1 & U64
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 = v2 + v3 & U64
    v3 = _rotate(v3, 16) ^ v2
    v0 = v0 + v3 & U64
    v3 = _rotate(v3, 21) ^ v0
    v2 = v2 + v1 & U64
    v1 = _rotate(v1, 17) ^ v2
    return v0, v1, _rotate(v2, 32), v3


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & U64
