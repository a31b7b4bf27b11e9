"""Why an iptables rule did not match: its header in words, then every other match asked with the packet of that moment.

The matches are the compiled ones that packets meet (`kernel.xtables.compile.MATCHES`), so that no second opinion exists;
only those that chance or earlier packets decide are named without being asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

from fakecluster.kernel.conntrack import state_name
from fakecluster.kernel.hooks import Hook, HookContext
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import PROTOCOL_NAMES, Skb
from fakecluster.kernel.xtables.code import Building, HotDrop
from fakecluster.kernel.xtables.compile import MATCHES
from fakecluster.rules.ipset_elements import element_text
from fakecluster.rules.iptables.match_flow import ConntrackMatch, MarkMatch
from fakecluster.rules.iptables.match_packet import SetMatch
from fakecluster.rules.iptables.rule import Interface, Match, Network, Rule, RuleParts, match_text

#: Decided by chance, or by packets that came before.
_NOT_ASKED = {"statistic": "chance", "limit": "the rate so far", "hashlimit": "the rate so far",
              "recent": "who came before", "quota": "what was used so far", "connlimit": "how many connections there are",
              "nfacct": "what was counted so far"}  # fmt: skip
_PORT = re.compile(r"(! )?--(s|d)port (\d+)(?::(\d+))?")
#: Elements of a set that are named beside one that is missing.
NEAR_ELEMENTS = 3


class Unasked(str):
    """Why a condition may not have held: what chance or earlier packets decide is not asked again."""


def because(failed: Sequence[str]) -> str:
    """Why a rule did not match: by conditions that surely do not hold, or else by those that may not have held."""
    sure = [words for words in failed if not isinstance(words, Unasked)]
    if failed and not sure:
        return Unasked("; ".join(failed))
    return "; ".join(sure) or "it was not reached"


#: (number, text, how many conditions held, why not) of the rules between two numbers
Reasons = Callable[[Skb, Hook, int, int], Iterator[tuple[int, str, int, str]]]


def iptables_rules(netns: Netns, table: str, chain: str) -> Reasons | None:
    """What asks a chain's rules; None when it is no chain of iptables."""
    family_word, _, name = table.partition(" ")
    family = {"ip": 4, "ip6": 6}.get(family_word)
    if family is None or "xtables" not in netns.__dict__:
        return None
    for backend in ("nft", "legacy"):
        found = netns.xtables.of(family, backend).tables.get(name)
        if found is not None and chain in found.chains:
            return _asking(netns, family, backend, found.chains[chain].rules)
    return None


def _asking(netns: Netns, family: int, backend: str, rules: tuple[Rule, ...]) -> Reasons:
    def ask(skb: Skb, hook: Hook, begin: int, end: int) -> Iterator[tuple[int, str, int, str]]:
        ctx = HookContext(netns, hook, family)
        for number, rule in enumerate(rules[begin : end - 1 if end else None], begin + 1):
            held, failed = 0, []
            for words in _conditions(rule, backend, skb, ctx):
                if words:
                    failed.append(words)
                else:
                    held += 1
            yield number, str(rule), held * 2 - len(failed), because(failed)

    return ask


def _conditions(rule: Rule, backend: str, skb: Skb, ctx: HookContext) -> Iterator[str]:
    """For every condition of a rule: "" when it holds, else why not."""
    parts = rule.parts
    yield from _header(parts, skb)
    for match in parts.matches:
        if match.name in ("tcp", "udp", "sctp"):
            ports = list(_ports(match, skb))
            yield from ports
            if any(ports) or _protocol(parts, skb):
                continue
        if match.name == "comment":
            continue
        if match.name in _NOT_ASKED:
            text = match_text(match).removeprefix(f" -m {match.name}")
            yield Unasked(f"{_NOT_ASKED[match.name]} decided: {' '.join(text.split())}")
            continue
        try:
            if MATCHES[match.name](match.value, Building(rule, parts, backend))(skb, ctx):
                continue
        except HotDrop:
            pass
        yield _WORDS.get(match.name, _plainly)(match, skb, ctx)


def _header(parts: RuleParts, skb: Skb) -> Iterator[str]:
    for word, network, address in (("source", parts.src, skb.src), ("destination", parts.dst, skb.dst)):
        if network is not None:
            yield _network(word, network, address, parts.family)
    for word, interface, name in (("in by", parts.iif, skb.iif), ("out by", parts.oif, skb.oif)):
        if interface is not None:
            yield _interface(word, interface, name)
    if parts.protocol is not None:
        yield _protocol(parts, skb)


