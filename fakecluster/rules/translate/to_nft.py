"""iptables rules in nft's language, where a faithful form exists: for reading, and for loading in the other tool.

    for line in as_nft(parse("*nat ..."), family=4): print(line)

A rule without one becomes a comment that says why. The forms are those of iptables-translate(8), except where its text
would not do the same (a state next to DNAT or SNAT, RETURN of what an ipset says).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from typing import Any

from fakecluster.rules.iptables import BUILT_IN, Rule, RuleParts, Tables
from fakecluster.rules.iptables.match_flow import ConntrackMatch, MarkMatch
from fakecluster.rules.iptables.match_header import AddrtypeMatch, DscpMatch, IprangeMatch, TtlMatch
from fakecluster.rules.iptables.match_message import IcmpMatch, RangeMatch
from fakecluster.rules.iptables.match_packet import MacMatch, OwnerMatch, PkttypeMatch
from fakecluster.rules.iptables.match_rate import LimitMatch, StatisticMatch
from fakecluster.rules.iptables.match_transport import EVERY_PORT, MultiportMatch, PortsMatch, TcpMatch
from fakecluster.rules.iptables.numbers import U32, bits, mask_of
from fakecluster.rules.iptables.rule import Interface, Match, Network, Protocol
from fakecluster.rules.translate.to_nft_target import target
from fakecluster.rules.translate.words import IP, PORT_PROTOCOLS, NoTranslation, address_word, span_word

#: iptables-nft hangs its security chains behind NAT, iptables-legacy at 50.
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 150}
#: xt_limit counts in ten-thousandths of a second
PERIODS = ((10_000, "second"), (600_000, "minute"), (36_000_000, "hour"), (864_000_000, "day"))
#: What xt_statistic counts a probability in.
CERTAIN = 1 << 31
STATES = ("new", "established", "related", "invalid", "untracked")


def as_nft(tables: Tables) -> Iterator[str]:
    """All tables as commands for `nft -f`: every chain, then every rule; what cannot be said is a comment."""
    family = tables.family
    for name, table in tables.tables.items():
        yield f"add table {IP[family]} {name}"
        for chain in table.chains.values():
            yield f"add chain {IP[family]} {name} {chain.name}{base_chain(name, chain.name, chain.policy)}"
        for chain in table.chains.values():
            for each in chain.rules:
                place = f"{IP[family]} {name} {chain.name}"
                try:
                    yield f"add rule {place} {rule(each)}"
                except NoTranslation as missing:
                    yield f"# {place}: {each} ({missing})"


def base_chain(table: str, chain: str, policy: str) -> str:
    """The declaration of a built-in chain; "" for a user chain."""
    if chain not in BUILT_IN[table]:
        return ""
    kind, priority = "filter", PRIORITIES.get(table, 0)
    if table == "nat":
        kind, priority = "nat", -100 if chain in ("PREROUTING", "OUTPUT") else 100
    elif table == "mangle" and chain == "OUTPUT":
        kind = "route"
    return f" {{ type {kind} hook {chain.lower()} priority {priority}; policy {policy.lower()}; }}"


def rule(value: Rule) -> str:
    """One rule's matches, counter and verdict. Raises `NoTranslation`."""
    parts = value.parts
    words = list(_header(parts))
    comment = ""
    for match in parts.matches:
        if match.name == "comment":
            comment = match.value.text
        else:
            words += _match(match, parts)
    words.append("counter")
    if parts.target is not None:
        words += target(parts.target, parts)
    if '"' in comment:
        raise NoTranslation("a quotation mark in a comment")
    return " ".join((*words, f'comment "{comment}"' if comment else "")).rstrip()


# --- the header


def _header(parts: RuleParts) -> Iterator[str]:
    if parts.iif:
        yield _interface("iifname", parts.iif)
    if parts.oif:
        yield _interface("oifname", parts.oif)
    if parts.src:
        yield _network("saddr", parts.src, parts.family)
    if parts.dst:
        yield _network("daddr", parts.dst, parts.family)
    if parts.protocol:
        yield from _protocol(parts.protocol, parts.matches)
    if parts.fragment:
        yield f"ip frag-off & 0x1fff {'==' if parts.fragment.startswith('!') else '!='} 0"


def _not(inverted: bool) -> str:
    return "!= " if inverted else ""


def _interface(word: str, value: Interface) -> str:
    if value.name == "+":
        raise NoTranslation("any interface")
    name = f"{value.name[:-1]}*" if value.name.endswith("+") else value.name
    return f'{word} {_not(value.inverted)}"{name}"'


def _network(word: str, value: Network, family: int) -> str:
    length = value.mask.bit_count()
    if value.mask != mask_of(length, family):
        raise NoTranslation("a mask with holes")
    text = address_word(value.address, family) + ("" if length == bits(family) else f"/{length}")
    return f"{IP[family]} {word} {_not(value.inverted)}{text}"


