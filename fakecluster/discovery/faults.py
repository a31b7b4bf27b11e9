"""What a DNS server can get wrong: say nothing, say no, or say something else."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from ipaddress import ip_address

import attrs

from fakecluster.discovery import wire
from fakecluster.discovery.records import Answer, Record
from fakecluster.sim import Choices

SILENT, RCODES = "silent", ("NXDOMAIN", "SERVFAIL", "REFUSED")
TTL_S = 5


@attrs.frozen
class DnsFault:
    """Queries for names that end with `name` ("": all) are answered wrong with a probability.

    `what` is silent, a response code, or an address that is given instead. Raises ValueError for anything else.
    """

    what: str = attrs.field()
    name: str = ""
    probability: Fraction = Fraction(1)

    @what.validator
    def _known(self, attribute: object, value: str) -> None:
        if value == SILENT or value in RCODES:
            return
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(f"{value!r}: expected {SILENT}, {', '.join(RCODES)} or an address") from None

    def concerns(self, name: str) -> bool:
        return name.rstrip(".").lower().endswith(self.name.rstrip(".").lower())


def wronged(faults: Iterable[DnsFault], query: bytes, choices: Choices) -> tuple[bool, bytes | None]:
    """Whether a query is answered wrong, and with what (None: not at all)."""
    parsed = wire.parse_query(query)
    if not isinstance(parsed, wire.Query):
        return False, None
    question = parsed.question
    for fault in faults:
        chance = fault.probability
        weights = (chance.denominator - chance.numerator, chance.numerator)
        if fault.concerns(question.name) and (chance == 1 or choices.pick(weights, f"DNS fault {fault.what}")):
            if fault.what == SILENT:
                return True, None
            return True, wire.response(parsed, _answer(fault.what, question.name, question.type))
    return False, None


def _answer(what: str, name: str, rtype: str) -> Answer:
    if what in RCODES:
        return Answer(what)
    fitting = "A" if ip_address(what).version == 4 else "AAAA"
    return Answer.of([Record(name, TTL_S, fitting, what)] if rtype == fitting else [])
