"""One rule of nft as rules of iptables.

nft runs a rule's statements one after the other; a rule of iptables is matches and then one target. So a rule with
several actions becomes several rules with the same matches, as long as no action changes what they ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from fakecluster.rules.nft.expressions import AnonymousSet, Element, Meta, Verdict
from fakecluster.rules.nft.objects import Rule
from fakecluster.rules.nft.statements import Counter, Limit, Match, Quota, Statement, Vmap
from fakecluster.rules.translate.condition import ALWAYS, NEVER, Condition, Way, Ways, joined, no, one, sign
from fakecluster.rules.translate.to_ipset import IpSets
from fakecluster.rules.translate.to_iptables_match import match
from fakecluster.rules.translate.to_iptables_target import Action, action
from fakecluster.rules.translate.words import PORT_PROTOCOLS

_HEADER = ("-s", "-d", "-i", "-o", "-p", "-f")
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
#: xt_limit counts in ten-thousandths of a second.
LIMIT_SCALE = 10_000
_ENDINGS = {"accept": "ACCEPT", "drop": "DROP", "return": "RETURN"}
_INPUT, _OUTPUT = frozenset(("iif", "iifname")), frozenset(("oif", "oifname"))
_ABSENT = {"prerouting": _OUTPUT, "input": _OUTPUT, "output": _INPUT}
#: nft's chain -> its name in iptables, and what its rules may change
ChainOf = Callable[[str], tuple[str, frozenset[str]]]


@attrs.define
class Reading:
    """A rule on its way: how it can have got here, and the rules of iptables so far."""

    family: int
    sets: IpSets
    chain_of: ChainOf
    absent: frozenset[str] = frozenset()
    ways: Ways = ALWAYS
    emitted: list[tuple[Way, Action, Counter | None]] = attrs.field(factory=list)
    counter: Counter | None = None
    stale: bool = False
    stopped: str = ""

    def take(self, statement: Statement) -> None:
        if self.stopped:
            raise no(self.stopped)
        match statement:
            case Match():
                self.flush()
                self.ways = joined(self.ways, self.match(statement))
            case Counter():
                self.flush()
                self.counter = statement
            case Limit():
                self.flush()
                self.ways = joined(self.ways, one(limit(statement), is_last=True))
            case Quota():
                self.flush()
                self.ways = joined(self.ways, one(quota(statement), is_last=True))
            case Verdict():
                self.emit(self.verdict(statement))
            case Vmap():
                self.flush()
                self.vmap(statement)
            case _:
                self.emit(action(statement, self.family))

    def match(self, value: Match) -> Ways:
        """The ways of a match; an interface that a packet cannot have yet, or any more, is none by any name."""
        if isinstance(value.left, Meta) and value.left.key in self.absent:
            return ALWAYS if value.operator == "!=" else NEVER
        return match(value, self.family, self.sets)

    def flush(self) -> None:
        """A counter counts what came so far."""
        if self.counter is not None:
            self.emit(Action(""))

    def emit(self, given: Action) -> None:
        """A rule for each way."""
        if self.stale:
            raise no("a match on what the rule itself has changed")
        asked = self.asked()
        if len(self.ways) > 1 and asked & given.writes:
            raise no("a set of what the rule itself changes")
        if any(c.is_last for way in self.ways for c in way) and (self.emitted or len(self.ways) > 1):
            raise no("several rules behind what counts or draws")
        self.emitted += [(way, given, None if number else self.counter) for number, way in enumerate(self.ways)]
        self.counter, self.stale = None, bool(asked & given.writes)
        self.stopped = "what follows a mark that may not be there" if given.may_stop else ""

    def asked(self) -> frozenset[str]:
        """What the conditions so far look at that rules may change."""
        return frozenset(condition.reads for way in self.ways for condition in way)

    def verdict(self, value: Verdict) -> Action:
        if value.kind == "continue":
            return Action("")
        if value.chain:
            name, writes = self.chain_of(value.chain)
            return Action(f"{value.kind} {name}", writes=writes, ends=value.kind == "goto")
        return Action(_ENDINGS[value.kind], ends=True)

    def vmap(self, value: Vmap) -> None:
        """A rule for each element; only for maps of the rule's own."""
        if not isinstance(value.source, AnonymousSet):
            raise no("a named verdict map")
        before, rest = self.ways, None
        for element in value.source.elements:
            if element.statements or not isinstance(element.data, Verdict):
                raise no("a verdict map whose elements count")
            given = self.verdict(element.data)
            if element.key is None:
                rest = given
                continue
            self.ways = joined(before, self.match(Match(value.key, "==", _only(element))))
            if given.text:
                self.emit(given)
            if self.stale:
                raise no("a verdict map whose key the chain may change")
        if rest is not None:
            if any(not given.ends for _, given, _ in self.emitted):
                raise no("a verdict map with an answer for all others")
            self.ways = before
            self.emit(rest)
        self.ways, self.stopped = (), "what follows a verdict map"


