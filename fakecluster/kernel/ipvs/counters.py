"""What IPVS counts per service, per destination and in all, and the rates it estimates from that (ip_vs_est.c).

Every two seconds each rate moves a quarter of the way to what the last two seconds showed. Here a counter catches up
on the periods that passed when it is next touched, so that no timer runs. (A real kernel also folds its per-CPU counts
only then, so that what it lists is up to two seconds old; here counts are current.)
"""

from __future__ import annotations

PERIOD_NS = 2_000_000_000
#: Periods after which a rate that sees nothing more is certainly zero.
MAX_PERIODS = 128
#: Fixed-point shifts of connection and packet rates, and of byte rates.
_COUNT_SHIFT, _BYTE_SHIFT = 9, 4
_NAMES = ("conns", "in_packets", "out_packets", "in_bytes", "out_bytes")


class Counters:
    """Connections, packets and bytes, in and out, since the last `zero`, and their rates per second."""

    __slots__ = ("_estimates", "_seen", "conns", "in_bytes", "in_packets", "out_bytes", "out_packets", "period")

    def __init__(self, period: int = 0) -> None:
        self.conns = self.in_packets = self.out_packets = self.in_bytes = self.out_bytes = 0
        self.period = period
        self._seen = (0, 0, 0, 0, 0)
        self._estimates = (0, 0, 0, 0, 0)

    @property
    def totals(self) -> tuple[int, int, int, int, int]:
        return (self.conns, self.in_packets, self.out_packets, self.in_bytes, self.out_bytes)

    def catch_up(self, period: int) -> None:
        """Close the periods before the one with this number."""
        passed = min(period - self.period, MAX_PERIODS)
        self.period = period
        now = self.totals
        deltas = [new - old for new, old in zip(now, self._seen, strict=True)]
        self._seen = now
        estimates = list(self._estimates)
        for _ in range(passed):
            for index, delta in enumerate(deltas):
                shift = _COUNT_SHIFT if index < 3 else _BYTE_SHIFT
                estimates[index] += ((delta << shift) - estimates[index]) >> 2
            deltas = [0] * 5
            if not any(estimates):
                break
        self._estimates = (estimates[0], estimates[1], estimates[2], estimates[3], estimates[4])

    def rates(self, period: int) -> tuple[int, int, int, int, int]:
        """Connections, packets in and out, bytes in and out per second."""
        if period != self.period:
            self.catch_up(period)
        cps, in_pps, out_pps, in_bps, out_bps = self._estimates
        return (
            (cps + 0x1FF) >> 10,
            (in_pps + 0x1FF) >> 10,
            (out_pps + 0x1FF) >> 10,
            (in_bps + 0xF) >> 5,
            (out_bps + 0xF) >> 5,
        )

    def zero(self) -> None:
        """Begin anew (ip_vs_zero_stats)."""
        for name in _NAMES:
            setattr(self, name, 0)
        self._seen = self._estimates = (0, 0, 0, 0, 0)

    def fork(self) -> Counters:
        copy = Counters(self.period)
        copy.conns, copy.in_packets, copy.out_packets, copy.in_bytes, copy.out_bytes = self.totals
        copy._seen, copy._estimates = self._seen, self._estimates
        return copy
