"""The iptables rules of userspace mode: they lead traffic for a service address to a proxy port on the node.

    PREROUTING ─► KUBE-PORTALS-CONTAINER (first), KUBE-NODEPORT-CONTAINER (last): REDIRECT to the proxy port
    OUTPUT ─────► KUBE-PORTALS-HOST (first),      KUBE-NODEPORT-HOST (last):      DNAT to the node's IP, proxy port
    INPUT ──────► KUBE-NODEPORT-NON-LOCAL: lets node port traffic in that others would refuse

REDIRECT in OUTPUT would go to 127.0.0.1, hence the DNAT there. A proxy that listens on one address uses DNAT to it.
Source: Kubernetes 1.25 pkg/proxy/userspace/proxier.go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import WAIT, Jump, ensure_chain
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import ServicePort, host_port

PORTALS_CONTAINER, PORTALS_HOST = "KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST"
NODEPORT_CONTAINER, NODEPORT_HOST = "KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST"
NODEPORT_NON_LOCAL = "KUBE-NODEPORT-NON-LOCAL"
CHAINS = {
    "nat": (PORTALS_CONTAINER, PORTALS_HOST, NODEPORT_CONTAINER, NODEPORT_HOST),
    "filter": (NODEPORT_NON_LOCAL,),
}
_PORTALS = "handle ClusterIPs; NOTE: this must be before the NodePort rules"
_NODEPORTS = "handle service NodePorts; NOTE: this must be the last rule in the chain"
_NON_LOCAL = "Ensure that non-local NodePort traffic can flow"
_LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL")
#: Jumps that stand first in their chain, and those that stand last.
FIRST_JUMPS = (
    Jump("nat", PORTALS_CONTAINER, "PREROUTING", _PORTALS),
    Jump("nat", PORTALS_HOST, "OUTPUT", _PORTALS),
    Jump("filter", NODEPORT_NON_LOCAL, "INPUT", _NON_LOCAL),
)
LAST_JUMPS = (
    Jump("nat", NODEPORT_CONTAINER, "PREROUTING", _NODEPORTS, _LOCAL),
    Jump("nat", NODEPORT_HOST, "OUTPUT", _NODEPORTS, _LOCAL),
)
_ANY = ("0.0.0.0", "::")
_LOOPBACK = ("127.0.0.1", "::1")


@attrs.frozen
class PortalRule:
    """One rule that the proxy appends to one of its chains."""

    table: str
    chain: str
    args: tuple[str, ...]


@attrs.frozen
class ProxyAddress:
    """Where the proxy listens, and the node's own IP, which stands for it when it listens everywhere."""

    listen_ip: str
    node_ip: str

    def redirect(self, port: int) -> tuple[str, ...]:
        """For packets from elsewhere."""
        if self.listen_ip in (*_ANY, *_LOOPBACK):
            return ("-j", "REDIRECT", "--to-ports", str(port))
        return self.dnat(port)

    def dnat(self, port: int) -> tuple[str, ...]:
        """For packets of the node itself."""
        ip = self.node_ip if self.listen_ip in _ANY else self.listen_ip
        return ("-j", "DNAT", "--to-destination", host_port(ip, port))


def portal_rules(port: ServicePort, proxy_port: int, proxy: ProxyAddress) -> Iterator[PortalRule]:
    """All rules of one service port, in the order in which they are made."""
    yield from _cluster_portal(port, port.cluster_ip, proxy_port, proxy)
    for ip in port.external_ips:
        yield from _external_portal(port, ip, proxy_port, proxy)
    for ip in port.load_balancer_ips:
        yield from _cluster_portal(port, ip, proxy_port, proxy)
    if port.node_port:
        yield from _node_port(port, proxy_port, proxy)


def _cluster_portal(port: ServicePort, ip: str, proxy_port: int, proxy: ProxyAddress) -> Iterator[PortalRule]:
    match = _match(port, port.port, ip)
    yield PortalRule("nat", PORTALS_CONTAINER, (*match, *proxy.redirect(proxy_port)))
    yield PortalRule("nat", PORTALS_HOST, (*match, *proxy.dnat(proxy_port)))


def _external_portal(port: ServicePort, ip: str, proxy_port: int, proxy: ProxyAddress) -> Iterator[PortalRule]:
    """External IPs are taken from elsewhere, and from this node only when they are addresses of it."""
    match = _match(port, port.port, ip)
    outside = ("-m", "physdev", "!", "--physdev-is-in")
    yield PortalRule("nat", PORTALS_CONTAINER, (*match, *outside, *proxy.redirect(proxy_port)))
    yield PortalRule("nat", PORTALS_CONTAINER, (*match, *_LOCAL, *proxy.redirect(proxy_port)))
    yield PortalRule("nat", PORTALS_HOST, (*match, *_LOCAL, *proxy.dnat(proxy_port)))


def _node_port(port: ServicePort, proxy_port: int, proxy: ProxyAddress) -> Iterator[PortalRule]:
    match = _match(port, port.node_port)
    yield PortalRule("nat", NODEPORT_CONTAINER, (*match, *proxy.redirect(proxy_port)))
    yield PortalRule("nat", NODEPORT_HOST, (*match, *proxy.dnat(proxy_port)))
    new = ("-m", "state", "--state", "NEW", "-j", "ACCEPT")
    yield PortalRule("filter", NODEPORT_NON_LOCAL, (*_match(port, proxy_port), *new))


def _match(port: ServicePort, number: int, ip: str = "") -> tuple[str, ...]:
    protocol = port.protocol.lower()
    words = ("-m", "comment", "--comment", str(port.name), "-p", protocol, "-m", protocol, "--dport", str(number))
    return (*words, "-d", f"{ip}/{128 if ':' in ip else 32}") if ip else words


def ensure_rule(kernel: NodeKernel, tool: str, rule: PortalRule) -> None:
    """Append a rule unless it is there."""
    start = [tool, *WAIT, "-t", rule.table]
    try:
        kernel.run([*start, "-C", rule.chain, *rule.args])
    except CommandError as error:
        if error.status != 1:  # 1: no such rule
            raise
        kernel.run([*start, "-A", rule.chain, *rule.args])


def delete_rule(kernel: NodeKernel, tool: str, rule: PortalRule) -> None:
    """Take a rule out; no error when it is not there."""
    with contextlib.suppress(CommandError):
        kernel.run([tool, *WAIT, "-t", rule.table, "-D", rule.chain, *rule.args])


def ensure_last_jump(kernel: NodeKernel, tool: str, jump: Jump) -> None:
    """As `ensure_jump`, but at the end of the source chain."""
    ensure_chain(kernel, tool, jump.table, jump.chain)
    ensure_rule(kernel, tool, PortalRule(jump.table, jump.source, jump.rule))
