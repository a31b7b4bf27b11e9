"""The rules of one service port: what it adds to the fixed chains, and its own KUBE-SVC/SVL/EXT/FW/SEP chains.

    KUBE-SERVICES ── clusterIP ──────────────► SVC (policy Cluster) or SVL (policy Local) ──► SEP ── DNAT
                 └── external IP, LB IP ► (FW) ► EXT ── short circuit ► SVC, else ► SVL or SVC
    KUBE-NODEPORTS ── nodePort ────────────────► EXT
    filter: REJECT where there is no endpoint, DROP where policy Local has none here

Source: Kubernetes pkg/proxy/iptables/proxier.go, the loop over services in syncProxyRules.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.proxy.chains import chain_lines
from fakecluster.proxy.detect_local import LocalDetector
from fakecluster.proxy.iptables.chains import LOCALHOST_ACCEPTED
from fakecluster.proxy.names import endpoint_chains, service_hash
from fakecluster.proxy.topology import UsableEndpoints
from fakecluster.proxy.view import Endpoint, ServicePort


@attrs.frozen
class Policy:
    """What the rules of every service port depend on besides the service itself."""

    detector: LocalDetector
    masquerade_all: bool
    #: count node port packets to 127.0.0.1 apart
    counts_localhost: bool
    node_ip: str


@attrs.frozen
class ServiceRules:
    """The text of one service port.

    `shared` goes to the fixed chains of table nat, `filter` to those of table filter, `own` to its own `chains`, which
    `declared` declares.
    """

    shared: str
    filter: str
    declared: str
    own: str
    chains: tuple[str, ...]
    shared_count: int
    filter_count: int
    own_count: int
    lacks_local_internal: bool
    lacks_local_external: bool


def render(port: ServicePort, usable: UsableEndpoints, policy: Policy, *, comments: bool) -> ServiceRules:
    """All rules of a service port; `comments=False` leaves out those of endpoints, as in large clusters."""
    return _Rendering(port, usable, policy, comments=comments).rules()


@lru_cache(maxsize=4096)
def _probability(count: int) -> str:
    return f"{1.0 / count:.10f}"


class _Rendering:
    """One service port on its way to text."""

    def __init__(self, port: ServicePort, usable: UsableEndpoints, policy: Policy, *, comments: bool) -> None:
        self.port, self.usable, self.policy, self.comments = port, usable, policy, comments
        self.title = str(port.name)
        self.protocol = port.protocol.lower()
        self.match = f"-m {self.protocol} -p {self.protocol}"
        suffix = service_hash(port.name)
        self.svc, self.svl = "KUBE-SVC-" + suffix, "KUBE-SVL-" + suffix
        self.ext, self.fw = "KUBE-EXT-" + suffix, "KUBE-FW-" + suffix
        self.internal = bool(usable.local) if port.internal_local else usable.anywhere
        self.external = bool(usable.local) if port.external_local else usable.anywhere
        self.has_firewall = usable.anywhere and bool(port.load_balancer_ips and port.source_ranges)
        self.endpoint_chain = cache(endpoint_chains(port.name))
        self.shared: list[str] = []
        self.filter: list[str] = []
        self.own: list[str] = []
        self.chains: list[str] = []

    def rules(self) -> ServiceRules:
        self._capture_cluster_ip()
        self._capture_external_addresses()
        self._capture_node_port()
        self._accept_health_checks()
        if self.usable.anywhere:
            self._mark_internal()
            self._external_chain()
            self._firewall_chain()
            self._policy_chains()
            self._endpoint_chains()
        return ServiceRules(
            "".join(self.shared),
            "".join(self.filter),
            chain_lines(self.chains),
            "".join(self.own),
            tuple(self.chains),
            len(self.shared),
            len(self.filter),
            len(self.own),
            self.usable.anywhere and not self.internal,
            self.usable.anywhere and not self.external,
        )

    # -- into the fixed chains -------------------------------------------------------------------------------------

    def _refuse(self, chain: str, destination: str, port: int) -> None:
        if self.usable.anywhere:
            reason, target = "has no local endpoints", "DROP"
        else:
            reason, target = "has no endpoints", "REJECT"
        self.filter.append(
            f'-A {chain} -m comment --comment "{self.title} {reason}" {destination.format(match=self.match)} '
            f"--dport {port} -j {target}\n"
        )

    def _capture(self, what: str, address: str, chain: str) -> None:
        self.shared.append(
            f'-A KUBE-SERVICES -m comment --comment "{self.title} {what}" {self.match} -d {address} '
            f"--dport {self.port.port} -j {chain}\n"
        )

    def _capture_cluster_ip(self) -> None:
        port = self.port
        if self.internal:
            self._capture("cluster IP", port.cluster_ip, self.svl if port.internal_local else self.svc)
        else:
            self._refuse("KUBE-SERVICES", f"{{match}} -d {port.cluster_ip}", port.port)

    def _capture_external_addresses(self) -> None:
        port = self.port
        for address in port.external_ips:
            if self.usable.anywhere:
                self._capture("external IP", address, self.ext)
            if not self.external:
                self._refuse("KUBE-EXTERNAL-SERVICES", f"{{match}} -d {address}", port.port)
        for address in port.load_balancer_ips:
            if self.usable.anywhere:
                self._capture("loadbalancer IP", address, self.fw if self.has_firewall else self.ext)
            if self.has_firewall:
                self.filter.append(
                    f'-A KUBE-PROXY-FIREWALL -m comment --comment "{self.title} traffic not accepted by {self.fw}" '
                    f"{self.match} -d {address} --dport {port.port} -j DROP\n"
                )
        if not self.external:
            for address in port.load_balancer_ips:
                self._refuse("KUBE-EXTERNAL-SERVICES", f"{{match}} -d {address}", port.port)

    def _capture_node_port(self) -> None:
        number = self.port.node_port
        if not number:
            return
        if self.usable.anywhere:
            rule = f"-A KUBE-NODEPORTS -m comment --comment {self.title} {self.match} --dport {number}"
            if self.policy.counts_localhost:
                self.shared.append(
                    f"{rule} -d 127.0.0.0/8 -m nfacct --nfacct-name {LOCALHOST_ACCEPTED} -j {self.ext}\n"
                )
            self.shared.append(f"{rule} -j {self.ext}\n")
        if not self.external:
            self._refuse("KUBE-EXTERNAL-SERVICES", "-m addrtype --dst-type LOCAL {match}", number)

    def _accept_health_checks(self) -> None:
        if self.port.health_check_node_port:
            self.filter.append(
                f'-A KUBE-NODEPORTS -m comment --comment "{self.title} health check node port" -m tcp -p tcp '
                f"--dport {self.port.health_check_node_port} -j ACCEPT\n"
            )

    # -- its own chains --------------------------------------------------------------------------------------------

    def _mark_internal(self) -> None:
        policy, port = self.policy, self.port
        if not self.internal or not (policy.masquerade_all or policy.detector):
            return
        outsider = "" if policy.masquerade_all else f" {policy.detector.if_not_local}"
        self.own.append(
            f'-A {self.svl if port.internal_local else self.svc} -m comment --comment "{self.title} cluster IP" '
            f"{self.match} -d {port.cluster_ip} --dport {port.port}{outsider} -j KUBE-MARK-MASQ\n"
        )

    def _external_chain(self) -> None:
        if not self.port.externally_accessible:
            return
        self.chains.append(self.ext)
        if self.port.external_local:
            self._short_circuit()
        else:
            self._external_rule("masquerade traffic", "", "KUBE-MARK-MASQ")
        if self.external:
            self.own.append(f"-A {self.ext} -j {self.svl if self.port.external_local else self.svc}\n")

    def _short_circuit(self) -> None:
        """Traffic of this node's Pods and of the node itself takes any endpoint, as if it went out and came back."""
        if self.policy.detector:
            self._external_rule("pod traffic", f"{self.policy.detector.if_local} ", self.svc)
        self._external_rule("masquerade LOCAL traffic", "-m addrtype --src-type LOCAL ", "KUBE-MARK-MASQ")
        self._external_rule("route LOCAL traffic", "-m addrtype --src-type LOCAL ", self.svc)

    def _external_rule(self, what: str, matches: str, target: str) -> None:
        self.own.append(
            f'-A {self.ext} -m comment --comment "{what} for {self.title} external destinations" {matches}-j {target}\n'
        )

    def _firewall_chain(self) -> None:
        if not self.has_firewall:
            return
        self.chains.append(self.fw)
        ranges = list(self.port.source_ranges)
        node_ip = ip_address(self.policy.node_ip)
        if any(node_ip in ip_network(source) for source in ranges):
            ranges += self.port.load_balancer_ips
        for source in ranges:
            self.own.append(
                f'-A {self.fw} -m comment --comment "{self.title} loadbalancer IP" -s {source} -j {self.ext}\n'
            )
        self.own.append(
            f'-A {self.fw} -m comment --comment "other traffic to {self.title} will be dropped by '
            'KUBE-PROXY-FIREWALL"\n'
        )

    def _policy_chains(self) -> None:
        if self.usable.cluster and self.port.uses_cluster_endpoints:
            self.chains.append(self.svc)
            self._spread(self.svc, self.usable.cluster)
        if self.usable.local and self.port.uses_local_endpoints:
            self.chains.append(self.svl)
            self._spread(self.svl, self.usable.local)

    def _spread(self, chain: str, endpoints: Sequence[Endpoint]) -> None:
        """Affinity first, then each endpoint with the share that makes all equally likely."""
        own, timeout_s = self.own, self.port.affinity_timeout_s
        heads = [
            (f'-A {chain} -m comment --comment "{self.title} -> {e.text}"' if self.comments else f"-A {chain}")
            for e in endpoints
        ]
        targets = [self.endpoint_chain(e.text) for e in endpoints]
        if timeout_s:
            own += [
                f"{head} -m recent --name {target} --rcheck --seconds {timeout_s} --reap -j {target}\n"
                for head, target in zip(heads, targets, strict=True)
            ]
        left = len(endpoints)
        for head, target in zip(heads, targets, strict=True):
            chance = f" -m statistic --mode random --probability {_probability(left)}" if left > 1 else ""
            own.append(f"{head}{chance} -j {target}\n")
            left -= 1

    def _endpoint_chains(self) -> None:
        comment = f" -m comment --comment {self.title}" if self.comments else ""
        for endpoint in self.usable.reachable:
            chain = self.endpoint_chain(endpoint.text)
            self.chains.append(chain)
            remember = f" -m recent --name {chain} --set" if self.port.affinity_timeout_s else ""
            self.own.append(f"-A {chain}{comment} -s {endpoint.ip} -j KUBE-MARK-MASQ\n")
            self.own.append(f"-A {chain}{comment}{remember} {self.match} -j DNAT --to-destination {endpoint.text}\n")
