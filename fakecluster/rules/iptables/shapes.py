"""Lines read at a glance: the shapes that kube-proxy writes hundreds of thousands of.

A line of such a shape is known to be right after one regular expression; it is taken apart, by the same expression with
more groups, only when somebody looks inside the rule. Any other line is read word by word (reading.py). Both ways give
equal rules.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from fakecluster.rules.iptables.command import network
from fakecluster.rules.iptables.extensions import MATCHES
from fakecluster.rules.iptables.match_packet import CommentMatch
from fakecluster.rules.iptables.numbers import PROTOCOLS, address, ipv6
from fakecluster.rules.iptables.reading import read
from fakecluster.rules.iptables.rule import Match, Protocol, Rule, RuleParts, Target
from fakecluster.rules.iptables.target_nat import NatTarget

#: Rules whose parts are remembered: nodes have the same ones, and a sync writes most of them again.
RULES_KEPT = 16384
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PORT = r"(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
_COMMENT = r'(?: -m comment --comment (?:"(?P<quoted>[ !#-\[\]-~]{1,255})"|(?P<bare>[A-Za-z0-9_:/.-]{1,255})))?'
_CHANCE = r"(?: -m statistic --mode random --probability (?:0\.\d{1,11}|1\.0{1,11}))?"
_MARK = r"(?: -m mark(?: !)? --mark 0x[0-9a-f]{1,8}(?:/0x[0-9a-f]{1,8})?)?"
_VALUE = r"0x[0-9a-f]{1,8}"
#: Groups that only matter when a rule is taken apart: without them a glance is faster.
_INNER = re.compile(r"\(\?P<(?:quoted|bare|more|source|not_s|target|dport|to_port|end)>")


def _pattern(*, saved: bool, address: str, length: str, brackets: tuple[str, str]) -> str:
    """Groups: chain, body, jump (the chain jumped to), nat (set when the target translates), s, d, to; and the inner ones."""
    source = rf"(?:(?P<not_s> !)? -s (?P<source>(?P<s>{address})(?:/{length})?))?"
    target = rf" -d (?P<target>(?P<d>{address})(?:/{length})?)"
    dport = rf"(?: --dport (?P<dport>{_PORT}))?"
    if saved:
        start = (
            rf"{source}(?:{target})?(?: -p (?P<p>tcp|udp|sctp))?{_COMMENT}"
            rf"(?(p)(?: -m (?P=p)(?P<m>){dport})?)(?P<more>{_CHANCE}{_MARK})"
        )
    else:
        start = rf"{_COMMENT}(?: -m (?P<p>tcp|udp|sctp)(?P<m>) -p (?P=p))?(?:{target})?(?(p){dport}){source}(?P<more>{_CHANCE})"
    destination = rf"(?P<to>{address})"
    with_port = rf"{brackets[0]}{destination}{brackets[1]}:(?P<to_port>{_PORT})"
    end = (
        r"(?P<jump>(?=\S{3,28}$)[A-Za-z]\w*-[\w-]+)"
        rf"|(?P<nat>(?(p)DNAT --to-destination {with_port}|MASQUERADE(?: --random-fully)?)|MASQUERADE)"
        rf"|ACCEPT|DROP|RETURN|MARK --(?:set-xmark {_VALUE}(?:/{_VALUE})?|or-mark {_VALUE})"
    )
    return rf"-A (?P<chain>[^\s\x22\x5c]{{1,28}})(?P<body>{start}(?P<end> -j (?:{end})))$"


_V4, _V6 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}", r"[0-9a-f:]{2,39}"
#: family -> the patterns: as kube-proxy writes rules, as iptables-save prints them
_CLOSE_PATTERNS = {
    4: [_pattern(saved=saved, address=_V4, length=r"(?:3[0-2]|[12]?\d)", brackets=("", "")) for saved in (False, True)],
    6: [
        _pattern(saved=saved, address=_V6, length=r"(?:12[0-8]|1[01]\d|[1-9]?\d)", brackets=(r"\[", r"\]"))
        for saved in (False, True)
    ],
}
_PATTERNS = {
    family: [re.compile(_INNER.sub("(?:", pattern), re.ASCII) for pattern in patterns]
    for family, patterns in _CLOSE_PATTERNS.items()
}


@cache
def _close_patterns(family: int) -> list[re.Pattern[str]]:
    """With all groups; compiled when the first rule is taken apart."""
    return [re.compile(pattern, re.ASCII) for pattern in _CLOSE_PATTERNS[family]]


def glance(line: str, family: int) -> tuple[str, Rule] | None:
    """(chain, rule) when the line is `-A` in one of the known shapes, else None."""
    for pattern in _PATTERNS[family]:
        found = pattern.match(line)
        if found is not None:
            chain, body, jump, nat = found.group("chain", "body", "jump", "nat")
            if "/0 " in body:  # iptables-nft refuses a comparison of no bits
                return None
            if family == 6 and not all(ipv6(text) is not None for text in found.group("s", "d", "to") if text):
                return None
            return chain, Rule(family, body, jump or "", tracks=nat is not None)
    return None


@lru_cache(maxsize=RULES_KEPT)
def take_apart(text: str, family: int) -> RuleParts:
    """The parts of a rule whose text glance() accepted."""
    found = next(found for pattern in _close_patterns(family) if (found := pattern.match(f"-A -{text}")))
    p, m, source, target, not_s, dport, quoted, bare, more = found.group(
        "p", "m", "source", "target", "not_s", "dport", "quoted", "bare", "more"
    )
    matches = []
    if quoted or bare:
        matches.append(Match("comment", CommentMatch(quoted or bare)))
    if m is not None:
        matches.append(_ports(p, dport))
    if more:
        matches += _piece(more, family).matches
    return RuleParts(
        family,
        network(source, family, inverted=not_s is not None) if source else None,
        network(target, family) if target else None,
        protocol=Protocol(PROTOCOLS[p]) if p else None,
        matches=tuple(matches),
        target=_target(found, family),
    )


@lru_cache
def _ports(protocol: str, dport: str | None) -> Match:
    value = MATCHES[protocol].value_type
    return Match(protocol, value(dport=(int(dport), int(dport))) if dport else value())


def _target(found: re.Match[str], family: int) -> Target | None:
    jump, to, to_port, end = found.group("jump", "to", "to_port", "end")
    if jump:
        return Target(jump, is_chain=True)
    if not to:
        return _piece(end, family).target
    goal, port = address(to, family), int(to_port)
    assert goal is not None
    return Target("DNAT", NatTarget(family, (goal, goal), (port, port)))


@lru_cache
def _piece(text: str, family: int) -> RuleParts:
    """What many rules have in common, read word by word."""
    return read(["-A", "-", *text.split()], family).rules[0]
