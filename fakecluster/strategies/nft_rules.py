"""Hypothesis strategies for nft files: base chains, sets, maps, verdict maps, and rules that use them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from fakecluster.strategies.rule_addresses import OUTSIDE, OWN, PODS, PORTS, SOURCE_PORTS, VIPS

HOOKS = {
    "filter": ("prerouting", "input", "forward", "output", "postrouting"),
    "nat": ("prerouting", "input", "output", "postrouting"),
    "route": ("output",),
}
PRIORITIES = {
    "filter": ("filter", "mangle", "raw", "-450", "10"),
    "nat": ("dstnat", "srcnat", "0"),
    "route": ("mangle",),
}
ADDRESSES = {family: PODS[family] + OUTSIDE[family] + VIPS[family] + OWN[family] for family in (4, 6)}
WORD = {4: "ip", 6: "ip6"}
TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}


def _of(*values: object) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in values])


def _some(values: tuple[object, ...], *, most: int = 4) -> st.SearchStrategy[list[str]]:
    return st.lists(_of(*values), min_size=1, max_size=most, unique=True)


@st.composite
def networks(draw: st.DrawFn, family: int) -> str:
    one = draw(_of(*ADDRESSES[family]))
    if family == 4:
        return draw(_of(one, one, "10.244.0.0/24", "10.96.0.0/16", "192.168.0.0/16", "10.0.0.0-10.244.0.2"))
    return draw(_of(one, one, "fd00:10:244::/64", "fd00:96::/112", "2001:db8::/32"))


_PORT_SPANS = (*PORTS, *SOURCE_PORTS, "0-1023", "4000-4001", "1024-65535", "53-80")
_OPERATORS = ("", "", "", "!= ")


@cache
def _addresses(family: int) -> st.SearchStrategy[str]:
    one = st.tuples(_of("saddr", "daddr"), _of(*_OPERATORS), networks(family)).map(
        lambda parts: f"{WORD[family]} {parts[0]} {parts[1]}{parts[2]}"
    )
    many = st.tuples(_of("saddr", "daddr"), _of(*_OPERATORS), _some(ADDRESSES[family])).map(
        lambda parts: f"{WORD[family]} {parts[0]} {parts[1]}{{ {', '.join(parts[2])} }}"
    )
    named = st.tuples(_of("saddr", "daddr"), _of("@hosts", "!= @hosts", "@nets", "!= @nets", "@seen")).map(
        lambda parts: f"{WORD[family]} {parts[0]} {parts[1]}"
    )
    joined = st.tuples(_of("tcp", "udp"), _of("@pairs", "!= @pairs", "@areas", "!= @areas")).map(
        lambda parts: f"{WORD[family]} daddr . {parts[0]} dport {parts[1]}"
    )
    return st.one_of(one, many, named, joined)


@cache
def _ports() -> st.SearchStrategy[str]:
    one = st.tuples(
        _of("tcp", "udp", "th", "sctp"), _of("sport", "dport"), _of(*_OPERATORS, "< ", ">= "), _of(*PORTS, 4000)
    )
    span = st.tuples(_of("tcp", "udp"), _of("sport", "dport"), _of("", "!= "), _of(*_PORT_SPANS))
    many = st.tuples(_of("tcp", "udp"), _of("sport", "dport"), _of("", "!= "), _some(PORTS)).map(
        lambda parts: (*parts[:3], f"{{ {', '.join(parts[3])} }}")
    )
    with_protocol = st.one_of(one, span, many).map(
        lambda parts: (
            f"{'meta l4proto { tcp, udp } ' if parts[0] == 'th' else ''}{parts[0]} {parts[1]} {parts[2]}{parts[3]}"
        )
    )
    others = _of(
        "tcp flags syn", "tcp flags & (syn | ack) == syn", "tcp flags syn / fin,syn,rst,ack", "tcp flags != syn",
        "tcp flags { syn, ack }", "meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != udp",
        "tcp option maxseg size 1400", "tcp option maxseg exists", "tcp doff 5", "udp length 8", "udp length > 10",
        "th dport 80", "tcp dport @ports", "udp dport @ports", "tcp sport != @ports", "@th,16,16 80",
    )  # fmt: skip
    return st.one_of(with_protocol, others)


@cache
def _metadata(family: int, hook: str) -> st.SearchStrategy[str]:
    options = [
        "meta mark 1", "meta mark != 0", "meta mark & 0xff == 2", "meta length > 60", "meta length 28-60",
        "meta nfproto ipv4", "ct state new", "ct state established,related", "ct state invalid", "ct state != new",
        "ct state { new, untracked }", "ct mark 1", "ct mark & 3 != 0", "ct status dnat", "ct status snat,dnat",
        "ct direction original", "ct direction reply", "tcp sport != 9 ct original proto-dst 80",
        "udp sport != 9 ct reply proto-src 8080",
        "ct status assured", "ct status & confirmed == confirmed", "ct expiration > 20s", "meta pkttype host",
        "fib daddr type local", "fib saddr type != local", "fib daddr type { unicast, local }", "numgen inc mod 2 0",
        "numgen inc mod 3 offset 1 vmap { 1 : continue, 2 : continue, 3 : accept }",
        "rt mtu > 1000" if hook in ("forward", "output", "postrouting") else "meta mark 0",
    ]  # fmt: skip
    if family == 4:
        options += [
            "ip ttl 64", "ip ttl < 10", "ip protocol tcp", "ip protocol { tcp, udp, icmp }", "ip dscp cs1",
            "ip dscp != 0",
            "ip length 40", "ip version 4", "ip hdrlength 5", "ip frag-off & 0x1fff == 0", "icmp type echo-request",
            "icmp type { echo-request, echo-reply }", "icmp code 0", "icmp id 7", "ct original ip daddr 10.96.0.1",
            "ct reply ip saddr 10.244.0.3", "@nh,128,32 0x0a600001", "ip checksum != 0",
        ]  # fmt: skip
    else:
        options += ["ip6 hoplimit 64", "ip6 hoplimit < 10", "ip6 nexthdr tcp", "icmpv6 type echo-request",
                    "ct original ip6 daddr fd00:96::1", "ip6 length > 20", "ip6 dscp 0"]  # fmt: skip
    if hook in ("prerouting", "input", "forward"):
        options += [
            'iifname "vethA"', 'iifname != "eth0"', 'iifname "veth*"', "iif vethA", 'iifname { "vethA", "vethB" }',
            "fib saddr . iif oif missing", "fib saddr oif exists", "meta iiftype ether",
        ]  # fmt: skip
    if hook in ("forward", "output", "postrouting"):
        options += ['oifname "eth0"', 'oifname != "veth*"', "oif vethB", 'oifname "lo"']
    return _of(*options)


@cache
def actions(family: int, kind: str, hook: str) -> st.SearchStrategy[str]:
    """What ends or goes on with a rule."""
    word, pod = WORD[family], PODS[family][1]
    bracket = pod if family == 4 else f"[{pod}]"
    plain = ["accept", "accept", "drop", "return", "continue", "counter", "counter accept", "jump one", "goto two",
             "meta mark set 1", "meta mark set meta mark | 2", "ct mark set 1", "ct mark set meta mark",
             "meta mark set ct mark", "limit rate 1/hour burst 2 packets accept", "limit rate over 1/day drop",
             "quota 100 bytes accept", "quota over 60 bytes drop", "counter name c1",
             "quota name q1 drop", "limit name l1 accept", f"update @seen {{ {word} saddr counter }}",
             f"add @seen {{ {word} saddr }}", f"delete @seen {{ {word} saddr }}",
             f"update @seen {{ {word} daddr timeout 30s }}", f"add @talks {{ {word} saddr . tcp dport }}",
             f"counter name {word} saddr map {{ {pod} : c1, {VIPS[family][0]} : c1 }}",
             f"quota name {word} daddr map {{ {pod} : q1 }} drop", "limit name tcp dport map { 53-80 : l1 } accept",
             f"{word} saddr vmap @zones", f"{word} daddr . tcp dport vmap @ways",
             f"{word} daddr . udp dport vmap {{ {pod} . 53 : accept, {VIPS[family][0]} . 0-1023 : drop }}",
             "meta mark set numgen inc mod 3 map { 0 : 1, 1 : 2, 2 : 4 }",
             "th dport vmap { 53 : accept, 1000-4000 : drop }", 'meta iifname vmap { "lo" : accept, "vethB" : drop }',
             f"add @seen {{ {word} daddr limit rate 1/hour burst 1 packets }} accept",
             f"{word} daddr vmap @verdicts", f"{word} daddr vmap {{ {pod} : accept }}",
             "tcp dport vmap { 80 : drop, 443 : accept }", "ct state vmap { invalid : drop, established : accept }",
             f"meta mark set {word} daddr map @marks", "meta mark set tcp dport map { 80 : 1, 443 : 2 }",
             f"jhash {word} saddr mod 2 seed 0x5 vmap {{ 0 : continue, 1 : accept }}"]  # fmt: skip
    if kind == "nat":
        plain = ["accept", "return", "counter", "meta mark set 1", "jump one" if hook == "none" else "continue"]
        if hook in ("prerouting", "output"):
            plain += [f"dnat to {pod}", f"meta l4proto tcp dnat to {bracket}:8080",
            f"udp dport 53 dnat to {bracket}:5353",
                      f"dnat to {word} daddr map {{ {VIPS[family][0]} : {pod} }}", "tcp dport 80 redirect to :8080",
                      "redirect",
                      f"dnat {word} to {word} daddr . tcp dport map @targets"]  # fmt: skip
        elif hook == "postrouting":
            plain += [f"snat to {OWN[family][0]}", "masquerade", "masquerade persistent",
                      f"snat to {word} saddr map {{ {PODS[family][0]} : {OWN[family][0]} }}"]  # fmt: skip
        else:
            plain += [f"snat to {OWN[family][0]}"]
    elif kind == "filter":
        if hook in ("input", "forward", "output", "prerouting"):
            icmp = "icmp" if family == 4 else "icmpv6"
            plain += ["reject", f"reject with {icmp} port-unreachable", f"reject with {icmp} admin-prohibited",
                      "meta l4proto tcp reject with tcp reset",
                      f"reject with {icmp} {'host-unreachable' if family == 4 else 'no-route'}"]  # fmt: skip
        if hook in ("prerouting", "output"):
            plain.append("notrack")
        plain += [f"{word} {'ttl' if family == 4 else 'hoplimit'} set 40", f"{word} dscp set cs1",
                  "tcp flags syn tcp option maxseg size set 1000", "tcp dport set 8080"]  # fmt: skip
        if hook == "prerouting":
            plain.append(f"{word} daddr set {pod}")
    return _of(*plain)


_PROTOCOLS = re.compile(r"\b(?:tcp|udp|sctp|th|icmp|icmpv6)\b(?! })")


@cache
def rules(family: int, kind: str, hook: str) -> st.SearchStrategy[str]:
    """One rule of a chain: none to three matches, and what it does."""
    possible = (_addresses(family), _ports(), _metadata(family, hook))
    chosen = st.lists(st.sampled_from(range(len(possible))), unique=True, max_size=len(possible)).map(sorted)
    matches = chosen.flatmap(lambda indexes: st.tuples(*(possible[index] for index in indexes)))
    return st.builds(_rule, matches, actions(family, kind, hook))


def _rule(matches: tuple[str, ...], action: str) -> str:
    text = " ".join((*matches, action))
    return action if len(set(_PROTOCOLS.findall(text))) > 1 else text  # no rule speaks of two protocols


def _declarations(family: int) -> list[tuple[str, str]]:
    """(name, text) of every counter, quota, limit, set and map that rules speak of."""
    one, two = VIPS[family]
    pod, other = PODS[family]
    kind = TYPE[family]
    net = "10.244.0.0/31, 192.168.1.0/24" if family == 4 else "fd00:10:244::/127, fd00:1::/64"
    first_net = net.split(",")[0]
    texts = (
        "counter c1 { }", "quota q1 { over 100 bytes }", "limit l1 { rate 1/hour burst 2 packets }",
        f"set hosts {{ type {kind}; elements = {{ {pod}, {one} }}; }}",
        f"set nets {{ type {kind}; flags interval; elements = {{ {net} }}; }}",
        "set ports { type inet_service; flags interval; elements = { 53, 80-90, 8000-9000 }; }",
        f"set pairs {{ type {kind} . inet_service; elements = {{ {one} . 80, {other} . 53 }}; }}",
        f"set seen {{ type {kind}; flags dynamic,timeout; timeout 1h; size 100; }}",
        f"map verdicts {{ type {kind} : verdict; elements = {{ {pod} : drop, {two} : accept, {one} : jump one }}; }}",
        f"set areas {{ type {kind} . inet_service; flags interval; "
        f"elements = {{ {first_net} . 80-443, {one} . 53 }}; }}",
        f"set talks {{ type {kind} . inet_service; flags dynamic,timeout; size 8; timeout 1m; }}",
        f"map zones {{ type {kind} : verdict; flags interval; elements = {{ {first_net} : jump one }}; }}",
        f"map ways {{ type {kind} . inet_service : verdict; elements = {{ {pod} . 80 : accept, {two} . 443 : goto two }}; }}",
        f"map marks {{ type {kind} : mark; elements = {{ {pod} : 1, {one} : 2 }}; }}",
        f"map targets {{ type {kind} . inet_service : {kind} . inet_service\n"
        f"elements = {{ {one} . 80 : {other} . 8080 }}; }}",
    )  # fmt: skip
    return [(text.split()[1], text) for text in texts]


@cache
def _bodies(family: int, kind: str, hook: str) -> st.SearchStrategy[str]:
    """A chain's rules; the two chains that others jump to lead nowhere else."""
    lines = st.lists(rules(family, kind, hook), max_size=4).map("\n".join)
    return lines.map(lambda text: _leading_nowhere(text, family)) if kind == "none" else lines


