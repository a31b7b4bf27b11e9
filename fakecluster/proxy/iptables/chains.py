"""The fixed chains of iptables mode, how they are hooked in, and the rules in them that no Service owns.

Source: Kubernetes pkg/proxy/iptables/proxier.go (iptablesJumpChains and the head and tail of syncProxyRules).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from fakecluster.proxy.chains import Jump, chain_line, chain_lines, mark_text
from fakecluster.proxy.log import structured
from fakecluster.proxy.node import ProxyNode

CANARY = "KUBE-PROXY-CANARY"
#: Tables that carry the canary, in the order in which they are asked for it.
CANARY_TABLES = ("mangle", "nat", "filter")
FILTER_CHAINS = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL")
NAT_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
KUBELET_FIREWALL = "KUBE-FIREWALL"
#: nfacct objects that count packets for the metrics.
INVALID_DROPPED = "ct_state_invalid_dropped_pkts"
LOCALHOST_ACCEPTED = "localhost_nps_accepted_pkts"

_NEW = ("-m", "conntrack", "--ctstate", "NEW")


#: In order of creation; each is prepended, so built-in chains show them in reverse.
JUMPS = (
    Jump("filter", "KUBE-EXTERNAL-SERVICES", "INPUT", "kubernetes externally-visible service portals", _NEW),
    Jump("filter", "KUBE-EXTERNAL-SERVICES", "FORWARD", "kubernetes externally-visible service portals", _NEW),
    Jump("filter", "KUBE-NODEPORTS", "INPUT", "kubernetes health check service ports"),
    Jump("filter", "KUBE-SERVICES", "FORWARD", "kubernetes service portals", _NEW),
    Jump("filter", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals", _NEW),
    Jump("filter", "KUBE-FORWARD", "FORWARD", "kubernetes forwarding rules"),
    Jump("filter", "KUBE-PROXY-FIREWALL", "INPUT", "kubernetes load balancer firewall", _NEW),
    Jump("filter", "KUBE-PROXY-FIREWALL", "OUTPUT", "kubernetes load balancer firewall", _NEW),
    Jump("filter", "KUBE-PROXY-FIREWALL", "FORWARD", "kubernetes load balancer firewall", _NEW),
    Jump("nat", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals"),
    Jump("nat", "KUBE-SERVICES", "PREROUTING", "kubernetes service portals"),
    Jump("nat", "KUBE-POSTROUTING", "POSTROUTING", "kubernetes postrouting rules"),
)
#: Shared with the kubelet: made here too, never removed by a clean-up.
KUBELET_JUMPS = (Jump("filter", KUBELET_FIREWALL, "INPUT"), Jump("filter", KUBELET_FIREWALL, "OUTPUT"))


@attrs.frozen
class FixedRules:
    """The lines of one table that frame those of the Services."""

    chains: str
    head: str
    tail: str

    @property
    def count(self) -> int:
        return self.head.count("\n") + self.tail.count("\n")


def guards_localhost(node: ProxyNode) -> bool:
    """Whether node ports answer on 127.0.0.1, which needs a rule that keeps others away from 127.0.0.0/8.

    IPv6 never has them, nor has a node whose nodePortAddresses leave the loopback addresses out.
    """
    wanted = node.config.iptables.localhost_node_ports and node.node_port_addresses.contains_ipv4_loopback
    return node.family == "IPv4" and wanted


def fixed_filter(node: ProxyNode, *, drops_invalid: bool, counted: Collection[str]) -> FixedRules:
    """`drops_invalid`: packets that conntrack calls INVALID go; `counted` are the nfacct objects that exist."""
    mark = mark_text(node.config.iptables.masquerade_bit)
    chains, head = chain_lines(FILTER_CHAINS), ""
    if guards_localhost(node):
        chains += chain_line(KUBELET_FIREWALL)
        head = (
            f'-A {KUBELET_FIREWALL} -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 '
            "! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n"
        )
    tail = ""
    if drops_invalid:
        counting = f"-m nfacct --nfacct-name {INVALID_DROPPED} " if INVALID_DROPPED in counted else ""
        tail = f"-A KUBE-FORWARD -m conntrack --ctstate INVALID {counting}-j DROP\n"
    tail += (
        f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT\n'
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    )
    return FixedRules(chains, head, tail)


def fixed_nat(node: ProxyNode, node_port_addresses: Iterable[str]) -> FixedRules:
    """`node_port_addresses`: the node's addresses that answer node ports, when not all of them do."""
    mark = mark_text(node.config.iptables.masquerade_bit)
    head = (
        f"-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN\n"
        f"-A KUBE-POSTROUTING -j MARK --xor-mark {mark}\n"
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" '
        "-j MASQUERADE --random-fully\n"
        f"-A KUBE-MARK-MASQ -j MARK --or-mark {mark}\n"
    )
    return FixedRules(chain_lines(NAT_CHAINS), head, "".join(_node_port_rules(node, node_port_addresses)))


def _node_port_rules(node: ProxyNode, addresses: Iterable[str]) -> Iterable[str]:
    rule = (
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule '
        'in this chain" {} -j KUBE-NODEPORTS\n'
    )
    localhost = guards_localhost(node)
    if node.node_port_addresses.match_all:
        destinations = "-m addrtype --dst-type LOCAL"
        if node.family == "IPv6":
            destinations += " ! -d ::1/128"
        elif not localhost:
            destinations += " ! -d 127.0.0.0/8"
        yield rule.format(destinations)
        return
    for address in addresses:
        if address == "::1":
            _complain("localhost NodePorts are not supported on IPv6", node, address)
        elif address.startswith("127.") and not localhost:
            _complain("--iptables-localhost-nodeports=false was passed", node, address)
        else:
            yield rule.format(f"-d {address}")


def _complain(reason: str, node: ProxyNode, address: str) -> None:
    node.note(structured(f"--nodeport-addresses includes localhost but {reason}", address=address))
