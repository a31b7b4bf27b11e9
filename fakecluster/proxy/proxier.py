"""One single-family proxier: changes in, syncs on the virtual clock, rules out through the writer of its mode.

    watch events -> ChangeTracker -> NodeView -> RulesWriter.sync -> commands on the node
                        SyncRunner decides when           \\-> health check ports, stale conntrack entries, metrics

A full sync happens at the start, after a failed sync, when the node's topology labels change, when the canary is gone,
and when the last full one is older than an hour (not in large clusters); every other sync is partial. Which of that a
mode uses is the writer's affair: it is told `full` and may do more than it was asked for.
Source: Kubernetes pkg/proxy/iptables/proxier.go, nftables/proxier.go, ipvs/proxier.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from fakecluster.errors import CommandError
from fakecluster.proxy.changes import Changes, ChangeTracker
from fakecluster.proxy.log import LogLine, structured
from fakecluster.proxy.metrics import NETWORK_PROGRAMMING, Metrics
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.program import NodePorts
from fakecluster.proxy.runner import SyncRunner
from fakecluster.proxy.service_health import ServiceHealth
from fakecluster.proxy.stale import forget_changed_udp, forget_stale_udp
from fakecluster.proxy.view import ZONE_LABEL, JsonObject, NodeView
from fakecluster.sim.clock import NS_PER_S, Event

#: A partial sync may follow a full one for this long (proxyutil.FullSyncPeriod).
FULL_SYNC_PERIOD_S = 3600.0
#: Node labels that a proxier looks at.
TOPOLOGY_LABELS = (ZONE_LABEL,)


class RulesWriter(Protocol):
    """What a proxy mode is: turns the view of one family into commands on the node.

    `longest_interval_s`: a sync happens at least this often even if nothing changes. `check_interval_s`: how often
    `is_intact` is asked. `large_cluster`: the hourly full sync is left out. `takes_endpoints_at_once`: endpoints do not
    wait for a sync. `tells_partial_syncs`: durations of full and partial syncs have metrics.
    `looks_after_services`: health check ports are served and stale UDP flows forgotten, these after
    `stale_flows_delay_s`.
    """

    longest_interval_s: float
    check_interval_s: float
    large_cluster: bool
    takes_endpoints_at_once: bool
    tells_partial_syncs: bool
    looks_after_services: bool
    stale_flows_delay_s: float

    def start(self) -> None:
        """Once, before the first sync: sysctls, devices, canaries. Raises CommandError."""
        ...

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        """Make the node's rules agree with the view; raises CommandError when the node refuses them."""
        ...

    def take_endpoints(self, view: NodeView, changes: Changes) -> None:
        """Endpoints changed; called only between syncs, when they are taken at once."""
        ...

    def is_intact(self) -> bool:
        """The periodic work: False when someone wiped the rules, so that a full sync is due."""
        ...

    def refresh_metrics(self) -> None:
        """Update the metrics that are read from the node only when someone asks for them."""
        ...

    def stop(self) -> None:
        """The process ends: close what lives in it. Rules stay."""
        ...

    def fork(self, node: ProxyNode, metrics: Metrics) -> RulesWriter: ...


#: Builds the writer of a mode for one family.
WriterFactory = Callable[[ProxyNode, Metrics], RulesWriter]


