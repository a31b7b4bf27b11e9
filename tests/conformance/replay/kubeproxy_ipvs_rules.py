"""Compare what ipvs mode programs besides rules: virtual servers, sets, the dummy device; and the connections made.

Undetermined: the order of virtual servers, of sets and of their elements (hash tables), MAC addresses, indices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from replay.kubeproxy_ipvs_time import LATE_S, Expiries, Slack
from replay.kubeproxy_node import Node
from replay.kubeproxy_rules import iptables_differences

Json = dict[str, Any]
Compare = Callable[[str, str], Iterator[str]]
DEVICE = "kube-ipvs0"
#: How far a connection entry's time may be off: the machine's clock ran while the recorder worked.
EXPIRY_TOLERANCE_S = 5
TEMPLATE_MINUTE_S = 60

_SERVICE = re.compile(r"(TCP|UDP|SCTP|FWM)\s+(.*)")


def server_lists(listing: str) -> dict[str, list[tuple[str, int]]]:
    """`ipvsadm -Ln`: "TCP ip:port" -> real servers in the kernel's order, with their weights."""
    found: dict[str, list[tuple[str, int]]] = {}
    for service, lines in _services(listing).items():
        key = " ".join(service.split()[:2])
        found[key] = [(line.split()[1], int(line.split()[3])) for line in lines]
    return found


def _services(listing: str) -> dict[str, list[str]]:
    """Service line -> lines of its real servers; blanks made one."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in listing.splitlines():
        if match := _SERVICE.match(line):
            current = found[" ".join(match[0].split())] = []
        elif line.strip().startswith("->") and current is not None:
            current.append(" ".join(line.split()))
    return found


def listing_differences(expected: str, actual: str, slack: Slack, *, ordered: bool) -> Iterator[str]:
    """Real servers, in order where it is known, with weights and counters."""
    want, have = _services(expected), _services(actual)
    yield from (f"missing: {service}" for service in want if service not in have)
    yield from (f"too much: {service}" for service in have if service not in want)
    for service in want:
        if service in have:
            lines, others = want[service], have[service]
            if not ordered:
                lines, others = sorted(lines), sorted(others)
            same = len(lines) == len(others) and all(map(slack.allows, [service] * len(lines), lines, others))
            if not same:
                yield f"{service}: {others} instead of {lines}"


def line_differences(expected: str, actual: str) -> Iterator[str]:
    """Lines of two dumps, in any order."""
    want, have = (sorted(" ".join(line.split()) for line in text.splitlines() if line) for text in (expected, actual))
    yield from (f"missing: {line}" for line in want if line not in have)
    yield from (f"too much: {line}" for line in have if line not in want)


def _rules(expected: str, actual: str) -> Iterator[str]:
    """This node's iptables was the legacy one, which lists chains by name and has only the tables that were used."""
    yield from iptables_differences(_by_name(expected), _by_name(actual))


def _by_name(dump: str) -> str:
    lines: list[str] = []
    for table in re.split(r"(?m)^(?=\*)", dump):
        body = [line for line in table.splitlines() if line and not line.startswith("#")]
        chains = sorted(re.sub(r"\[\d+:\d+\]", "", line) for line in body if line.startswith(":"))
        rules = [line for line in body[1:] if not line.startswith(":")]
        if any(not chain.startswith(_BUILT_IN) for chain in chains) or len(rules) > 1:
            lines += [body[0], *chains, *_grouped(rules)]
    return "\n".join(lines)


def _grouped(rules: list[str]) -> list[str]:
    """Rules chain by chain in order of the chains' names."""
    return sorted(rules, key=lambda rule: rule.split(" ", 2)[1] if rule.startswith("-A") else "~")


_BUILT_IN = tuple(f":{chain} " for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))


def _addresses(expected: Any, actual: str) -> Iterator[str]:
    """`ip -j addr show` of the device, as the recorder kept it, against the model's plain text."""
    want = {f"{a['local']}/{a['prefixlen']}" for entry in expected or () for a in entry["addr_info"]}
    have = {line.split()[1] for line in actual.splitlines() if line.strip().startswith("inet")}
    if want != have:
        yield f"{sorted(have)} instead of {sorted(want)}"


def _routes(expected: str, actual: str) -> Iterator[str]:
    """Destinations of the local routes (the recorder asked for one device; the model lists all)."""
    want = {line.split()[1] for line in expected.splitlines() if line}
    have = {line.split()[1] for line in actual.splitlines() if f" dev {DEVICE} " in line}
    if want != have:
        yield f"{sorted(have)} instead of {sorted(want)}"