def _only(element: Element) -> AnonymousSet:
    return AnonymousSet((attrs.evolve(element, data=None),))


def limit(value: Limit) -> str:
    seconds = _UNITS_S.get(value.unit)
    if value.over or value.kind != "packets" or seconds is None or not value.burst:
        raise no("a limit of this kind")
    if LIMIT_SCALE * seconds % value.rate or value.burst > LIMIT_SCALE:
        raise no("a rate that is not whole ten-thousandths of a second")
    return f"-m limit --limit {value.rate}/{value.unit} --limit-burst {value.burst}"


def quota(value: Quota) -> str:
    if value.used:
        raise no("a quota that has been used")
    return f"-m quota {sign(f'--quota {value.limit}', inverted=value.over)}"


def rules(value: Rule, family: int, sets: IpSets, chain_of: ChainOf, *, hook: str = "") -> Iterator[tuple[str, str]]:
    """What a rule becomes: counters ("" for none) and text, without the chain. Raises `NoTranslation`.

    `hook` is that of a base chain.
    """
    reading = Reading(family, sets, chain_of, _ABSENT.get(hook, frozenset()))
    for statement in value.statements:
        reading.take(statement)
    if reading.counter is not None or not reading.emitted:
        reading.emit(Action(""))
    for way, given, counter in reading.emitted:
        counted = counter is not None and (counter.packets or counter.bytes)
        yield f"[{counter.packets}:{counter.bytes}] " if counter and counted else "", _text(way, given, value.comment)


def _text(way: Sequence[Condition], given: Action, comment: str) -> str:
    protocol = next((each.value for each in way if each.slot == "-p" and not each.text.startswith("!")), None)
    code = next((each.value for each in way if each.slot == "icmp code"), None)
    header = sorted((each for each in way if each.slot in _HEADER), key=lambda each: _HEADER.index(each.slot))
    words = [each.text for each in header]
    for each in sorted((each for each in way if each.slot not in _HEADER), key=lambda each: each.is_last):
        if each.slot == "icmp type" and code is not None:
            words.append(f"{each.text}/{code}")
        elif "{protocol}" in each.text:
            if protocol not in PORT_PROTOCOLS:
                raise no("ports of any protocol")
            words.append(each.text.replace("{protocol}", PORT_PROTOCOLS[protocol]))
        elif each.slot == "icmp code":
            if not any(other.slot == "icmp type" for other in way):
                raise no("an ICMP code without its type")
        else:
            words.append(each.text)
    if given.needs:  # iptables-legacy wants to see the SYN flag beside TCPMSS, in these words
        words = [word.replace("! --tcp-flags SYN NONE", "--tcp-flags SYN SYN") for word in words]
    if given.needs and not any(each.text.startswith(f"{given.needs} --") for each in way):
        words.append(f"{given.needs} --mss 0:65535")
    words += [f'-m comment --comment "{comment}"'] if comment else []
    if given.text.startswith(("jump ", "goto ")):
        words.append(("-j " if given.text[0] == "j" else "-g ") + given.text[5:])
    elif given.text:
        words.append(f"-j {given.text}")
    return " ".join(words)