class Proxier:
    """One family's half of a kube-proxy. Feed it with `on_*`, then `start`; the clock does the rest."""

    def __init__(
        self, node: ProxyNode, writer: RulesWriter, metrics: Metrics, ports: NodePorts, *, target: str = ""
    ) -> None:
        self.node, self.writer, self.metrics = node, writer, metrics
        self.target = target or f"kube-proxy-{node.family}@{node.name}"
        self.view = NodeView(node.family, node.name)
        self.view.node_hints = node.behaviours.node_hints
        self.view.running_wins = node.behaviours.running_wins
        self.tracker = ChangeTracker(self.view)
        self.health = ServiceHealth(node, ports, self.target)
        self.started = False
        self.queued_ns = self.synced_ns = 0
        #: when the oldest change came that no sync has dealt with
        self.waiting_since_ns: int | None = None
        self._needs_full_sync = True
        self._last_full_ns = 0
        self._born_s = node.clock.epoch_s + node.clock.now_s
        #: the events besides syncs that are due some time
        self._later: dict[str, Event] = {}
        min_period_s, self.sync_period_s = node.config.sync_periods_s
        self.runner = SyncRunner(
            node.clock,
            self.target,
            min_interval_s=min_period_s,
            retry_interval_s=self.sync_period_s,
            max_interval_s=writer.longest_interval_s,
        )
        node.clock.bind(self.target, self._on_event)

    @property
    def log(self) -> list[LogLine]:
        """Failed syncs and odd input, in kube-proxy's words."""
        return list(self.node.log)

    # -- input -----------------------------------------------------------------------------------------------------

    def on_service(self, service: JsonObject, *, deleted: bool = False) -> None:
        self.metrics.add("kubeproxy_sync_proxy_rules_service_changes_total")
        due = self.tracker.on_service(service, deleted=deleted)
        self._note_remarks()
        if due:
            self.request_sync()

    def on_slice(self, endpoint_slice: JsonObject, *, deleted: bool = False) -> None:
        if not self.tracker.is_ours(endpoint_slice):
            self._note_remarks()
            return
        self.metrics.add("kubeproxy_sync_proxy_rules_endpoint_changes_total")
        if not self.tracker.on_slice(endpoint_slice, deleted=deleted):
            return
        if self.started and self.writer.takes_endpoints_at_once:
            self.writer.take_endpoints(self.view, self.tracker.apply_endpoints())
            self._note_remarks()
        else:
            self.request_sync()

    def on_node(self, labels: Mapping[str, str]) -> None:
        """The labels of the node's own Node object; a change of a topology label forces a full sync."""
        topology = {label: labels[label] for label in TOPOLOGY_LABELS if label in labels}
        if topology != self.view.topology_labels:
            self.view.topology_labels = topology
            self.request_full_sync()

    def on_service_cidrs(self, cidrs: Sequence[str]) -> None:
        """All ready ServiceCIDRs of this family, where the version watches them."""
        if self.node.behaviours.service_cidrs and tuple(cidrs) != self.view.service_cidrs:
            self.view.service_cidrs = tuple(cidrs)
            self.request_full_sync()

    # -- when ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The watches have delivered what there is: prepare the node and sync for the first time, now."""
        self.started = True
        self._note_request()
        self._log_failure(self.writer.start)
        self._check_later()
        self.runner.request()

    def start_like(self, other: Proxier) -> None:
        """Start on a node that has another one's rules already: what the watches have delivered is in force."""
        self.started = True
        self._log_failure(self.writer.start)
        self.tracker.apply()
        self._check_later()
        self._needs_full_sync, self._last_full_ns = False, other._last_full_ns
        self.queued_ns = self.synced_ns = self.node.clock.now_ns
        self.runner.finished(failed=False)

    @property
    def is_like_everywhere(self) -> bool:
        """Whether its rules are in force as they should be, and name nothing that depends on the node."""
        if not self.started or self._needs_full_sync or any(self.tracker.pending):
            return False
        view = self.view
        if any(port.uses_local_endpoints or port.health_check_node_port for port in view.services.values()):
            return False
        return not any(one.zone_hints or one.node_hints for ends in view.endpoints.values() for one in ends)

    def stop(self) -> None:
        """The process ends: its ports close, its rules stay."""
        self.started = False
        self.runner.stop()
        for event in self._later.values():
            self.node.clock.cancel(event)
        self.health.stop()
        self.writer.stop()
        self.node.clock.unbind(self.target)

    def request_sync(self) -> None:
        if self.started:
            self._note_request()
            self.runner.request()

    def _note_request(self) -> None:
        self.queued_ns = self.node.clock.now_ns
        if self.waiting_since_ns is None:
            self.waiting_since_ns = self.queued_ns

    def request_full_sync(self) -> None:
        self._needs_full_sync = True
        self.request_sync()

    def _on_event(self, payload: object) -> None:
        if payload == "sync":
            self.runner.started()
            self.sync()
        elif payload == "check":
            if not self.writer.is_intact():
                self.request_full_sync()
            self._check_later()
        elif payload == "stale flows":
            self._log_failure(self._forget_stale_udp)

    def _check_later(self) -> None:
        self._later["check"] = self.node.clock.schedule(self.target, "check", delay_s=self.writer.check_interval_s)

    # -- the sync itself -------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """One sync, full or partial; a failure is logged and retried, and the retry is full."""
        started_ns = self.node.clock.now_ns
        changes, triggers = self.tracker.apply(), self.tracker.take_triggers()
        self._note_remarks()
        full = self._is_full_due(started_ns)
        failed = True
        try:
            self.writer.sync(self.view, changes, full=full)
            failed = False
        except CommandError as error:
            said = structured("Sync failed", err=str(error), retryingTime=f"{self.sync_period_s:g}s")
            self.node.note(said)
        finally:
            self._needs_full_sync = failed
            self._observe(started_ns, full=full)
            self.runner.finished(failed=failed)
        if not failed:
            self._succeeded(started_ns, changes, full=full)
            self._observe_triggers(triggers)

    def _is_full_due(self, now_ns: int) -> bool:
        overdue = now_ns - self._last_full_ns >= FULL_SYNC_PERIOD_S * NS_PER_S
        return self._needs_full_sync or (overdue and not self.writer.large_cluster)

    def _succeeded(self, started_ns: int, changes: Changes, *, full: bool) -> None:
        clock = self.node.clock
        self.synced_ns, self.waiting_since_ns = clock.now_ns, None
        if full:
            self._last_full_ns = started_ns
        self.metrics.set(
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds", clock.epoch_s + clock.now_s, ip_family=self.node.family
        )
        if not self.writer.looks_after_services:
            return
        self.health.sync(self.view)
        if not self.node.behaviours.conntrack_reconciles:
            self._log_failure(lambda: forget_changed_udp(self.node, self.view, changes))
        elif changes.udp_endpoints and self.writer.stale_flows_delay_s:
            delay_s = self.writer.stale_flows_delay_s
            self._later["stale flows"] = self.node.clock.schedule(self.target, "stale flows", delay_s=delay_s)
        elif changes.udp_endpoints:
            self._log_failure(self._forget_stale_udp)

    def _forget_stale_udp(self) -> None:
        family, started_ns = self.node.family, self.node.clock.now_ns
        deleted = forget_stale_udp(self.node, self.view)
        took_s = (self.node.clock.now_ns - started_ns) / NS_PER_S
        self.metrics.add("kubeproxy_conntrack_reconciler_deleted_entries_total", deleted, ip_family=family)
        self.metrics.observe("kubeproxy_conntrack_reconciler_sync_duration_seconds", took_s, ip_family=family)

    def _observe(self, started_ns: int, *, full: bool) -> None:
        clock, family = self.node.clock, self.node.family
        took_s = (clock.now_ns - started_ns) / NS_PER_S
        self.metrics.observe("kubeproxy_sync_proxy_rules_duration_seconds", took_s, ip_family=family)
        if self.writer.tells_partial_syncs:
            kind = "full" if full else "partial"
            self.metrics.observe(f"kubeproxy_sync_{kind}_proxy_rules_duration_seconds", took_s, ip_family=family)
        self.metrics.set(
            "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
            clock.epoch_s + self.queued_ns / NS_PER_S,
            ip_family=family,
        )

    def _observe_triggers(self, triggers: Sequence[float]) -> None:
        """How long it took until the rules followed what happened since the process runs."""
        clock = self.node.clock
        for time in triggers:
            if time > self._born_s:
                latency_s = clock.epoch_s + clock.now_s - time
                self.metrics.observe(NETWORK_PROGRAMMING, latency_s, ip_family=self.node.family)

    def _log_failure(self, act: Callable[[], None]) -> None:
        try:
            act()
        except CommandError as error:
            self.node.note(str(error))

    def _note_remarks(self) -> None:
        remarks = self.tracker.remarks
        for service, text in remarks:
            self.node.note(text, service)
        remarks.clear()

    # -- copies ----------------------------------------------------------------------------------------------------

    def fork(self, node: ProxyNode, metrics: Metrics, ports: NodePorts) -> Proxier:
        """The same proxier on a copy of its node; `node` carries the copied clock and kernel."""
        copy = Proxier.__new__(Proxier)
        copy.__dict__.update(self.__dict__)
        copy.node, copy.metrics = node, metrics
        copy.writer = self.writer.fork(node, metrics)
        copy.view = self.view.fork()
        copy.tracker = self.tracker.fork(copy.view)
        copy.health = self.health.fork(node, ports)
        copy.runner = self.runner.fork(node.clock)
        copy._later = self._later.copy()
        if self.started:
            node.clock.bind(copy.target, copy._on_event)
        return copy
