"""Which tests and targets answer alike for every packet of a flow, so that a walk may be remembered (see flow_cache).

The first packets of connections to one port are another kind: TCP SYNs with the same interface, addresses, destination
port and type of service, which belong to no connection yet. What chance decides is asked again for each (`OPENING`).
The packets of kin are like those of one flow, but for the port of their source or destination (`SOURCES`, `DESTINATIONS`).

Alike are packets with the same interface, addresses, ports, protocol and type of service, which are no fragments, have
no IPv4 options or IPv6 extension headers, belong to the same connection in the same state and direction and, in TCP,
have ACK and perhaps PSH set and no other flag. What is not listed here is taken to differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakecluster.kernel.packet import PSH
from fakecluster.kernel.trail import Steady
from fakecluster.rules.iptables.match_flow import ConntrackMatch
from fakecluster.rules.iptables.match_transport import EVERY_PORT, PortsMatch, TcpMatch
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


def _without_sport(value: PortsMatch) -> bool:
    return value.sport == EVERY_PORT


def _without_dport(value: PortsMatch) -> bool:
    return value.dport == EVERY_PORT


def _without_ports_of_the_client(value: ConntrackMatch) -> bool:
    return all(name not in ("ctexpire", "ctorigsrcport", "ctrepldstport") for name, _test in value.tests)


#: What is alike for first packets.
OPENING: Mapping[str, Callable[[Any], bool]] = {
    **MATCHES,
    "conntrack": _without_ports_of_the_client,
    "multiport": lambda value: bool(value.side == "dports"),
    "state": _without_ports_of_the_client,
    "statistic": lambda value: bool(value.mode == "random"),
    "tcp": lambda value: not value.option and _without_sport(value),
}
#: What is alike for packets of kin, by what their ports differ in.
SOURCES: Mapping[str, Callable[[Any], bool]] = {
    **MATCHES,
    "conntrack": _without_ports_of_the_client,
    "multiport": lambda value: bool(value.side == "dports"),
    "state": _without_ports_of_the_client,
    "tcp": lambda value: _tcp(value) and _without_sport(value),
    "udp": _without_sport,
}
DESTINATIONS: Mapping[str, Callable[[Any], bool]] = {
    **SOURCES,
    "multiport": lambda value: bool(value.side == "sports"),
    "tcp": lambda value: _tcp(value) and _without_dport(value),
    "udp": _without_dport,
}
OPENING_TARGETS = frozenset(("CLASSIFY", "CONNMARK", "DNAT", "MARK", "MASQUERADE", "SNAT"))
#: What only writes what the next packet has written too.
TARGETS = frozenset(("CHECKSUM", "CLASSIFY", "CONNMARK", "CT", "MARK", "NOTRACK", "TRACE"))


def steady_parts(parts: RuleParts, headers: int) -> Steady:
    """How much of a rule can be relied on, by kind: the number of its tests, and one more if the target can be too.

    `headers` is the number of tests of the rule's own options, which come first.
    """
    return (
        _steady_part(parts, headers, MATCHES, TARGETS),
        _steady_part(parts, headers, OPENING, OPENING_TARGETS),
        _steady_part(parts, headers, SOURCES, TARGETS),
        _steady_part(parts, headers, DESTINATIONS, TARGETS),
    )


def _steady_part(
    parts: RuleParts, count: int, matches: Mapping[str, Callable[[Any], bool]], targets: frozenset[str]
) -> int:  # fmt: skip
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