def _protocol(value: Protocol, matches: tuple[Match, ...]) -> Iterator[str]:
    said = any(
        match.name in ("tcp", "udp", "sctp", "icmp", "icmp6") and _says_protocol(match.value) for match in matches
    )
    if value.inverted or not said:
        yield f"meta l4proto {_not(value.inverted)}{value.number}"


def _says_protocol(value: object) -> bool:
    """Whether a match's own text implies its protocol."""
    if isinstance(value, TcpMatch):
        return value != TcpMatch()
    return value != PortsMatch() if isinstance(value, PortsMatch) else True


# --- matches


def _match(match: Match, parts: RuleParts) -> list[str]:
    writer = _MATCHES.get(match.name)
    if writer is None:
        raise NoTranslation(f"match {match.name}")
    return writer(match.value, parts)


def _ports(word: str, value: PortsMatch) -> list[str]:
    found = []
    for side, (low, high), inverted in (
        ("sport", value.sport, value.not_sport),
        ("dport", value.dport, value.not_dport),
    ):
        if (low, high) != EVERY_PORT or inverted:
            found.append(f"{word} {side} {_not(inverted)}{span_word(low, high)}")
    return found


def _tcp(value: TcpMatch, _parts: RuleParts) -> list[str]:
    found = _ports("tcp", value)
    mask, flags = value.flags
    if mask:
        found.append(f"tcp flags & {mask:#x} {'!=' if value.not_flags else '=='} {flags:#x}")
    if value.option:
        raise NoTranslation("a TCP option by number")
    return found


def _sctp(value: Any, _parts: RuleParts) -> list[str]:
    if value.scope:
        raise NoTranslation("SCTP chunks")
    return _ports("sctp", value)


def _multiport(value: MultiportMatch, parts: RuleParts) -> list[str]:
    word = PORT_PROTOCOLS.get(parts.protocol.number if parts.protocol else 0)
    if word is None or value.side not in ("sports", "dports"):
        raise NoTranslation("ports of either side")
    members = ", ".join(span_word(*each) for each in value.ranges)
    return [f"{word} {value.side[:-1]} {_not(value.inverted)}{{ {members} }}"]


def _icmp(value: IcmpMatch, parts: RuleParts) -> list[str]:
    word = "icmp" if parts.family == 4 else "icmpv6"
    if value.is_any:
        return [f"meta l4proto {1 if parts.family == 4 else 58}"]
    any_code = value.codes in ((0, 255), (0, U32))
    if value.inverted and not any_code:
        raise NoTranslation("neither this ICMP type nor this code")
    found = [f"{word} type {_not(value.inverted)}{value.type}"]
    return found if any_code else [*found, f"{word} code {span_word(*value.codes)}"]


def _mark_test(word: str, value: MarkMatch) -> list[str]:
    left = word if value.mask == U32 else f"{word} & {value.mask:#x}"
    sign = "!= " if value.inverted else "== " if value.mask != U32 else ""
    return [f"{left} {sign}{value.value:#x}"]


def _conntrack(value: ConntrackMatch, parts: RuleParts) -> list[str]:
    found: list[str] = []
    for name, test in value.tests:
        writer = _CT_TESTS.get(name)
        if writer is None:
            raise NoTranslation(f"--{name}")
        found += writer(test.value, test.inverted, parts.family)
    return found


def _ct_state(value: Any, inverted: bool, _family: int) -> list[str]:
    words = [word.lower() for word in value]
    states, translated = (
        [word for word in STATES if word in words],
        [word for word in ("snat", "dnat") if word in words],
    )
    if states and translated:
        raise NoTranslation("a state or a translation")
    kind, names = ("state", states) if states else ("status", translated)
    return [f"ct {kind} {'! ' if inverted else ''}{','.join(names)}"]


def _ct_status(value: Any, inverted: bool, _family: int) -> list[str]:
    if "NONE" in value:
        raise NoTranslation("the status NONE")
    names = {"EXPECTED": "expected", "SEEN_REPLY": "seen-reply", "ASSURED": "assured", "CONFIRMED": "confirmed"}
    return [f"ct status {'! ' if inverted else ''}{','.join(word for name, word in names.items() if name in value)}"]


def _ct_address(direction: str, side: str) -> Callable[[Any, bool, int], list[str]]:
    def write(value: Any, inverted: bool, family: int) -> list[str]:
        address, mask = value
        network = _network(side, Network(address & mask, mask, inverted), family)
        return [f"ct {direction} {network}"]

    return write


