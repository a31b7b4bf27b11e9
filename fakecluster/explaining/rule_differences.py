"""A real node's rules against those that kube-proxy should have written: what it lacks, what it has too much.

Both sides are loaded into a namespace and printed by the same tool, so that spelling does not matter. Within a chain
rules are compared as a multiset, and said to be out of order when only their order differs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import attrs

from fakecluster.kernel.netns import Netns

_NAME = re.compile(r'--comment "?([a-z0-9-]+/[a-z0-9-]+(?::[a-z0-9-]+)?)')
_NFT_NAME = re.compile(r'comment "([^"]+)"|service-[A-Z0-9]+-([a-z0-9-]+/[a-z0-9-]+)/')
_NFT_OPEN = re.compile(r"\s*(table|chain|set|map) (.+) \{$")
#: chains that others (a CNI plugin, a firewall) may have as well
OWN_PREFIX = "KUBE-"

Rules = dict[tuple[str, str], list[str]]


@attrs.frozen
class RuleDifference:
    """`what` is missing, extra or order; `name` the Service that the rule's comment names ("" for none)."""

    what: str
    table: str
    chain: str
    rule: str
    name: str = ""

    def __str__(self) -> str:
        whose = f" ({self.name})" if self.name else ""
        return f"{self.what} in {self.table} {self.chain}{whose}: {self.rule}"


def differences(
    real: Netns, model: Netns, *, everything: bool = False, kinds: Iterable[str] = ()
) -> list[RuleDifference]:
    """Compare two nodes' rules, of all kinds of dumps or some; only kube-proxy's chains unless `everything`."""
    found: list[RuleDifference] = []
    for kind in kinds or READERS:
        command, read = READERS[kind]
        found += _compare(read(real.run(command)), read(model.run(command)), everything=everything)
    return found


def _compare(real: Rules, model: Rules, *, everything: bool) -> Iterator[RuleDifference]:
    for table, chain in sorted(real.keys() | model.keys()):
        has, wanted = real.get((table, chain), []), model.get((table, chain), [])
        if not everything and not _is_own(table, chain):
            has = [rule for rule in has if OWN_PREFIX in rule]
            wanted = [rule for rule in wanted if OWN_PREFIX in rule]
        missing, extra = Counter(wanted) - Counter(has), Counter(has) - Counter(wanted)
        for what, rules in (("missing", missing), ("extra", extra)):
            for rule in rules.elements():
                yield RuleDifference(what, table, chain, rule, service_of(rule))
        if not missing and not extra and has != wanted:
            first = next(rule for rule, other in zip(has, wanted, strict=True) if rule != other)
            yield RuleDifference("order", table, chain, first, service_of(first))


def _is_own(table: str, chain: str) -> bool:
    return chain.startswith(OWN_PREFIX) or table.endswith("kube-proxy") or table in ("ipset", "ipvs")


def service_of(rule: str) -> str:
    """The Service (namespace/name:port) that a rule is about."""
    found = _NAME.search(rule) or _NFT_NAME.search(rule)
    return next((text for text in found.groups() if text), "") if found else ""


def _iptables(family: str) -> Callable[[str], Rules]:
    def read(text: str) -> Rules:
        rules: Rules = {}
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = f"{family} {line[1:]}"
            elif line.startswith("-A "):
                _, chain, rule = line.split(" ", 2)
                rules.setdefault((table, chain), []).append(rule)
        return rules

    return read


def _nft(text: str) -> Rules:
    """`nft list ruleset`: the lines of every chain, set and map; elements one by one."""
    rules: Rules = {}
    table = block = ""
    listing = False
    for raw in text.splitlines():
        line = raw.strip()
        opened = _NFT_OPEN.match(raw)
        if opened is not None:
            table, block = (opened[2], "") if opened[1] == "table" else (table, f"{opened[1]} {opened[2]}")
            continue
        listing = listing or line.startswith("elements = {")
        if listing:
            inside = line.removeprefix("elements = {").removesuffix("}").strip().removesuffix(",")
            rules.setdefault((table, block), []).extend(one.strip() for one in inside.split(", ") if one.strip())
            listing = not line.endswith("}")
        elif line and line != "}":
            rules.setdefault((table, block), []).append(line)
    return rules


def _lines(table: str) -> Callable[[str], Rules]:
    def read(text: str) -> Rules:
        lines = sorted(line for line in text.splitlines() if line)
        return {(table, ""): lines} if lines else {}

    return read


#: kind of dump -> the command that prints it, and how its output is taken apart
READERS: dict[str, tuple[str, Callable[[str], Rules]]] = {
    "iptables-save": ("iptables-save", _iptables("ip")),
    "ip6tables-save": ("ip6tables-save", _iptables("ip6")),
    "nft": ("nft list ruleset", _nft),
    "ipset": ("ipset save", _lines("ipset")),
    "ipvsadm": ("ipvsadm -Sn", _lines("ipvs")),
}
