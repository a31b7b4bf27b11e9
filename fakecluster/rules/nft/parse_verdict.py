"""Text to verdicts."""

from __future__ import annotations

from fakecluster.rules.nft.expressions import Verdict
from fakecluster.rules.nft.tokens import Cursor

PLAIN = {word: Verdict(word) for word in ("accept", "drop", "continue", "return")}


def verdict(cursor: Cursor) -> Verdict:
    """``accept``, ``drop``, ``continue``, ``return``, ``jump CHAIN`` or ``goto CHAIN``."""
    word = cursor.word
    plain = PLAIN.get(word)
    if plain is not None:
        cursor.at += 1
        return plain
    if word in ("jump", "goto"):
        cursor.at += 1
        cursor.note("chain")
        return Verdict(word, cursor.name())
    cursor.unexpected()
