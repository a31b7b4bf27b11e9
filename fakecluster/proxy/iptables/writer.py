"""iptables mode's syncs: which text goes to iptables-restore, when chains and jumps are made sure of, when chains go.

A sync is one `iptables-restore --noflush --counters` that rewrites the fixed chains as a whole and the chains of the
Services that were touched (of all, in a full sync). The text of every service port is kept, so that a partial sync
renders only what changed. Source: Kubernetes pkg/proxy/iptables/proxier.go and pkg/util/iptables.
"""

from __future__ import annotations

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import TOOL, WAIT, chain_line, chains_of, ensure_chain, ensure_jump
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.iptables.chains import (
    CANARY,
    CANARY_TABLES,
    INVALID_DROPPED,
    JUMPS,
    KUBELET_JUMPS,
    LOCALHOST_ACCEPTED,
    FixedRules,
    fixed_filter,
    fixed_nat,
    guards_localhost,
)
from fakecluster.proxy.iptables.pages import Pages
from fakecluster.proxy.iptables.service import Policy, ServiceRules, render
from fakecluster.proxy.log import structured
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.names import is_service_chain
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.topology import usable_endpoints
from fakecluster.proxy.view import NodeView, ServiceName, ServicePortName
from fakecluster.sim.clock import NS_PER_S

#: A cluster with more endpoints than this is large: no comments on endpoint rules, rarer clean-up.
LARGE_CLUSTER_ENDPOINTS = 1000
_COUNTER_METRICS = {
    INVALID_DROPPED: "kubeproxy_iptables_ct_state_invalid_dropped_packets_total",
    LOCALHOST_ACCEPTED: "kubeproxy_iptables_localhost_nodeports_accepted_packets_total",
}