def _links(expected: str, actual: str) -> Iterator[str]:
    want = set(re.findall(r"(?m)^\d+: ([\w-]+):", expected))
    have = set(re.findall(r"(?m)^\d+: ([\w-]+):.* link/dummy", actual))
    if want != have:
        yield f"dummy devices {sorted(have)} instead of {sorted(want)}"


#: Name of a dump in the recordings -> command, and how to compare it.
STATE_DUMPS: dict[str, tuple[list[str], Callable[[Any, str], Iterator[str]]]] = {
    "ipvsadm_Sn": (["ipvsadm", "-Sn"], line_differences),
    "ipvsadm_timeouts": (["ipvsadm", "-L", "--timeout"], line_differences),
    "ipset_save": (["ipset", "save"], line_differences),
    "iptables_save": (["iptables-save"], _rules),
    "ip6tables_save": (["ip6tables-save"], _rules),
    "links": (["ip", "link", "show"], _links),
    "kube_ipvs0_addr": (["ip", "address", "show", "dev", DEVICE], _addresses),
    "route_local_kube_ipvs0": (["ip", "route", "show", "table", "local"], _routes),
    "route6_local_kube_ipvs0": (["ip", "-6", "route", "show", "table", "local"], _routes),
}
LISTING = ["ipvsadm", "-Ln", "--nosort"]


def rule_differences(name: str, recorded: Any, node: Node, slack: Slack, *, ordered: bool) -> Iterator[str]:
    """One dump of a step against the node; `ordered`: the recorded lists are in the kernel's order."""
    if name == "sysctls":
        for key, value in recorded.items():
            if value is None:  # no such device
                continue
            found = node.run(["sysctl", "-n", key.replace("/", ".")]).strip()
            if found != str(value):
                yield f"{key} is {found} instead of {value}"
        return
    if name == "ipvsadm_Ln":
        yield from listing_differences(recorded, node.run(LISTING), slack, ordered=ordered)
        return
    command, compare_dump = STATE_DUMPS[name]
    yield from compare_dump(recorded, node.run(command))


# -- after the packets ---------------------------------------------------------------------------------------------


class AfterPackets:
    """Counters, persistent counts and connection entries, of which the recorder kept one look somewhere in the step."""

    def __init__(self, step: Json, node: Node, expiries: Expiries, *, ordered: bool) -> None:
        self.step, self.node, self.expiries, self.ordered = step, node, expiries, ordered
        self.found: list[str] | None = None

    def look(self) -> None:
        """Compare with what the node has now, unless an earlier look was the recorder's."""
        if self.found != []:
            self.found = list(self._differences())

    def differences(self) -> Iterator[str]:
        """Of the last look, if none was the recorder's."""
        self.look()
        yield from self.found or ()

    def _differences(self) -> Iterator[str]:
        slack = self.expiries.slack()
        for name, command in _AFTER_PACKETS.items():
            if name in self.step:
                recorded, found = self.step[name], self.node.run(command)
                if name == "ipvsadm_Lnc_afterPackets":
                    texts = _connections(recorded, found)
                else:
                    ordered = self.ordered and name == "ipvsadm_Ln_afterPackets"  # the other is sorted by the tool
                    texts = listing_differences(recorded, found, slack, ordered=ordered)
                yield from (f"{name}: {text}" for text in texts)


_AFTER_PACKETS = {
    "ipvsadm_Ln_afterPackets": LISTING,
    "ipvsadm_persistent_afterPackets": ["ipvsadm", "-Ln", "--persistent-conn", "--nosort"],
    "ipvsadm_Lnc_afterPackets": ["ipvsadm", "-Lnc"],
}


def _connections(expected: str, actual: str) -> Iterator[str]:
    """Entries of the connection table, their time left within a tolerance."""
    want, have = _entries(expected), _entries(actual)
    yield from (f"missing: {entry} {left} s" for entry, left in want.items() if entry not in have and left > 1)
    yield from (f"too much: {entry} {left} s" for entry, left in have.items() if entry not in want and left > 1)
    for entry, left in want.items():
        if (
            entry in have
            and abs(have[entry] - left) > EXPIRY_TOLERANCE_S
            and not _was_renewed(entry, left, have[entry])
        ):
            yield f"{entry}: {have[entry]} s left instead of {left}"


def _was_renewed(entry: str, want: int, have: int) -> bool:
    """A template with connections starts on another minute when its time is over: in the model a little sooner."""
    return ":0 " in entry and want <= LATE_S and have >= TEMPLATE_MINUTE_S - LATE_S


def _entries(listing: str) -> dict[str, int]:
    found = {}
    for line in listing.splitlines():
        words = line.split()
        if len(words) >= 6 and ":" in words[1]:
            minutes, _, seconds = words[1].partition(":")
            found[" ".join([words[0], *words[2:]])] = int(minutes) * 60 + int(seconds)
    return found
