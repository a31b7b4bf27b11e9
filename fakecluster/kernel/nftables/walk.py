"""nft_do_chain: one base chain, rule by rule, with jumps and returns. Source: nf_tables_core.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel import hooks
from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.nftables.compile import operations
from fakecluster.kernel.nftables.program import BREAK, Answer, Operation, Packet
from fakecluster.kernel.nftables.state import Chain, LoadedRule, Table
from fakecluster.kernel.nftables.steady import steady_parts
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.trail import Steady
from fakecluster.rules.nft.print_statement import rule as rule_text

if TYPE_CHECKING:
    from fakecluster.kernel.nftables.ruleset import Nftables

_VERDICTS = {"accept": hooks.ACCEPT, "drop": hooks.DROP, "stolen": hooks.STOLEN}
#: Chains that may be nested (NFT_JUMP_STACK_SIZE); the loader refuses more, so this is only a guard.
MAX_DEPTH = 16


def run(ruleset: Nftables, table: Table, chain: Chain, skb: Skb, ctx: HookContext) -> int:
    """Run a base chain; the answer is a netfilter verdict."""
    packet = Packet(skb, ctx, ruleset, table)
    base = chain.spec.base
    assert base is not None
    verdict = _run(packet, chain)
    if verdict is None:
        if skb.tracer is not None:
            skb.tracer.end(str(table.name), chain.spec.name, "policy", base.policy, skb.mark)
        verdict = base.policy
    return _VERDICTS[verdict]


def _run(packet: Packet, chain: Chain) -> str | None:
    stack: list[tuple[Chain, int]] = []
    position = 0
    tracer = packet.skb.tracer
    while True:
        answer, position = _rules(packet, chain, position)
        kind = "return" if answer is None else answer.kind  # type: ignore[union-attr]
        if kind in _VERDICTS:
            return kind
        if kind in ("jump", "goto"):
            target = packet.table.chains[answer.chain]  # type: ignore[union-attr]
            if kind == "jump":
                stack.append((chain, position))
            chain, position = target, 0
            continue
        if answer is None and tracer is not None:
            tracer.end(str(packet.table.name), chain.spec.name, "chain-end", "continue", packet.skb.mark)
        if not stack:
            return None
        chain, position = stack.pop()


def _rules(packet: Packet, chain: Chain, position: int) -> tuple[Answer, int]:
    """Rules from `position` on, until one gives a verdict; None at the end of the chain."""
    rules = chain.rules
    tracer = packet.skb.tracer
    while position < len(rules):
        loaded = rules[position]
        position += 1
        compiled = loaded.operations
        if compiled is None:
            compiled = loaded.operations = operations(loaded.rule, packet.table.name.family, loaded.handle)
        answer: Answer = None
        if packet.skb.trail is not None:
            if loaded.steady is None:
                loaded.steady = steady_parts(loaded.rule)
            answer = _on_trail(packet, compiled, loaded.steady)
        else:
            for operation in compiled:
                answer = operation(packet)
                if answer is not None:
                    break
        if tracer is not None:
            tracer.rules_walked += 1
            if answer is not BREAK:
                _trace(packet, chain, position, loaded, answer)
        if answer is not None and answer is not BREAK and answer.kind != "continue":  # type: ignore[union-attr]
            return answer, position
    return None, position


def _on_trail(packet: Packet, compiled: tuple[Operation, ...], steady: Steady) -> Answer:
    """One rule for a packet whose walk may be remembered: no longer, once something is asked that is not steady."""
    asked, answer = 0, None
    for operation in compiled:
        asked += 1
        answer = operation(packet)
        if answer is not None:
            break
    trail = packet.skb.trail
    if trail is not None and not trail.holds(steady, asked):
        packet.skb.trail = None
    return answer


def _trace(packet: Packet, chain: Chain, number: int, loaded: LoadedRule, answer: Answer) -> None:
    tracer = packet.skb.tracer
    assert tracer is not None
    text = loaded.text
    if text is None:
        text = loaded.text = rule_text(loaded.rule, packet.table.name.family)
    if answer is None:
        verdict = "continue"
    else:
        chain_name = answer.chain  # type: ignore[union-attr]
        verdict = f"{answer.kind} {chain_name}" if chain_name else answer.kind  # type: ignore[union-attr]
    tracer.rule(str(packet.table.name), chain.spec.name, number, text, verdict, packet.skb.mark)
