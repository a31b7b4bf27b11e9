"""Which tests and targets answer alike for every packet of a flow, so that a walk may be remembered (see flow_cache).

The first packets of connections to one port are another family: TCP SYNs with the same interface, addresses, destination
port and type of service, which belong to no connection yet. What chance decides is asked again for each (`OPENING`).

Alike are packets with the same interface, addresses, ports, protocol and type of service, which are no fragments, have
no IPv4 options or IPv6 extension headers, belong to the same connection in the same state and direction and, in TCP,
have ACK and perhaps PSH set and no other flag. What is not listed here is taken to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.kernel.packet import PSH
from fakecluster.rules.iptables.match_flow import ConntrackMatch
from fakecluster.rules.iptables.match_transport import EVERY_PORT, TcpMatch
from fakecluster.rules.iptables.rule import RuleParts


def _always(_value: Any) -> bool:
    return True


def _tcp(value: TcpMatch) -> bool:
    return not value.option and not value.flags[0] & PSH


def _conntrack(value: ConntrackMatch) -> bool:
    return all(name != "ctexpire" for name, _test in value.tests)


#: nfacct counts what it matches, set looks into lists that may change: both tell the trail when they are asked.
MATCHES: Mapping[str, Callable[[Any], bool]] = {
    "addrtype": _always,
    "connmark": _always,
    "conntrack": _conntrack,
    "cpu": _always,
    "dscp": _always,
    "helper": _always,
    "iprange": _always,
    "mark": _always,
    "multiport": _always,
    "nfacct": _always,
    "owner": _always,
    "physdev": _always,
    "pkttype": _always,
    "rpfilter": _always,
    "set": _always,
    "state": _conntrack,
    "tcp": _tcp,
    "tos": _always,
    "udp": _always,
}


def _without_sport(value: TcpMatch) -> bool:
    return not value.option and value.sport == EVERY_PORT


def _without_ports_of_the_sender(value: ConntrackMatch) -> bool:
    return all(name not in ("ctexpire", "ctorigsrcport", "ctrepldstport") for name, _test in value.tests)


#: What is alike for first packets.
OPENING: Mapping[str, Callable[[Any], bool]] = {
    **MATCHES,
    "conntrack": _without_ports_of_the_sender,
    "multiport": lambda value: bool(value.side == "dports"),
    "state": _without_ports_of_the_sender,
    "statistic": lambda value: bool(value.mode == "random"),
    "tcp": _without_sport,
}
OPENING_TARGETS = frozenset(("CLASSIFY", "CONNMARK", "DNAT", "MARK", "MASQUERADE", "SNAT"))
#: What only writes what the next packet has written too.
TARGETS = frozenset(("CHECKSUM", "CLASSIFY", "CONNMARK", "CT", "MARK", "NOTRACK", "TRACE"))


def steady_part(parts: RuleParts, headers: int, *, opening: bool) -> int:
    """How much of a rule can be relied on: the number of its tests, and one more if the target can be too.

    `headers` is the number of tests of the rule's own options, which come first. `opening`: for first packets.
    """
    matches, targets = (OPENING, OPENING_TARGETS) if opening else (MATCHES, TARGETS)
    count = headers
    for match in parts.matches:
        if match.name == "comment":
            continue
        known = matches.get(match.name)
        if known is None or not known(match.value):
            return count
        count += 1
    target = parts.target
    steady = target is None or target.is_chain or target.name in VERDICTS or target.name in targets
    return count + steady


VERDICTS = frozenset(("ACCEPT", "DROP", "RETURN"))
