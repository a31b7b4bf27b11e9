"""Blocks of plain elements, ``{ A . B : VERDICT, ... }``, read at one go by the types of their set."""

from __future__ import annotations

import re

from fakecluster.rules.nft import datatypes
from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.expressions import Concat, Const, Element, Expression, Prefix, Verdict
from fakecluster.rules.nft.objects import SetSpec
from fakecluster.rules.nft.parse_verdict import PLAIN
from fakecluster.rules.nft.shapes import NAME

#: Values remembered per type, so that a protocol or port that comes again is not read again.
REMEMBERED = 200_000
#: What may stand around a word.
BLANK = " \t\r\n"
#: Kinds of types whose values are one word without quotes, whatever it is.
_PLAIN_KINDS = frozenset(("integer", "service", "address4", "address6", "mac"))
_WORD = re.compile(r"[0-9A-Za-z_:.-]+", re.ASCII)
_JUMP = re.compile(rf"(jump|goto)\s+({NAME})", re.ASCII)
_remembered: dict[Datatype, dict[str, Const]] = {}


def memory(datatype: Datatype) -> dict[str, Const]:
    """Values of a type by their text."""
    found = _remembered.setdefault(datatype, {})
    if len(found) > REMEMBERED:
        found.clear()
    return found


def elements_of(block: str, spec: SetSpec) -> tuple[Element, ...] | None:
    """The elements of a block; None when some is not plain (and the block must be read word by word)."""
    if block[:1] != "{" or block[-1:] != "}" or '"' in block or any(t.kind not in _PLAIN_KINDS for t in spec.key):
        return None
    if spec.data_kind and spec.data_kind != "verdict":
        return None
    reader = _Reader(spec)
    try:
        items = block[1:-1].split(",")
        if len(items) > 1 and not items[-1].strip(BLANK):
            items.pop()
        return tuple([reader.element(item) for item in items])
    except ValueError:
        return None


class _Reader:
    """Reads elements of one set. Raises ValueError at what is not plain."""

    def __init__(self, spec: SetSpec) -> None:
        self.parts = [(memory(each), each, bits) for each, bits in zip(spec.key, spec.key_bits, strict=True)]
        self.is_map, self.is_one, self.interval = spec.is_map, len(self.parts) == 1, "interval" in spec.flags

    def element(self, item: str) -> Element:
        if not self.is_map:
            return Element(self._key(item))
        key, colon, data = item.partition(" : ")
        if not colon:
            raise ValueError
        return Element(self._key(key), _verdict(data))

    def _key(self, text: str) -> Expression:
        if self.is_one:
            word = text.strip(BLANK)
            return self.parts[0][0].get(word) or self._one(word)
        words = text.split(" . ")
        if len(words) != len(self.parts):
            raise ValueError
        return Concat(tuple([known.get(word := text.strip(BLANK)) or _const(word, known, datatype, bits)
                             for text, (known, datatype, bits) in zip(words, self.parts, strict=True)]))  # fmt: skip

    def _one(self, word: str) -> Expression:
        known, datatype, bits = self.parts[0]
        if not self.interval or "/" not in word:
            return _const(word, known, datatype, bits)
        first, _slash, length = word.partition("/")
        value, size = _const(first, known, datatype, bits), bits or datatype.bits
        if not (length.isascii() and length.isdigit()) or int(length) > size or not isinstance(value.raw, int):
            raise ValueError
        free = size - int(length)
        return Prefix(datatype, value.raw >> free << free, int(length)) if free else value


def _const(word: str, known: dict[str, Const], datatype: Datatype, bits: int) -> Const:
    if not _WORD.fullmatch(word) or word == "timeout":
        raise ValueError
    found = known[word] = Const(datatype, datatypes.parse(word, datatype, bits))
    return found


def _verdict(text: str) -> Verdict:
    text = text.strip(BLANK)
    plain = PLAIN.get(text)
    if plain is not None:
        return plain
    found = _JUMP.fullmatch(text)
    if found is None:
        raise ValueError
    return Verdict(found[1], found[2])
