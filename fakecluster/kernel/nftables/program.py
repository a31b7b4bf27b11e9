"""How a rule is run: a packet's context, and what one operation of a compiled rule may answer.

An operation is a function of the packet. It answers None (go on), `BREAK` (this rule does not apply; next rule) or a
Verdict. A value is an int, a str (interface names) or a tuple of them; None means that the packet has no such thing,
which also breaks the rule (NFT_BREAK).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakecluster.rules.nft.expressions import Verdict

if TYPE_CHECKING:
    from fakecluster.kernel.hooks import HookContext
    from fakecluster.kernel.nftables.ruleset import Nftables
    from fakecluster.kernel.nftables.state import Table
    from fakecluster.kernel.packet import Skb


class Break:
    """The answer of a match that does not hold."""

    def __repr__(self) -> str:
        return "BREAK"


BREAK = Break()
ACCEPT, DROP = Verdict("accept"), Verdict("drop")
#: The packet is no longer ours.
STOLEN = Verdict("stolen")


class Packet:
    """One packet on its way through one base chain."""

    __slots__ = ("ctx", "ruleset", "skb", "table")

    def __init__(self, skb: Skb, ctx: HookContext, ruleset: Nftables, table: Table) -> None:
        self.skb, self.ctx, self.ruleset, self.table = skb, ctx, ruleset, table

    @property
    def now_ns(self) -> int:
        return self.ruleset.netns.clock.now_ns


Value = Any
Answer = Break | Verdict | None
Operation = Callable[[Packet], Answer]
Getter = Callable[[Packet], Value]
