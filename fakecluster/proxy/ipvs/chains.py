"""The iptables text of ipvs mode: constant, but for rules that exist only while the set they name has entries.

    PREROUTING, OUTPUT (nat) ─► KUBE-SERVICES: which traffic to a service address gets the masquerade mark
    POSTROUTING (nat) ────────► KUBE-POSTROUTING: hairpins, and marked packets, are masqueraded
    INPUT ────────────────────► KUBE-IPVS-FILTER: only service ports answer on a service address
                                KUBE-PROXY-FIREWALL ─► KUBE-SOURCE-RANGES-FIREWALL: loadBalancerSourceRanges
    OUTPUT ───────────────────► KUBE-IPVS-OUT-FILTER: the node itself is kept from restricted load balancer addresses
    FORWARD ──────────────────► KUBE-FORWARD

Source: Kubernetes pkg/proxy/ipvs/proxier.go (writeIptablesRules).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from fakecluster.proxy.chains import Jump, chain_lines, mark_text
from fakecluster.proxy.ipvs import sets
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.view import Family

NAT_CHAINS = ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ")
FILTER_CHAINS = (
    "KUBE-FORWARD", "KUBE-NODE-PORT", "KUBE-PROXY-FIREWALL", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
)  # fmt: skip
#: In order of creation; each is prepended, so built-in chains show them in reverse.
JUMPS = (
    Jump("nat", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals"),
    Jump("nat", "KUBE-SERVICES", "PREROUTING", "kubernetes service portals"),
    Jump("nat", "KUBE-POSTROUTING", "POSTROUTING", "kubernetes postrouting rules"),
    Jump("filter", "KUBE-FORWARD", "FORWARD", "kubernetes forwarding rules"),
    Jump("filter", "KUBE-NODE-PORT", "INPUT", "kubernetes health check rules"),
    Jump("filter", "KUBE-PROXY-FIREWALL", "INPUT", "kube-proxy firewall rules"),
    Jump("filter", "KUBE-PROXY-FIREWALL", "FORWARD", "kube-proxy firewall rules"),
    Jump("filter", "KUBE-IPVS-FILTER", "INPUT", "kubernetes ipvs access filter"),
    Jump("filter", "KUBE-IPVS-OUT-FILTER", "OUTPUT", "kubernetes ipvs access filter"),
)

_CLUSTER_IP = "Kubernetes service cluster ip + port for masquerade purpose"
_EXTERNAL_IP = "Kubernetes service external ip + port for masquerade and filter purpose"
_EXTERNAL_IP_LOCAL = "Kubernetes service external ip + port with externalTrafficPolicy=local"
_LB_LOCAL = "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"
_LB_FW = "Kubernetes service load balancer ip + port for load balancer with sourceRange"
_LB_SOURCE_CIDR = "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"
_LB_SOURCE_IP = "Kubernetes service load balancer ip + port + source IP for packet filter purpose"
_LOOP_BACK = "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"


@attrs.frozen
class BlockedAddress:
    """A load balancer address whose source ranges leave the node out: ip, protocol, port."""

    ip: str
    protocol: str
    port: int


@attrs.frozen
class Rules:
    """Writes the text for one family; `filled` says which sets have entries."""

    node: ProxyNode
    filled: Mapping[str, bool]
    blocked: Sequence[BlockedAddress] = ()

    def text(self) -> str:
        """Standard input of iptables-restore."""
        nat = [*self._services(), *self._load_balancer(), *self._node_port(), *self._postrouting()]
        filters = [*self._forward(), *self._firewall(), *self._access_filter()]
        return (
            f"*nat\n{chain_lines(NAT_CHAINS)}{''.join(f'-A {rule}{chr(10)}' for rule in nat)}COMMIT\n"
            f"*filter\n{chain_lines(FILTER_CHAINS)}{''.join(f'-A {rule}{chr(10)}' for rule in filters)}COMMIT\n"
        )

    def _name(self, name: str) -> str:
        return sets.set_name(name, self.node.family)

    def _set(self, name: str, fields: str, comment: str = "") -> str:
        """Matches of one set, with its comment in front."""
        said = f'-m comment --comment "{comment}" ' if comment else ""
        return f"{said}-m set --match-set {self._name(name)} {fields}"

    # -- nat -------------------------------------------------------------------------------------------------------

    def _services(self) -> Iterator[str]:
        filled, chain = self.filled, "KUBE-SERVICES"
        yield f"{chain} -s {_LOOPBACK[self.node.family]} -j RETURN"
        if filled[sets.LOAD_BALANCER]:
            matches = self._set(sets.LOAD_BALANCER, "dst,dst", "Kubernetes service lb portal")
            yield f"{chain} {matches} -j KUBE-LOAD-BALANCER"
        if filled[sets.CLUSTER_IP]:
            yield f"{chain} {self._not_from_pods()} -j KUBE-MARK-MASQ"
        if filled[sets.EXTERNAL_IP]:
            matches = self._set(sets.EXTERNAL_IP, "dst,dst", _EXTERNAL_IP)
            yield f"{chain} {matches} -j KUBE-MARK-MASQ"
            yield from self._accept_external(matches)
        if filled[sets.EXTERNAL_IP_LOCAL]:
            yield from self._accept_external(self._set(sets.EXTERNAL_IP_LOCAL, "dst,dst", _EXTERNAL_IP_LOCAL))
        yield f"{chain} -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT"
        for name in (sets.CLUSTER_IP, sets.LOAD_BALANCER):
            if filled[name]:
                yield f"{chain} {self._set(name, 'dst,dst')} -j ACCEPT"

    def _not_from_pods(self) -> str:
        """Matches traffic to cluster IPs that needs masquerading.

        Without a local detector only packets that come from a service address itself: those of the node's own sockets.
        """
        config, detector = self.node.config.iptables, self.node.detector
        if config.masquerade_all:
            return self._set(sets.CLUSTER_IP, "dst,dst", _CLUSTER_IP)
        if detector:
            return f"{self._set(sets.CLUSTER_IP, 'dst,dst', _CLUSTER_IP)} {detector.if_not_local}"
        return self._set(sets.CLUSTER_IP, "src,dst", _CLUSTER_IP)

    @staticmethod
    def _accept_external(matches: str) -> Iterator[str]:
        """External IPs skip node ports when they come from elsewhere, or lead to an address of this node."""
        yield f"KUBE-SERVICES {matches} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT"
        yield f"KUBE-SERVICES {matches} -m addrtype --dst-type LOCAL -j ACCEPT"

    def _load_balancer(self) -> Iterator[str]:
        if self.filled[sets.LOAD_BALANCER_LOCAL]:
            yield f"KUBE-LOAD-BALANCER {self._set(sets.LOAD_BALANCER_LOCAL, 'dst,dst', _LB_LOCAL)} -j RETURN"
        yield "KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ"

    def _node_port(self) -> Iterator[str]:
        for protocol in sets.NODE_PORT:
            fields, kind = ("dst,dst", " with type 'hash ip:port'") if protocol == "SCTP" else ("dst", "")
            for name, purpose, target in (
                (sets.NODE_PORT_LOCAL[protocol], "with externalTrafficPolicy=local", "RETURN"),
                (sets.NODE_PORT[protocol], "for masquerade purpose", "KUBE-MARK-MASQ"),
            ):
                if self.filled[name]:
                    matches = self._set(name, fields, f"Kubernetes nodeport {protocol} port {purpose}{kind}")
                    yield f"KUBE-NODE-PORT -p {protocol.lower()} {matches} -j {target}"

    def _postrouting(self) -> Iterator[str]:
        mark = mark_text(self.node.config.iptables.masquerade_bit)
        if self.filled[sets.LOOP_BACK]:
            yield f"KUBE-POSTROUTING {self._set(sets.LOOP_BACK, 'dst,dst,src', _LOOP_BACK)} -j MASQUERADE"
        yield f"KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"
        yield f"KUBE-POSTROUTING -j MARK --xor-mark {mark}"
        yield (
            'KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" '
            "-j MASQUERADE --random-fully"
        )
        yield f"KUBE-MARK-MASQ -j MARK --or-mark {mark}"

    # -- filter ----------------------------------------------------------------------------------------------------

    def _forward(self) -> Iterator[str]:
        mark = mark_text(self.node.config.iptables.masquerade_bit)
        yield (
            f'KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {mark}/{mark} -j ACCEPT'
        )
        yield (
            'KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )
        matches = self._set(sets.HEALTH_CHECK_NODE_PORT, "dst", "Kubernetes health check node port")
        yield f"KUBE-NODE-PORT {matches} -j ACCEPT"

    def _firewall(self) -> Iterator[str]:
        if self.filled[sets.LOAD_BALANCER_FW]:
            matches = self._set(sets.LOAD_BALANCER_FW, "dst,dst", _LB_FW)
            yield f"KUBE-PROXY-FIREWALL {matches} -j KUBE-SOURCE-RANGES-FIREWALL"
        for name, comment in (
            (sets.LOAD_BALANCER_SOURCE_CIDR, _LB_SOURCE_CIDR),
            (sets.LOAD_BALANCER_SOURCE_IP, _LB_SOURCE_IP),
        ):
            if self.filled[name]:
                yield f"KUBE-SOURCE-RANGES-FIREWALL {self._set(name, 'dst,dst,src', comment)} -j RETURN"
        yield "KUBE-SOURCE-RANGES-FIREWALL -j DROP"

    def _access_filter(self) -> Iterator[str]:
        for name in (sets.LOAD_BALANCER, sets.CLUSTER_IP, sets.EXTERNAL_IP, sets.EXTERNAL_IP_LOCAL):
            yield f"KUBE-IPVS-FILTER {self._set(name, 'dst,dst')} -j RETURN"
        yield f"KUBE-IPVS-FILTER {self._set(sets.HEALTH_CHECK_NODE_PORT, 'dst')} -j RETURN"
        reject = _PORT_UNREACHABLE[self.node.family]
        matches = self._set(sets.IPVS_IPS, "dst")
        yield f"KUBE-IPVS-FILTER -m conntrack --ctstate NEW {matches} -j REJECT --reject-with {reject}"
        for blocked in self.blocked:
            yield (
                f"KUBE-IPVS-OUT-FILTER -s {blocked.ip} -m ipvs --vaddr {blocked.ip} "
                f"--vproto {blocked.protocol.lower()} --vport {blocked.port} -j DROP"
            )


_LOOPBACK: dict[Family, str] = {"IPv4": "127.0.0.0/8", "IPv6": "::1/128"}
_PORT_UNREACHABLE: dict[Family, str] = {"IPv4": "icmp-port-unreachable", "IPv6": "icmp6-port-unreachable"}