def _leading_nowhere(text: str, family: int) -> str:
    zero = "0.0.0.0" if family == 4 else "::"
    plain = text.replace("jump one", "accept").replace("goto two", "accept")
    for name, elements in (("verdicts", zero), ("zones", zero), ("ways", f"{zero} . 1")):
        plain = plain.replace(f"@{name}", f"{{ {elements} : accept }}")
    return plain


#: Every (kind, hook, priority, policy) of a base chain, the plainest first.
BASES = tuple(
    (kind, hook, priority, policy)
    for kind, hooks in HOOKS.items()
    for hook in hooks
    for priority in PRIORITIES[kind]
    for policy in (("accept", "accept", "accept", "drop") if kind == "filter" else ("accept",))
)


def _bases(family: int) -> st.SearchStrategy[tuple[str, str]]:
    """A base chain's first line and its rules."""
    return st.sampled_from(BASES).flatmap(lambda base: st.tuples(st.just(_head(*base)), _bodies(family, *base[:2])))


def _head(kind: str, hook: str, priority: str, policy: str) -> str:
    if kind == "nat":
        priority = "srcnat" if hook in ("input", "postrouting") else "-100"
    if priority == "raw" and hook not in ("prerouting", "output"):
        priority = "filter"
    return f"type {kind} hook {hook} priority {priority}; policy {policy}"


