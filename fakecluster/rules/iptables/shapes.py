"""Lines read at a glance: the shapes that kube-proxy writes hundreds of thousands of.

A line of such a shape is known to be right after one regular expression; it is taken apart only when somebody looks
inside the rule. Any other line is read word by word (reading.py). Both ways give equal rules.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fakecluster.rules.iptables.numbers import ipv6
from fakecluster.rules.iptables.reading import read
from fakecluster.rules.iptables.rule import Rule, RuleParts
from fakecluster.rules.iptables.words import split

#: Rules whose parts are remembered: nodes have the same ones, and a sync writes most of them again.
RULES_KEPT = 16384
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PORT = r"(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
_COMMENT = r'(?: -m comment --comment (?:"[ !#-\[\]-~]{1,255}"|[A-Za-z0-9_:/.-]{1,255}))?'
_CHANCE = r"(?: -m statistic --mode random --probability (?:0\.\d{1,11}|1\.0{1,11}))?"
_MARK = r"(?: -m mark(?: !)? --mark 0x[0-9a-f]{1,8}(?:/0x[0-9a-f]{1,8})?)?"
_VALUE = r"0x[0-9a-f]{1,8}"


def _pattern(*, saved: bool, address: str, length: str, brackets: tuple[str, str]) -> re.Pattern[str]:
    """Groups: chain, body, jump (the chain jumped to), nat (set when the target translates), s, d, to."""
    source = rf"(?:(?: !)? -s (?P<s>{address})(?:/{length})?)?"
    target = rf" -d (?P<d>{address})(?:/{length})?"
    if saved:
        start = (
            rf"{source}(?:{target})?(?: -p (?P<p>tcp|udp|sctp))?{_COMMENT}"
            rf"(?(p)(?: -m (?P=p)(?P<m>)(?: --dport {_PORT})?)?){_CHANCE}{_MARK}"
        )
    else:
        start = (
            rf"{_COMMENT}(?: -m (?P<p>tcp|udp|sctp) -p (?P=p))?(?:{target})?(?(p)(?: --dport {_PORT})?)"
            rf"{source}{_CHANCE}"
        )
    destination = rf"(?P<to>{address})"
    with_port = rf"{brackets[0]}{destination}{brackets[1]}:{_PORT}"
    end = (
        r"(?P<jump>(?=\S{3,28}$)[A-Za-z]\w*-[\w-]+)"
        rf"|(?P<nat>(?(p)DNAT --to-destination {with_port}|MASQUERADE(?: --random-fully)?)|MASQUERADE)"
        rf"|ACCEPT|DROP|RETURN|MARK --(?:set-xmark {_VALUE}(?:/{_VALUE})?|or-mark {_VALUE})"
    )
    return re.compile(rf"-A (?P<chain>[^\s\x22\x5c]{{1,28}})(?P<body>{start} -j (?:{end}))$", re.ASCII)


_V4, _V6 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}", r"[0-9a-f:]{2,39}"
#: family -> the patterns: as kube-proxy writes rules, as iptables-save prints them
_PATTERNS = {
    4: [_pattern(saved=saved, address=_V4, length=r"(?:3[0-2]|[12]?\d)", brackets=("", "")) for saved in (False, True)],
    6: [
        _pattern(saved=saved, address=_V6, length=r"(?:12[0-8]|1[01]\d|[1-9]?\d)", brackets=(r"\[", r"\]"))
        for saved in (False, True)
    ],
}


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
    return read(["-A", "-", *split(text)], family).rules[0]
