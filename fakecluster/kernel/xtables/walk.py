"""The walk of a packet through one table at one hook: rules in order, jumps and returns, counters, trace.

Source: ip_tables.c (ipt_do_table), nf_tables_core.c (nft_do_chain); both give the same verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.kernel.hooks import ACCEPT, DROP, HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import CONTINUE, RETURN, Code, HotDrop
from fakecluster.kernel.xtables.dispatch import Compiled, compiled
from fakecluster.rules.iptables.ruleset import POLICY, Table
from fakecluster.trace import Tracer

_WORDS = {ACCEPT: "accept", DROP: "drop", CONTINUE: "continue", RETURN: "return"}


def walk(table: Table, title: str, base: str, backend: str, skb: Skb, ctx: HookContext) -> int:
    """Run the packet through the base chain `base`; the answer is a netfilter verdict.

    All in one function: a call for each rule that matches, only to count it, makes a walk an eighth slower.
    """
    chains, counters, tracer = table.chains, table.counters, skb.tracer
    known = chains[base].derived
    chain = known if type(known) is Compiled else compiled(chains[base], backend)
    codes, start = iter(chain.root.codes or chain.candidates(skb)), 0
    stack: list[tuple[Compiled, Iterator[Code], int]] = []  # an iterator knows where its chain was left
    while True:
        try:
            for code in codes:
                if code.is_steady or skb.trail is None:
                    for test in code.tests:
                        if not test(skb, ctx):
                            break
                    else:
                        break
                elif code.matches_on_trail(skb, ctx):
                    break
            else:
                if tracer is not None:
                    tracer.rules_walked += chain.size - start
                    tracer.end(title, chain.name, "chain-end", "continue", skb.mark)
                if not stack:
                    break
                chain, codes, start = stack.pop()
                continue
        except HotDrop:
            _trace(tracer, title, chain, code, start, "drop", skb)
            return DROP
        held = counters.get(chain.name)
        if held is None:
            held = counters[chain.name] = {}
        pair = held.get(code.index)
        if pair is None:
            pair = held[code.index] = [0, 0]
        pair[0] += 1
        pair[1] += len(skb.data)
        if skb.trail is not None:
            skb.trail.counters.append(pair)
        if code.chain:
            if tracer is not None:
                word = "goto" if code.goto else "jump"
                _trace(tracer, title, chain, code, start, f"{word} {code.chain}", skb)
            if not code.goto:
                stack.append((chain, codes, code.index + 1))
            target = chains[code.chain]
            known = target.derived
            chain = known if type(known) is Compiled else compiled(target, backend)
            codes, start = iter(chain.root.codes or chain.candidates(skb)), 0
            continue
        verdict = code.verdict if code.act is None else code.act(skb, ctx)
        if tracer is not None:
            _trace(tracer, title, chain, code, start, _WORDS.get(verdict, "stolen"), skb)
            start = code.index + 1
        if verdict == CONTINUE:
            continue
        if verdict != RETURN:
            return verdict
        if not stack:
            break
        chain, codes, start = stack.pop()
    return _policy(table, title, base, skb)


def _trace(
    tracer: Tracer | None, title: str, chain: Compiled, code: Code, start: int, verdict: str, skb: Skb
) -> None:  # fmt: skip
    if tracer is not None:
        tracer.rules_walked += code.index + 1 - start
        tracer.rule(title, chain.name, code.index + 1, code.rule, verdict, skb.mark)


def _policy(table: Table, title: str, base: str, skb: Skb) -> int:
    chain = table.chains[base]
    policy = chain.policy
    if chain.is_counted:
        pair = table.counters.setdefault(base, {}).setdefault(POLICY, [0, 0])
        pair[0] += 1
        pair[1] += len(skb.data)
        if skb.trail is not None:
            skb.trail.counters.append(pair)
    if skb.tracer is not None:
        skb.tracer.end(title, base, "policy", policy.lower(), skb.mark)
    return ACCEPT if policy == "ACCEPT" else DROP
