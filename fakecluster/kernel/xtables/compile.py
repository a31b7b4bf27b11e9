"""Rules become code: the dispatch tables from match and target names to what compiles them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.kernel.hooks import ACCEPT, DROP
from fakecluster.kernel.ipvs.match import ipvs
from fakecluster.kernel.xtables import match_addrtype, match_flow, match_packet, match_rate, match_transport, targets
from fakecluster.kernel.xtables.code import CONTINUE, RETURN, Act, Building, Code, Test
from fakecluster.kernel.xtables.headers import header_tests
from fakecluster.kernel.xtables.steady import steady_parts
from fakecluster.rules.iptables.match_hashlimit import HashlimitMatch
from fakecluster.rules.iptables.rule import Rule, RuleParts, Target

MATCHES: dict[str, Callable[[Any, Building], Test]] = {
    "addrtype": match_addrtype.addrtype,
    "comment": match_packet.comment,
    "connbytes": match_flow.connbytes,
    "connlimit": match_flow.connlimit,
    "connmark": match_flow.connmark,
    "conntrack": match_flow.conntrack,
    "cpu": match_packet.cpu,
    "dccp": match_transport.dccp,
    "dscp": match_packet.dscp,
    "esp": match_transport.esp,
    "frag": match_transport.frag,
    "hashlimit": match_rate.hashlimit,
    "helper": match_flow.helper,
    "hl": match_packet.ttl,
    "icmp": match_transport.icmp,
    "icmp6": match_transport.icmp,
    "iprange": match_packet.iprange,
    "ipvs": ipvs,
    "length": match_transport.length,
    "limit": match_rate.limit,
    "mac": match_packet.mac,
    "mark": match_flow.mark,
    "multiport": match_transport.multiport,
    "nfacct": match_rate.nfacct,
    "owner": match_packet.owner,
    "physdev": match_packet.physdev,
    "pkttype": match_packet.pkttype,
    "quota": match_rate.quota,
    "recent": match_rate.recent,
    "rpfilter": match_packet.rpfilter,
    "sctp": match_transport.sctp,
    "set": match_packet.set_,
    "socket": match_packet.socket,
    "state": match_flow.conntrack,
    "statistic": match_rate.statistic,
    "string": match_packet.string,
    "tcp": match_transport.tcp,
    "tcpmss": match_transport.tcpmss,
    "tos": match_packet.tos,
    "ttl": match_packet.ttl,
    "u32": match_packet.u32,
    "udp": match_transport.udp,
}
TARGETS: dict[str, Callable[[Any, Building], Act]] = {
    "CHECKSUM": targets.nothing,
    "CLASSIFY": targets.classify,
    "CONNMARK": targets.connmark,
    "CT": targets.ct,
    "DNAT": targets.dnat,
    "DSCP": targets.tos,
    "HL": targets.ttl,
    "LOG": targets.log,
    "MARK": targets.mark,
    "MASQUERADE": targets.masquerade,
    "NETMAP": targets.netmap,
    "NFLOG": targets.nflog,
    "NFQUEUE": targets.nfqueue,
    "NOTRACK": targets.notrack,
    "REDIRECT": targets.redirect,
    "REJECT": targets.reject,
    "SET": targets.set_,
    "SNAT": targets.snat,
    "TCPMSS": targets.tcpmss,
    "TOS": targets.tos,
    "TPROXY": targets.tproxy,
    "TRACE": targets.nothing,
    "TTL": targets.ttl,
}
VERDICTS = {"ACCEPT": ACCEPT, "DROP": DROP, "RETURN": RETURN}


def refuse_unmodelled(parts: RuleParts) -> None:
    """Raise `Unsupported` for what can be read and printed but has no meaning here yet."""
    for match in parts.matches:
        if match.name not in MATCHES:
            raise Unsupported(f"iptables match {match.name}: its effect on packets", token=match.name)
        if isinstance(match.value, HashlimitMatch) and (match.value.by_bytes or match.value.rate_match):
            raise Unsupported("hashlimit by bytes or --hashlimit-rate-match", token="hashlimit")
    target = parts.target
    if target is not None and not target.is_chain and target.name not in VERDICTS and target.name not in TARGETS:
        raise Unsupported(f"iptables target {target.name}", token=target.name)


def compile_rule(index: int, rule: Rule, backend: str) -> Code:
    """The code of one rule."""
    parts = rule.parts
    building = Building(rule, parts, backend)
    tests = [*header_tests(parts)]
    steady = steady_parts(parts, len(tests))
    tests += [MATCHES[match.name](match.value, building) for match in parts.matches if match.name != "comment"]
    target = parts.target
    act, verdict = _action(target, building)
    chain = target.name if target is not None and target.is_chain else ""
    return Code(index, rule, tuple(tests), act, verdict, chain, goto=target is not None and target.goto, steady=steady)


def _action(target: Target | None, building: Building) -> tuple[Act | None, int]:
    if target is None or target.is_chain:
        return None, CONTINUE
    if target.name in VERDICTS:
        return None, VERDICTS[target.name]
    return TARGETS[target.name](target.value, building), CONTINUE