@cache
def files(family: int) -> st.SearchStrategy[str]:
    """One table, of the family or for both, with one to four base chains, and two chains to jump to, sets and maps: all of
    them, or those that the rules need.
    """
    nowhere = _bodies(family, "none", "none")
    bases = st.lists(_bases(family), min_size=1, max_size=4)
    return st.builds(
        lambda both, whole, one, two, chains: _file(family, both, whole, {"two": two, "one": one}, chains),
        st.sampled_from((False, False, True)), st.booleans(), nowhere, nowhere, bases,
    )  # fmt: skip


def _file(family: int, both: bool, whole: bool, targets: dict[str, str], bases: list[tuple[str, str]]) -> str:
    chains = [f"chain b{number} {{ {head}\n{body}\n}}" for number, (head, body) in enumerate(bases)]
    reaching = "\n".join((*_declared(family, chains, whole), *chains))
    reached = [
        f"chain {name} {{\n{body}\n}}"
        for name, body in targets.items()
        if whole or re.search(rf"(jump|goto) {name}\b", reaching)
    ]
    declared = _declared(family, (*reached, *chains), whole)
    lines = (f"table {'inet' if both else WORD[family]} t {{", *declared, *reached, *chains, "}", "")
    text = re.sub(r"\n+", "\n", "\n".join(lines))
    return re.sub(r"([ds]nat) to", rf"\1 {WORD[family]} to", text) if both else text


def _declared(family: int, chains: Sequence[str], whole: bool) -> list[str]:
    """The declarations that these chains need; all of them, if `whole`."""
    spoken = "\n".join(chains)
    return [text for name, text in _declarations(family) if whole or re.search(rf"(@| name |: ){name}\b", spoken)]
