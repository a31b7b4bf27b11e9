"""Matches with a memory or with chance: recent, statistic, limit, hashlimit, quota, nfacct.

Sources: net/netfilter/xt_recent.c, xt_statistic.c, xt_limit.c, xt_hashlimit.c, xt_quota.c, nft_limit.c.
"""

from __future__ import annotations

from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import Building, Test
from fakecluster.kernel.xtables.hashlimit import Bucket, HashlimitTable, table_key
from fakecluster.kernel.xtables.headers import out_name
from fakecluster.rules.iptables.match_hashlimit import HashlimitMatch
from fakecluster.rules.iptables.match_rate import (
    LIMIT_SCALE,
    ONE,
    LimitMatch,
    NfacctMatch,
    QuotaMatch,
    RecentMatch,
    StatisticMatch,
    rate_text,
)

NS_PER_S = 1_000_000_000
UNIT_NS = {"day": 86400 * NS_PER_S, "hour": 3600 * NS_PER_S, "min": 60 * NS_PER_S, "sec": NS_PER_S}


def recent(value: RecentMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        table = ctx.netns.xtables.recent[value.name]
        address = (skb.dst if value.by_destination else skb.src) & value.mask
        forwarded = out_name(skb, ctx) and skb.uid is None and not skb.generated
        ttl = skb.ttl + 1 if forwarded else skb.ttl  # as it was before forwarding
        return table.match(value, (skb.family, address), ttl, ctx.netns.clock.now_ns) != value.inverted

    return test


def statistic(value: StatisticMatch, building: Building) -> Test:
    inverted, weight, rule = value.inverted, value.weight, building.rule
    if value.mode == "random":
        if weight in (0, ONE):
            held = (weight == ONE) != inverted
            return lambda _skb, _ctx: held
        weights = (weight, ONE - weight)
        why = f"statistic --probability {weight}/2^31"
        return lambda skb, ctx: (ctx.netns.pick(skb, weights, why) == 0) != inverted
    key, last, start = (rule, "nth"), value.every - 1, value.every - 1 - value.packet

    def nth(_skb: Skb, ctx: HookContext) -> bool:
        counter: list[int] = ctx.netns.xtables.states.held.setdefault(key, [start])
        counter[0] = 0 if counter[0] == last else counter[0] + 1
        return (counter[0] == 0) != inverted

    return nth


def limit(value: LimitMatch, building: Building) -> Test:
    rule = building.rule
    if building.backend == "nft":  # a native limit: so many packets in a unit of time
        count, _, unit = rate_text(value.period, LIMIT_SCALE).partition("/")
        cost, room = UNIT_NS[unit] // int(count), UNIT_NS[unit] // int(count) * (value.burst or 5)
    else:
        cost = value.period * (NS_PER_S // LIMIT_SCALE)
        room = cost * value.burst

    def test(_skb: Skb, ctx: HookContext) -> bool:
        now_ns, held = ctx.netns.clock.now_ns, ctx.netns.xtables.states.held
        bucket = held.get((rule, "limit"))
        if bucket is None:
            bucket = held[rule, "limit"] = Bucket(cost, room, now_ns)
        return bool(bucket.take(now_ns))

    return test


def hashlimit(value: HashlimitMatch, _building: Building) -> Test:
    key, above = table_key(value), value.above

    def test(skb: Skb, ctx: HookContext) -> bool:
        table: HashlimitTable = ctx.netns.xtables.states.held[key]
        return table.bucket(skb, ctx.netns.clock.now_ns).take(ctx.netns.clock.now_ns) != above

    return test


def quota(value: QuotaMatch, building: Building) -> Test:
    rule = building.rule

    def test(skb: Skb, ctx: HookContext) -> bool:
        left = ctx.netns.xtables.states.held.setdefault((rule, "quota"), [value.bytes])
        if left[0] >= len(skb.data):
            left[0] -= len(skb.data)
            return not value.inverted
        left[0] = 0
        return value.inverted

    return test


def nfacct(value: NfacctMatch, _building: Building) -> Test:
    def test(skb: Skb, ctx: HookContext) -> bool:
        account = ctx.netns.xtables.accounts.setdefault(value.name, [0, 0])
        account[0] += 1
        account[1] += len(skb.data)
        if skb.trail is not None:
            skb.trail.counters.append(account)
        return True

    return test