class IptablesWriter:
    """Writes one family's rules; knows the text that every service port has in the kernel."""

    longest_interval_s = 3600.0
    takes_endpoints_at_once = False
    tells_partial_syncs = True
    looks_after_services = True
    stale_flows_delay_s = 0.0

    def __init__(self, node: ProxyNode, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self.check_interval_s = node.config.sync_periods_s[1]
        self.tool = TOOL[node.family]
        self.large_cluster = False
        self._rules = Pages()
        self._ports_of: dict[ServiceName, tuple[ServicePortName, ...]] = {}
        self._active: set[str] = set()
        self._last_cleanup_ns: int | None = None
        self._drops_invalid = True
        #: nfacct objects that exist
        self._counted: frozenset[str] = frozenset()
        self._policy = Policy(
            detector=node.detector,
            masquerade_all=node.config.iptables.masquerade_all,
            counts_localhost=False,
            node_ip=node.ip,
        )

    # -- the node's preparation ------------------------------------------------------------------------------------

    def start(self) -> None:
        if guards_localhost(self.node):
            self.node.kernel.run(["sysctl", "-w", "net.ipv4.conf.all.route_localnet=1"])
        liberal = self.node.kernel.run(["sysctl", "-n", "net.netfilter.nf_conntrack_tcp_be_liberal"]).strip()
        self._drops_invalid = liberal in ("", "0")
        self._ensure_canaries()

    def is_intact(self) -> bool:
        """Whether the canary of table mangle still lives; when not, new ones are put in."""
        try:
            self.node.kernel.run([self.tool, *WAIT, "-t", CANARY_TABLES[0], "-S", CANARY, "1"])
        except CommandError:
            self._ensure_canaries()
            return False
        return True

    def _ensure_canaries(self) -> None:
        for table in CANARY_TABLES:
            ensure_chain(self.node.kernel, self.tool, table, CANARY)

    def _ensure_counters(self) -> None:
        counted = [name for name in _COUNTER_METRICS if self._ensure_counter(name)]
        self._counted = frozenset(counted)
        counts_localhost = guards_localhost(self.node) and LOCALHOST_ACCEPTED in counted
        self._policy = attrs.evolve(self._policy, counts_localhost=counts_localhost)

    def _ensure_counter(self, name: str) -> bool:
        try:
            self.node.kernel.run(["nfacct", "add", name])
        except CommandError as error:
            if "File exists" not in error.stderr:
                said = "Failed to create nfacct counter; the corresponding metric will not be updated"
                self.node.note(structured(said, err=error.stderr, counter=name))
                return False
        return True

    # -- a sync ----------------------------------------------------------------------------------------------------

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        if full:
            for jump in (*JUMPS, *KUBELET_JUMPS):
                ensure_jump(self.node.kernel, self.tool, jump)
            self._ensure_counters()
        self.large_cluster = view.total_endpoints > LARGE_CLUSTER_ENDPOINTS
        written = self._render_all(view) if full else self._render_touched(view, changes)
        stale = self._stale_chains()
        nat = fixed_nat(self.node, self._node_port_addresses())
        filter_ = fixed_filter(self.node, drops_invalid=self._drops_invalid, counted=self._counted)
        self._restore(filter_, nat, written, stale, full=full)

    def _render_all(self, view: NodeView) -> list[ServiceRules]:
        rules: dict[ServicePortName, ServiceRules] = {}
        ports_of: dict[ServiceName, tuple[ServicePortName, ...]] = {}
        for name in view.services:
            rules[name] = self._render(view, name)
            ports_of[name.service] = (*ports_of.get(name.service, ()), name)
        self._rules, self._ports_of = Pages(rules), ports_of
        self._active = {chain for rendered in rules.values() for chain in rendered.chains}
        return list(rules.values())

    def _render(self, view: NodeView, name: ServicePortName) -> ServiceRules:
        comments = not self.large_cluster
        return render(view.services[name], usable_endpoints(view, name), self._policy, comments=comments)

    def _render_touched(self, view: NodeView, changes: Changes) -> list[ServiceRules]:
        """Forget the old text of touched Services, render the new one of those that are still there."""
        written = []
        for service in sorted(changes.touched):
            names = view.ports_of(service)
            for name in self._ports_of.pop(service, ()):
                old = self._rules.get(name)
                self._active.difference_update(old.chains if old else ())
                if name not in names:
                    self._rules.drop(name)
            for name in names:
                rules = self._render(view, name)
                self._rules.put(name, rules)
                self._active.update(rules.chains)
                written.append(rules)
            if names:
                self._ports_of[service] = names
        return written

    def _node_port_addresses(self) -> tuple[str, ...]:
        wanted = self.node.node_port_addresses
        return () if wanted.match_all else wanted.matching(node_addresses(self.node.kernel, self.node.family))

    def _stale_chains(self) -> list[str]:
        """Service chains in table nat that nothing uses; large clusters look for them once per sync period at most."""
        now_ns = self.node.clock.now_ns
        period_ns = self.node.config.iptables.sync_period_s * NS_PER_S
        if self.large_cluster and self._last_cleanup_ns is not None and now_ns - self._last_cleanup_ns <= period_ns:
            return []
        try:
            dump = self.node.kernel.run([f"{self.tool}-save", "-t", "nat"])
        except CommandError as error:
            said = "Failed to execute iptables-save: stale chains will not be deleted"
            self.node.note(structured(said, err=error.stderr))
            return []
        self._last_cleanup_ns = now_ns
        return [chain for chain in chains_of(dump) if is_service_chain(chain) and chain not in self._active]

    def _restore(
        self, filter_: FixedRules, nat: FixedRules, written: list[ServiceRules], stale: list[str], *, full: bool
    ) -> None:
        text = [
            f"*filter\n{filter_.chains}{filter_.head}",
            *self._rules.filter,
            f"{filter_.tail}COMMIT\n*nat\n{nat.chains}",
            *[rules.declared for rules in written],
            *map(chain_line, stale),
            nat.head,
            *self._rules.shared,
            *[rules.own for rules in written],
            *[f"-X {chain}\n" for chain in stale],
            f"{nat.tail}COMMIT\n",
        ]
        try:
            self.node.kernel.run([f"{self.tool}-restore", *WAIT, "--noflush", "--counters"], "".join(text))
        except CommandError:
            for kind in ("",) if full else ("", "partial_"):
                name = f"kubeproxy_sync_proxy_rules_iptables_{kind}restore_failures_total"
                self.metrics.add(name, ip_family=self.node.family)
            raise
        self._count(filter_, nat, written)

    def _count(self, filter_: FixedRules, nat: FixedRules, written: list[ServiceRules]) -> None:
        totals = self._rules.totals
        shared, filters = nat.count + totals.shared, filter_.count + totals.filter
        counts = {
            ("filter", "total"): filters,
            ("filter", "last"): filters,
            ("nat", "total"): shared + totals.own,
            ("nat", "last"): shared + sum(rules.own_count for rules in written),
        }
        family = self.node.family
        for (table, which), count in counts.items():
            self.metrics.set(f"kubeproxy_sync_proxy_rules_iptables_{which}", count, ip_family=family, table=table)
        for policy, count in (("internal", totals.lacks_internal), ("external", totals.lacks_external)):
            self.metrics.set(
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total", count, ip_family=family, traffic_policy=policy
            )

    def take_endpoints(self, view: NodeView, changes: Changes) -> None:
        """Endpoints wait for the next sync."""

    def stop(self) -> None:
        """Nothing lives in the process but what it remembers."""

    def refresh_metrics(self) -> None:
        """Read the nfacct counters."""
        if self.node.family != "IPv4":
            return
        for name, metric in _COUNTER_METRICS.items():
            try:
                answer = self.node.kernel.run(["nfacct", "get", name])
            except CommandError:  # not counted on this node
                continue
            self.metrics.set(metric, int(answer.partition("pkts = ")[2].partition(",")[0]))

    def fork(self, node: ProxyNode, metrics: Metrics) -> IptablesWriter:
        copy = IptablesWriter(node, metrics)
        copy.large_cluster, copy._last_cleanup_ns = self.large_cluster, self._last_cleanup_ns
        copy._rules, copy._ports_of = self._rules.fork(), self._ports_of.copy()
        copy._active = self._active.copy()
        copy._policy = attrs.evolve(self._policy, node_ip=node.ip)
        copy._drops_invalid, copy._counted = self._drops_invalid, self._counted
        return copy


def iptables_writer(node: ProxyNode, metrics: Metrics) -> IptablesWriter:
    """The factory of the mode."""
    return IptablesWriter(node, metrics)