def _protocol(parts: RuleParts, skb: Skb) -> str:
    if parts.protocol is None or not parts.protocol.number:
        return ""
    if (parts.protocol.number == skb.proto) != parts.protocol.inverted:
        return ""
    name = PROTOCOL_NAMES.get(parts.protocol.number, str(parts.protocol.number))
    return f"the protocol is {PROTOCOL_NAMES.get(skb.proto, skb.proto)}, not {name}"


def _ports(match: Match, skb: Skb) -> Iterator[str]:
    for inverted, side, low, high in _PORT.findall(match_text(match)):
        port = skb.sport if side == "s" else skb.dport
        inside = int(low) <= port <= int(high or low)
        word = "source" if side == "s" else "destination"
        wanted = low + (f"-{high}" if high else "")
        yield "" if inside != bool(inverted) else f"the {word} port is {port}, not {wanted}"


def _network(word: str, network: Network, address: int, family: int) -> str:
    inside = (address ^ network.address) & network.mask == 0
    if inside != network.inverted:
        return ""
    size = 4 if family == 4 else 16
    text, wanted = ip_address(address.to_bytes(size)), ip_address(network.address.to_bytes(size))
    prefix = network.mask.bit_count()
    wanted_text = f"{wanted}" + ("" if prefix == size * 8 else f"/{prefix}")
    return f"the {word} is {text}, {'which is in' if network.inverted else 'not'} {wanted_text}"


def _interface(word: str, interface: Interface, name: str) -> str:
    wanted = interface.name
    inside = name.startswith(wanted[:-1]) if wanted.endswith("+") else name == wanted
    if inside != interface.inverted:
        return ""
    return f"the packet goes {word} {name or 'no interface'}, {'which is' if interface.inverted else 'not'} {wanted}"


# --- other matches in words


def _plainly(match: Match, skb: Skb, ctx: HookContext) -> str:
    return f"did not hold:{match_text(match)}"


def _state(match: Match, skb: Skb, ctx: HookContext) -> str:
    value: ConntrackMatch = match.value
    wanted = next((test for name, test in value.tests if name == "ctstate"), None)
    if wanted is None or len(value.tests) > 1:
        return f"the connection is {state_name(skb)}; did not hold:{match_text(match)}"
    names = " or ".join(sorted(str(one) for one in wanted.value))  # type: ignore[attr-defined]
    return f"the connection is {state_name(skb)}, {'which is' if wanted.inverted else 'not'} {names}"


def _mark(match: Match, skb: Skb, ctx: HookContext) -> str:
    value: MarkMatch = match.value
    if match.name == "connmark":
        return f"the connection's mark is {skb.ct.mark if skb.ct else 0:#x}; did not hold:{match_text(match)}"
    masked = "" if value.mask == 0xFFFFFFFF else f" under {value.mask:#x}"
    return f"the mark is {skb.mark:#x}, {'which is' if value.inverted else 'not'} {value.value:#x}{masked}"


def _set(match: Match, skb: Skb, ctx: HookContext) -> str:
    value: SetMatch = match.value
    held = ctx.netns.ipsets.sets[value.name]
    element = None if held.options.type.name == "list:set" else held.of_packet(skb, value.directions)
    if element is None:
        return f"did not hold:{match_text(match)}"
    text = element_text(held.options, element)
    if value.inverted:
        return f"{text} is in the set {value.name}"
    near = [element_text(held.options, one) for one in held.held if one[:1] == element[:1] and one != element]
    others = f"; it has {', '.join(near[:NEAR_ELEMENTS])}" if near else ""
    return f"{text} is not in the set {value.name}{others}" if held.held else f"the set {value.name} is empty"


def _addrtype(match: Match, skb: Skb, ctx: HookContext) -> str:
    text = match_text(match).removeprefix(" -m addrtype").strip()
    size = 4 if skb.family == 4 else 16
    ends = [
        f"the {word} is {ip_address(address.to_bytes(size))}"
        for word, option, address in (("source", "--src-type", skb.src), ("destination", "--dst-type", skb.dst))
        if option in text
    ]
    return f"{' and '.join(ends)}: not true of it: {text}"


_WORDS: dict[str, Callable[[Match, Skb, HookContext], str]] = {
    "addrtype": _addrtype, "connmark": _mark, "conntrack": _state, "mark": _mark, "set": _set, "state": _state,
}  # fmt: skip
