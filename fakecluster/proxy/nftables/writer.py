"""kube-proxy's nftables mode: one transaction per sync, written as `nft -f -` reads it.

A full sync writes the fixed part and every service port; a partial one only what was touched. Chains that nothing uses
any more are emptied at once and deleted by a later sync, at least a second afterwards: older kernels hold on to a chain
for a moment after the map element that led to it has gone.
Source: Kubernetes pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fakecluster.errors import CommandError
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.nftables.elements import SharedElements
from fakecluster.proxy.nftables.fixed import TABLE, Words, if_local, setup
from fakecluster.proxy.nftables.names import is_affinity_set, is_service_chain
from fakecluster.proxy.nftables.service import Policy, ServiceRules, render
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.topology import usable_endpoints
from fakecluster.proxy.view import NodeView, ServiceName, ServicePortName
from fakecluster.sim.clock import NS_PER_S

#: How long an emptied chain is left alone before it is deleted.
STALE_CHAIN_AGE_S = 1
_TABLE = re.compile(r"^table (\S+ \S+) \{\n(.*?)^\}", re.M | re.S)
_NAME = re.compile(r"^\t(?:chain|set) (\S+) \{", re.M)


class NftablesWriter:
    """Writes one family's table; knows what every service port has in it."""

    longest_interval_s = 3600.0
    large_cluster = False
    takes_endpoints_at_once = False
    tells_partial_syncs = True
    looks_after_services = True
    stale_flows_delay_s = 0.0

    def __init__(self, node: ProxyNode, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self.check_interval_s = node.config.sync_periods_s[1]
        self.words = Words.of(node)
        self.elements = SharedElements()
        self._rules: dict[ServicePortName, ServiceRules] = {}
        self._ports_of: dict[ServiceName, tuple[ServicePortName, ...]] = {}
        self._chains: set[str] = set()
        self._affinity_sets: set[str] = set()
        #: chains of Services and affinity sets that are in the table, used or not
        self._known_chains: dict[str, None] = {}
        self._known_sets: dict[str, None] = {}
        #: emptied chains -> when, in virtual ns
        self._stale: dict[str, int] = {}
        self._lacking = {"internal": 0, "external": 0}
        self._has_base_chains = False
        self._policy = Policy(self.words, if_local(node), node.ip)

    def start(self) -> None:
        """Nothing to prepare: the first transaction makes all there is."""

    def is_intact(self) -> bool:
        """This mode has no canary: damage stays until a full sync."""
        return True

    def take_endpoints(self, view: NodeView, changes: Changes) -> None:
        """Endpoints wait for the next sync."""

    def stop(self) -> None:
        """Nothing lives in the process but what it remembers."""

    def refresh_metrics(self) -> None:
        """No metric of this mode is read from the node."""

    # -- a sync ----------------------------------------------------------------------------------------------------

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        started_ns = self.node.clock.now_ns
        self._delete_old_chains(started_ns)
        lines: list[str] = []
        if full:
            lines += setup(self.node, view.service_cidrs, recreate=not self._has_base_chains)
            self._read_back()
            written = self._render_all(view)
            chains, sets = list(self._known_chains), list(self._known_sets)
        else:
            old = self._rules_of(changes)
            chains = [*self._stale, *(chain for rules in old for chain in rules.chains)]
            sets = [name for rules in old for name in rules.affinity_sets]
            written = self._render_touched(view, changes)
            chains += [chain for rules in written for chain in rules.chains if chain in self._stale]
        for rules in written:
            for chain in rules.chains:
                lines.append(f"add chain {self.words.table} {chain}")
                lines.append(f"flush chain {self.words.table} {chain}")
                self._known_chains[chain] = None
            lines += rules.declared_sets
            self._known_sets.update(dict.fromkeys(rules.affinity_sets))
        lines += self.elements.additions(self.words)
        for rules in written:
            lines += rules.rules
        lines += self._flush_unused_chains(dict.fromkeys(chains), started_ns)
        lines += self._delete_unused_sets(dict.fromkeys(sets))
        lines += self.elements.deletions(self.words)
        self._run(lines)

    def _run(self, lines: list[str]) -> None:
        lines.append("")
        try:
            self.node.kernel.run(["nft", "-f", "-"], "\n".join(lines))
        except CommandError:
            self._stale.clear()
            self.metrics.add("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", ip_family=self.node.family)
            raise
        self._has_base_chains = True
        self.elements.commit()
        self._publish_lacking()

    def _delete_old_chains(self, now_ns: int) -> None:
        """Delete the chains that were emptied a second ago or more: where syncs take time it is always more."""
        old = [chain for chain, since in self._stale.items() if now_ns - since >= STALE_CHAIN_AGE_S * NS_PER_S]
        if not old:
            return
        for chain in old:
            del self._stale[chain]
            self._known_chains.pop(chain, None)
        text = "".join(f"delete chain {self.words.table} {chain}\n" for chain in old)
        try:
            self.node.kernel.run(["nft", "-f", "-"], text)
        except CommandError:
            self.metrics.add("kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total", ip_family=self.node.family)

    def _render_all(self, view: NodeView) -> list[ServiceRules]:
        self.elements.clear()
        self._rules, ports_of = {}, dict[ServiceName, tuple[ServicePortName, ...]]()
        self._chains, self._affinity_sets = set(), set()
        self._lacking = {"internal": 0, "external": 0}
        for name in view.services:
            self._render(view, name)
            ports_of[name.service] = (*ports_of.get(name.service, ()), name)
        self._ports_of = ports_of
        return list(self._rules.values())

    def _rules_of(self, changes: Changes) -> list[ServiceRules]:
        """What the touched Services had until now."""
        return [self._rules[name] for service in changes.touched for name in self._ports_of.get(service, ())]

    def _render(self, view: NodeView, name: ServicePortName) -> ServiceRules:
        rules = render(view.services[name], usable_endpoints(view, name), self._policy)
        self._rules[name] = rules
        self._chains.update(rules.chains)
        self._affinity_sets.update(rules.affinity_sets)
        self.elements.want(rules.entries)
        self._count_lacking(rules, 1)
        return rules

    def _count_lacking(self, rules: ServiceRules, change: int) -> None:
        self._lacking["internal"] += change * rules.lacks_local_internal
        self._lacking["external"] += change * rules.lacks_local_external

    def _render_touched(self, view: NodeView, changes: Changes) -> list[ServiceRules]:
        touched = sorted(changes.touched)
        for service in touched:
            for name in self._ports_of.pop(service, ()):
                old = self._rules.pop(name)
                self._chains.difference_update(old.chains)
                self._affinity_sets.difference_update(old.affinity_sets)
                self.elements.release(old.entries)
                self._count_lacking(old, -1)
        written = []
        for service in touched:
            names = view.ports_of(service)
            written += [self._render(view, name) for name in names]
            if names:
                self._ports_of[service] = names
        return written

    def _read_back(self) -> None:
        """Learn what the table holds, whoever put it there."""
        self.elements.read_back(self.node.kernel, self.words)
        self._known_chains = dict.fromkeys(filter(is_service_chain, self._listed("chains")))
        self._known_sets = dict.fromkeys(filter(is_affinity_set, self._listed("sets")))

    def _listed(self, what: str) -> list[str]:
        """Names of the chains or sets in our table; none when it is not there yet."""
        listing = self.node.kernel.run(["nft", "list", what, self.words.ip])
        bodies = (match[2] for match in _TABLE.finditer(listing) if match[1] == f"{self.words.ip} {TABLE}")
        return [name for body in bodies for name in _NAME.findall(body)]

    def _flush_unused_chains(self, doomed: Iterable[str], now_ns: int) -> list[str]:
        """Chains that came back into use are no longer stale; those out of use are emptied."""
        lines = []
        for chain in doomed:
            if chain in self._chains:
                self._stale.pop(chain, None)
            elif chain in self._known_chains:
                lines.append(f"flush chain {self.words.table} {chain}")
                self._stale[chain] = now_ns
        return lines

    def _delete_unused_sets(self, doomed: Iterable[str]) -> list[str]:
        unused = [name for name in doomed if name in self._known_sets and name not in self._affinity_sets]
        for name in unused:
            del self._known_sets[name]
        return [f"delete set {self.words.table} {name}" for name in unused]

    def _publish_lacking(self) -> None:
        for policy, count in self._lacking.items():
            self.metrics.set(
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                count,
                ip_family=self.node.family,
                traffic_policy=policy,
            )

    def fork(self, node: ProxyNode, metrics: Metrics) -> NftablesWriter:
        copy = NftablesWriter(node, metrics)
        copy.elements = self.elements.fork()
        copy._rules, copy._ports_of = self._rules.copy(), self._ports_of.copy()
        copy._chains, copy._affinity_sets = self._chains.copy(), self._affinity_sets.copy()
        copy._known_chains, copy._known_sets = self._known_chains.copy(), self._known_sets.copy()
        copy._stale, copy._has_base_chains = self._stale.copy(), self._has_base_chains
        copy._lacking = self._lacking.copy()
        return copy


def nftables_writer(node: ProxyNode, metrics: Metrics) -> NftablesWriter:
    """The factory of the mode."""
    return NftablesWriter(node, metrics)
