"""A real node's rules against those that kube-proxy should have written: what it lacks, what it has too much.

Both sides are loaded into a namespace and printed by the same tool, so that spelling does not matter. Within a chain
rules are compared as a multiset, and said to be out of order when only their order differs: that of a Service's rules, or of
those that are about none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import attrs

from fakecluster.explaining.service_names import NO_SERVICES, ServiceNames
from fakecluster.kernel.netns import Netns

_NFT_OPEN = re.compile(r"\s*(table|chain|set|map) (.+) \{$")
_UNORDERED = ("set ", "map ")
#: chains that others (a CNI plugin, a firewall) may have as well
OWN_PREFIX = "KUBE-"

Rules = dict[tuple[str, str], list[str]]


@attrs.frozen
class RuleDifference:
    """`what` is missing, extra or order; `name` the Service that the rule is about ("" for none)."""

    what: str
    table: str
    chain: str
    rule: str
    name: str = ""

    def __str__(self) -> str:
        whose = f" ({self.name})" if self.name else ""
        place = f"{self.table} {self.chain}" if self.chain else self.table
        return f"{self.what} in {place}{whose}: {self.rule}"


def differences(
    real: Netns, model: Netns, *, names: ServiceNames = NO_SERVICES, everything: bool = False, kinds: Iterable[str] = ()
) -> list[RuleDifference]:
    """Compare two nodes' rules, of all kinds of dumps or some; only kube-proxy's chains unless `everything`."""
    found: list[RuleDifference] = []
    for kind in kinds or READERS:
        command, read = READERS[kind]
        found += _compare(read(real.run(command)), read(model.run(command)), names, everything=everything)
    return found


def _compare(real: Rules, model: Rules, names: ServiceNames, *, everything: bool) -> Iterator[RuleDifference]:
    for table, chain in sorted(real.keys() | model.keys()):
        has, wanted = real.get((table, chain), []), model.get((table, chain), [])
        if not everything and not _is_own(table, chain):
            has = [rule for rule in has if OWN_PREFIX in rule]
            wanted = [rule for rule in wanted if OWN_PREFIX in rule]
        missing, extra = Counter(wanted) - Counter(has), Counter(has) - Counter(wanted)
        for what, rules in (("missing", missing), ("extra", extra)):
            for rule in rules.elements():
                yield RuleDifference(what, table, chain, rule, names.of(rule, chain))
        if not missing and not extra and has != wanted and not chain.startswith(_UNORDERED):
            first = _out_of_order(has, wanted, names)
            if first:
                yield RuleDifference("order", table, chain, first, names.of(first, chain))


def _out_of_order(has: list[str], wanted: list[str], names: ServiceNames) -> str:
    """The first rule that is not where it should be: among its Service's, or in the chain when it is about none.

    kube-proxy goes through Services in the order of a Go map, which is another one every time.
    """
    expected: dict[str, list[str]] = {}
    for rule in wanted:
        expected.setdefault(names.of(rule), []).append(rule)
    for rule, other in zip(has, wanted, strict=True):
        name = names.of(rule)
        if rule != (other if not name else expected[name].pop(0)):
            return rule
    return ""


def _is_own(table: str, chain: str) -> bool:
    return chain.startswith(OWN_PREFIX) or table.endswith("kube-proxy") or table in ("ipset", "ipvs")


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