#: conntrack's tests: name -> (value, inverted, family) -> words. A packet without a connection passes those of iptables
#: only next to a state, and none of nft's; the forms here are for rules that test a state or a packet that has one.
_CT_TESTS: dict[str, Callable[[Any, bool, int], list[str]]] = {
    "ctstate": _ct_state,
    "ctstatus": _ct_status,
    "ctdir": lambda value, inverted, _family: [f"ct direction {_not(inverted)}{value.lower()}"],
    "ctproto": lambda value, inverted, _family: [f"ct protocol {_not(inverted)}{value}"],
    "ctorigsrc": _ct_address("original", "saddr"),
    "ctorigdst": _ct_address("original", "daddr"),
    "ctreplsrc": _ct_address("reply", "saddr"),
    "ctrepldst": _ct_address("reply", "daddr"),
}


def _addrtype(value: AddrtypeMatch, _parts: RuleParts) -> list[str]:
    found = []
    device = {"": "", "in": " . iif", "out": " . oif"}[value.limit]
    for side, types, inverted in (("saddr", value.src, value.not_src), ("daddr", value.dst, value.not_dst)):
        if types:
            names = sorted(name.lower() for name in types)
            shown = names[0] if len(names) == 1 else f"{{ {', '.join(names)} }}"
            found.append(f"fib {side}{device} type {_not(inverted)}{shown}")
    return found


def _iprange(value: IprangeMatch, parts: RuleParts) -> list[str]:
    found = []
    for side, span, inverted in (("saddr", value.src, value.not_src), ("daddr", value.dst, value.not_dst)):
        if span:
            ends = "-".join(address_word(end, parts.family) for end in dict.fromkeys(span))
            found.append(f"{IP[parts.family]} {side} {_not(inverted)}{ends}")
    return found


def _statistic(value: StatisticMatch, _parts: RuleParts) -> list[str]:
    if value.mode != "nth":
        common = gcd(value.weight, CERTAIN)
        if not 0 < value.weight < CERTAIN:
            raise NoTranslation("a chance that is none")
        sign = ">=" if value.inverted else "<"
        return [f"numgen random mod {CERTAIN // common} {sign} {value.weight // common}"]
    return [f"numgen inc mod {value.every} {_not(value.inverted)}{value.packet}"]


def _limit(value: LimitMatch, _parts: RuleParts) -> list[str]:
    for scale, unit in PERIODS:
        if not scale % value.period:
            return [f"limit rate {scale // value.period}/{unit} burst {value.burst} packets"]
    raise NoTranslation("a rate that is not whole")


def _ttl(value: TtlMatch, parts: RuleParts) -> list[str]:
    word = "ip ttl" if parts.family == 4 else "ip6 hoplimit"
    sign = {"eq": _not(value.inverted), "lt": "< ", "gt": "> "}[value.test]
    return [f"{word} {sign}{value.value}"]


def _owner(value: OwnerMatch, _parts: RuleParts) -> list[str]:
    if value.uid is None or value.gid is not None or value.exists is not None:
        raise NoTranslation("owner beyond a user")
    return [f"meta skuid {_not(value.not_uid)}{span_word(*value.uid)}"]


def _length(value: RangeMatch, _parts: RuleParts) -> list[str]:
    return [f"meta length {_not(value.inverted)}{span_word(value.low, value.high)}"]


def _mss(value: RangeMatch, _parts: RuleParts) -> list[str]:
    return [f"tcp option maxseg size {_not(value.inverted)}{span_word(value.low, value.high)}"]


def _dscp(value: DscpMatch, parts: RuleParts) -> list[str]:
    return [f"{IP[parts.family]} dscp {_not(value.inverted)}{value.value:#x}"]


def _mac(value: MacMatch, _parts: RuleParts) -> list[str]:
    return [f"ether saddr {_not(value.inverted)}{value.mac.hex(':')}"]


def _pkttype(value: PkttypeMatch, _parts: RuleParts) -> list[str]:
    kind = {"unicast": "host"}.get(value.kind, value.kind)
    return [f"meta pkttype {_not(value.inverted)}{kind}"]


_MATCHES: dict[str, Callable[[Any, RuleParts], list[str]]] = {
    "addrtype": _addrtype,
    "connmark": lambda value, _parts: _mark_test("ct mark", value),
    "conntrack": _conntrack,
    "dscp": _dscp,
    "hl": _ttl,
    "icmp": _icmp,
    "icmp6": _icmp,
    "iprange": _iprange,
    "length": _length,
    "limit": _limit,
    "mac": _mac,
    "mark": lambda value, _parts: _mark_test("meta mark", value),
    "multiport": _multiport,
    "owner": _owner,
    "pkttype": _pkttype,
    "sctp": _sctp,
    "state": _conntrack,
    "statistic": _statistic,
    "tcp": _tcp,
    "tcpmss": _mss,
    "ttl": _ttl,
    "udp": lambda value, _parts: _ports("udp", value),
}
