"""nft's sets as ipsets: named ones under their name, anonymous ones under one made up, as `ipset restore` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from fakecluster.rules.ipset import NAME_LIMIT
from fakecluster.rules.nft.expressions import AnonymousSet, Concat, Element, Expression, Payload, SetRef, width
from fakecluster.rules.nft.intervals import bounds
from fakecluster.rules.nft.print_expression import expression
from fakecluster.rules.nft.printer import SetView
from fakecluster.rules.translate.condition import Spans, no
from fakecluster.rules.translate.words import address_word, span_word

SIDES = {"saddr": "src", "daddr": "dst", "sport": "src", "dport": "dst"}
#: Protocols whose ports ipset knows.
PORT_PROTOCOLS = ("tcp", "udp", "sctp", "udplite")
_KINDS = (["addr"], ["port"], ["addr", "port"])
#: Ports that one element of an address and a range of ports may become.
MOST_PORTS = 1024


def prefixes(low: int, high: int, bits: int) -> list[tuple[int, int]]:
    """The fewest prefixes that make up a range of addresses."""
    found = []
    while low <= high:
        size = low & -low if low else 1 << bits
        while size > high - low + 1:
            size >>= 1
        found.append((low, bits - size.bit_length() + 1))
        low += size
    return found


@attrs.define
class IpSets:
    """The sets that rules of one nft table refer to. `text` is what `ipset restore` takes before the rules are loaded."""

    family: int
    views: Mapping[str, SetView]
    taken: set[str]
    lines: list[str] = attrs.field(factory=list)
    names: dict[object, str] = attrs.field(factory=dict)

    def ports(self, found: Spans) -> str:
        """A bitmap of ports."""
        name = self._name(("ports", tuple(found)), "ports")
        if name not in self.taken:
            self._create(name, "bitmap:port range 0-65535", (span_word(*span) for span in found))
        return name

    def addresses(self, found: Spans, family: int, name: str = "") -> str:
        """A set of addresses or, when there are ranges, of networks."""
        name = name or self._name(("addresses", tuple(found)), "addresses")
        if name not in self.taken:
            single = all(low == high for low, high in found)
            kind = f"hash:{'ip' if single else 'net'} family {'inet' if family == 4 else 'inet6'}"
            self._create(name, kind, self._networks(found, family, single=single))
        return name

    def _networks(self, found: Spans, family: int, *, single: bool) -> Iterator[str]:
        bits = 32 if family == 4 else 128
        for low, high in found:
            for address, length in prefixes(low, high, bits):
                if single and not address:
                    raise no("the address of all zeros in a set")
                if not length:  # ipset knows no /0
                    yield from (f"{address_word(half << bits - 1, family)}/1" for half in (0, 1))
                else:
                    yield address_word(address, family) + ("" if single else f"/{length}")

    def of(self, parts: Sequence[Expression], source: Expression) -> tuple[str, list[str]]:
        """The ipset behind a look-up of `parts`: its name and the sides to look up."""
        fields = [part for part in parts if isinstance(part, Payload) and part.field in SIDES]
        sides, kinds = [SIDES[part.field] for part in fields], [part.field[1:] for part in fields]
        protocol = fields[-1].protocol if fields else ""
        if len(fields) != len(parts) or kinds not in _KINDS or (len(kinds) > 1 and protocol not in PORT_PROTOCOLS):
            raise no(f"a set of {' . '.join(expression(part) for part in parts)}")
        elements = self._elements(source)
        name = self._name(source, source.name if isinstance(source, SetRef) else "pairs")
        if len(kinds) > 1:
            self._pairs(name, elements, fields, protocol)
        elif name not in self.taken:
            found = [bounds(each.key, width(parts[0])) for each in elements if each.key is not None]
            if kinds == ["addr"]:
                self.addresses(found, self.family, name)
            else:
                self._create(name, "bitmap:port range 0-65535", (span_word(*span) for span in found))
        return name, sides

    def _elements(self, source: Expression) -> Sequence[Element]:
        if isinstance(source, AnonymousSet):
            elements: Sequence[Element] = source.elements
        else:
            assert isinstance(source, SetRef)
            view = self.views.get(source.name)
            if view is None or view.spec.flags & {"dynamic", "timeout"} or view.spec.timeout_ms:
                raise no(f"set {source.name}, which packets or time change")
            elements = view.elements
        if any(each.key is None or each.statements or each.timeout_ms for each in elements):
            raise no("elements that match all, count or end")
        return elements

    def _name(self, key: object, word: str) -> str:
        """The name of a set, the same every time; `word` with a number where it is taken."""
        if key not in self.names:
            name, number = word[:NAME_LIMIT], 1
            while name in self.taken or name in self.names.values():
                number += 1
                name = f"{word[: NAME_LIMIT - 4]}-{number}"
            self.names[key] = name
        return self.names[key]

    def _pairs(self, name: str, elements: Sequence[Element], parts: Sequence[Expression], protocol: str) -> None:
        """Addresses with ports; ipset's elements name the protocol as well, so that each one that asks adds its own."""
        spans_of = []
        for each in elements:
            assert isinstance(each.key, Concat)
            spans_of.append([bounds(key, width(part)) for key, part in zip(each.key.parts, parts, strict=True)])
        if any(high - low >= MOST_PORTS for _, (low, high) in spans_of):
            raise no(f"ranges of more than {MOST_PORTS} ports beside an address")
        single = all(low == high for (low, high), _ in spans_of)
        if name not in self.taken:
            kind = f"hash:{'ip' if single else 'net'},port family {'inet' if self.family == 4 else 'inet6'}"
            self._create(name, kind, ())
        for addresses, ports in spans_of:
            for network in self._networks([addresses], self.family, single=single):
                line = f"add {name} {network},{protocol}:{span_word(*ports)}"
                if line not in self.lines:
                    self.lines.append(line)

    def _create(self, name: str, kind: str, members: Iterator[str] | Sequence[str]) -> None:
        self.taken.add(name)
        self.lines += [f"create {name} {kind}", *(f"add {name} {member}" for member in members)]
