"""All matches and targets: the dispatch tables by name, from which docs/fidelity.md is written."""

from __future__ import annotations

from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.match_content import CONTENT_MATCHES
from fakecluster.rules.iptables.match_flow import FLOW_MATCHES
from fakecluster.rules.iptables.match_hashlimit import HASHLIMIT
from fakecluster.rules.iptables.match_header import HEADER_MATCHES
from fakecluster.rules.iptables.match_message import MESSAGE_MATCHES
from fakecluster.rules.iptables.match_packet import PACKET_MATCHES
from fakecluster.rules.iptables.match_rate import RATE_MATCHES
from fakecluster.rules.iptables.match_transport import TRANSPORT_MATCHES
from fakecluster.rules.iptables.option import Extension
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.target_mark import MARK_TARGETS
from fakecluster.rules.iptables.target_nat import NAT_TARGETS
from fakecluster.rules.iptables.target_packet import PACKET_TARGETS

MATCHES: dict[str, Extension[Any]] = {
    each.name: each
    for each in (
        *TRANSPORT_MATCHES, *MESSAGE_MATCHES, *FLOW_MATCHES, *RATE_MATCHES, HASHLIMIT, *HEADER_MATCHES, *PACKET_MATCHES,
        *CONTENT_MATCHES,
    )
}  # fmt: skip
TARGETS: dict[str, Extension[Any]] = {each.name: each for each in (*NAT_TARGETS, *MARK_TARGETS, *PACKET_TARGETS)}
#: names under which an extension can also be asked for
MATCH_ALIASES = {"icmpv6": "icmp6", "ipv6-icmp": "icmp6"}
VERDICTS = {
    "ACCEPT": "lets the packet pass this table",
    "DROP": "discards the packet",
    "RETURN": "goes back to the calling chain, or to the policy",
}
#: what iptables itself has and this model refuses when the rule is loaded
REFUSED_MATCHES = frozenset((
    "ah", "bpf", "cgroup", "cluster", "connlabel", "devgroup", "dst", "ecn", "eui64", "hbh", "ipcomp", "ipv6header",
    "mh", "osf", "policy", "rateest", "realm", "rt", "srh", "time",
))  # fmt: skip
REFUSED_TARGETS = frozenset((
    "AUDIT", "CLUSTERIP", "CONNSECMARK", "DNPT", "ECN", "HMARK", "IDLETIMER", "LED", "RATEEST", "SECMARK", "SNPT",
    "SYNPROXY", "TCPOPTSTRIP", "TEE", "ULOG", "QUEUE",
))  # fmt: skip
#: what else is refused when the rule is loaded: values of options that are known
REFUSED_VALUES = ("hashlimit: rates in bytes, --hashlimit-rate-match", "sctp: flags of chunks")
#: protocol number -> the match that `--dport` and the like load by themselves
PROTOCOL_MATCHES = {6: "tcp", 17: "udp", 132: "sctp", 33: "dccp", 1: "icmp", 58: "icmp6", 50: "esp"}
#: matches that only make sense with their protocol, and what is said otherwise
NEEDED_PROTOCOL = {"tcp": ((6,), "TCP match requires '-p tcp'"), "udp": ((17,), "UDP match requires '-p udp'")}


def match_extension(name: str, family: int) -> Extension[Any]:
    """The match called `name`. Raises `RuleProblem` for no such match, `Unsupported` for one not modelled."""
    found = MATCHES.get(MATCH_ALIASES.get(name, name))
    if found is None or family not in found.families:
        if name in REFUSED_MATCHES:
            raise Unsupported(f"iptables match {name}", token=name)
        raise RuleProblem(f"Couldn't load match `{name}':No such file or directory\n", token=name)
    return found


def target_extension(name: str, family: int) -> Extension[Any] | None:
    """The target called `name`, or None when it can only be a chain. Raises `Unsupported` for one not modelled."""
    found = TARGETS.get(name)
    if name in REFUSED_TARGETS:
        raise Unsupported(f"iptables target {name}", token=name)
    return found if found is not None and family in found.families else None
