"""Counters, quotas, limits and connection limits: what they remember and how a packet changes it.

Each keeps a list of ints in the ruleset's `states`, so that a fork copies numbers and nothing else.
Source: nft_counter.c, nft_quota.c, nft_limit.c, nft_connlimit.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.rules.nft.statements import ConnLimit, Counter, Limit, Quota, Statement

if TYPE_CHECKING:
    from fakecluster.kernel.packet import Skb

NS_PER_S = 1_000_000_000
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
Stateful = Counter | Quota | Limit
State = list[int]


def initial(statement: Stateful, now_ns: int) -> State:
    """The state of a statement that no packet has met yet."""
    if isinstance(statement, Counter):
        return [statement.packets, statement.bytes]
    if isinstance(statement, Quota):
        return [statement.used]
    return [_full(statement), now_ns]


def _full(limit: Limit) -> int:
    nsecs = _UNIT_S[limit.unit] * NS_PER_S
    if limit.kind == "packets":
        return nsecs // limit.rate * limit.burst
    return nsecs * (limit.rate + limit.burst) // limit.rate


def count(pair: State, skb: Skb) -> None:
    """Let a counter count a packet."""
    pair[0] += 1
    pair[1] += len(skb.data)
    if skb.trail is not None:
        skb.trail.counters.append(pair)


def passes(statement: Stateful, state: State, length: int, now_ns: int) -> bool:
    """Let a packet of `length` bytes go by; False when the rule ends here for it."""
    if isinstance(statement, Counter):
        state[0] += 1
        state[1] += length
        return True
    if isinstance(statement, Quota):
        state[0] += length
        return (state[0] > statement.limit) == statement.over  # what just depletes it is not over (since Linux 6.16)
    return _within(statement, state, length, now_ns) != statement.over


def _within(limit: Limit, state: State, length: int, now_ns: int) -> bool:
    nsecs = _UNIT_S[limit.unit] * NS_PER_S
    cost = nsecs // limit.rate if limit.kind == "packets" else nsecs * length // limit.rate
    tokens = min(_full(limit), state[0] + now_ns - state[1])
    state[1] = now_ns
    if tokens >= cost:
        state[0] = tokens - cost
        return True
    state[0] = tokens
    return False


def shown(statement: Statement, state: State | None) -> Statement:
    """The statement with its present values, for a listing."""
    if state is None:
        return statement
    if isinstance(statement, Counter):
        return Counter(state[0], state[1])
    if isinstance(statement, Quota):
        return attrs.evolve(statement, used=min(state[0], statement.limit))
    return statement


def remembers(statement: object) -> bool:
    """Whether a statement has state of this kind."""
    return isinstance(statement, Counter | Quota | Limit)


__all__ = ["ConnLimit", "State", "Stateful", "initial", "passes", "remembers", "shown"]
