"""The metrics that kube-proxy exports, in the text format that Prometheus reads.

Source: Kubernetes pkg/proxy/metrics/metrics.go. Durations are of the virtual clock.
"""

from __future__ import annotations

import attrs

Labels = tuple[tuple[str, str], ...]

#: From the change of a Pod or Service to the rules that follow it.
NETWORK_PROGRAMMING = "kubeproxy_network_programming_duration_seconds"
#: name -> (type, help); the order is that of the exposition, which is by name.
METRICS: dict[str, tuple[str, str]] = {
    "kubeproxy_conntrack_reconciler_deleted_entries_total": (
        "counter",
        "Cumulative conntrack flows deleted by conntrack reconciler",
    ),
    "kubeproxy_conntrack_reconciler_sync_duration_seconds": ("histogram", "ReconcileConntrackFlowsLatency in seconds"),
    "kubeproxy_iptables_ct_state_invalid_dropped_packets_total": (
        "counter",
        "packets dropped by iptables to work around conntrack problems",
    ),
    "kubeproxy_iptables_localhost_nodeports_accepted_packets_total": (
        "counter",
        "Number of packets accepted on nodeports of loopback interface",
    ),
    NETWORK_PROGRAMMING: ("histogram", "In Cluster Network Programming Latency in seconds"),
    "kubeproxy_proxy_healthz_total": ("counter", "Cumulative proxy healthz HTTP status"),
    "kubeproxy_proxy_livez_total": ("counter", "Cumulative proxy livez HTTP status"),
    "kubeproxy_sync_full_proxy_rules_duration_seconds": (
        "histogram",
        "SyncProxyRules latency in seconds for full resyncs",
    ),
    "kubeproxy_sync_partial_proxy_rules_duration_seconds": (
        "histogram",
        "SyncProxyRules latency in seconds for partial resyncs",
    ),
    "kubeproxy_sync_proxy_rules_duration_seconds": ("histogram", "SyncProxyRules latency in seconds"),
    "kubeproxy_sync_proxy_rules_endpoint_changes_pending": ("gauge", "Pending proxy rules Endpoint changes"),
    "kubeproxy_sync_proxy_rules_endpoint_changes_total": ("counter", "Cumulative proxy rules Endpoint changes"),
    "kubeproxy_sync_proxy_rules_iptables_last": (
        "gauge",
        "Number of iptables rules written by kube-proxy in last sync",
    ),
    "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total": (
        "counter",
        "Cumulative proxy iptables partial restore failures",
    ),
    "kubeproxy_sync_proxy_rules_iptables_restore_failures_total": (
        "counter",
        "Cumulative proxy iptables restore failures",
    ),
    "kubeproxy_sync_proxy_rules_iptables_total": ("gauge", "Total number of iptables rules owned by kube-proxy"),
    "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds": (
        "gauge",
        "The last time a sync of proxy rules was queued",
    ),
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds": (
        "gauge",
        "The last time proxy rules were successfully synced",
    ),
    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total": (
        "counter",
        "Cumulative proxy nftables cleanup failures",
    ),
    "kubeproxy_sync_proxy_rules_nftables_sync_failures_total": ("counter", "Cumulative proxy nftables sync failures"),
    "kubeproxy_sync_proxy_rules_no_local_endpoints_total": (
        "gauge",
        "Number of services with a Local traffic policy and no endpoints",
    ),
    "kubeproxy_sync_proxy_rules_service_changes_pending": ("gauge", "Pending proxy rules Service changes"),
    "kubeproxy_sync_proxy_rules_service_changes_total": ("counter", "Cumulative proxy rules Service changes"),
}
#: Upper bounds of histograms: 1 ms doubling 15 times, but for `NETWORK_PROGRAMMING`.
BUCKETS_S = tuple(0.001 * 2**n for n in range(15))
_OTHER_BUCKETS_S: dict[str, tuple[float, ...]] = {
    NETWORK_PROGRAMMING: (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 330, 30)),
}


@attrs.define
class Histogram:
    """Observations of one label set, in seconds."""

    observations: list[float] = attrs.field(factory=list)

    def lines(self, name: str, labels: Labels) -> list[str]:
        lines = [
            f"{name}_bucket{_text((*labels, ('le', f'{bound:g}')))} {sum(o <= bound for o in self.observations)}"
            for bound in _OTHER_BUCKETS_S.get(name, BUCKETS_S)
        ]
        count = len(self.observations)
        lines.append(f"{name}_bucket{_text((*labels, ('le', '+Inf')))} {count}")
        lines += [f"{name}_sum{_text(labels)} {sum(self.observations):g}", f"{name}_count{_text(labels)} {count}"]
        return lines


class Metrics:
    """The values of one kube-proxy process."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, Labels], float] = {}
        self.histograms: dict[tuple[str, Labels], Histogram] = {}

    def set(self, name: str, value: float, **labels: str) -> None:
        self.values[name, tuple(sorted(labels.items()))] = value

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        key = name, tuple(sorted(labels.items()))
        self.values[key] = self.values.get(key, 0) + amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self.histograms.setdefault((name, tuple(sorted(labels.items()))), Histogram()).observations.append(seconds)

    def get(self, name: str, **labels: str) -> float:
        return self.values.get((name, tuple(sorted(labels.items()))), 0)

    def count(self, name: str, **labels: str) -> int:
        """How many observations a histogram has."""
        found = self.histograms.get((name, tuple(sorted(labels.items()))))
        return len(found.observations) if found else 0

    def text(self) -> str:
        """The answer to GET /metrics, as far as the network is concerned."""
        lines: list[str] = []
        for name, (kind, meaning) in METRICS.items():
            series = self._series(name)
            if series:
                lines += [f"# HELP {name} [ALPHA] {meaning}", f"# TYPE {name} {kind}", *series]
        return "\n".join(lines) + "\n"

    def _series(self, name: str) -> list[str]:
        lines = [
            f"{name}{_text(labels)} {_number(value)}"
            for (of, labels), value in sorted(self.values.items())
            if of == name
        ]
        for (of, labels), histogram in sorted(self.histograms.items(), key=lambda item: item[0]):
            if of == name:
                lines += histogram.lines(name, labels)
        return lines

    def fork(self) -> Metrics:
        copy = Metrics()
        copy.values = self.values.copy()
        copy.histograms = {key: Histogram(found.observations.copy()) for key, found in self.histograms.items()}
        return copy


def _text(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


def _number(value: float) -> str:
    """As Go prints a float: integers bare, large ones with an exponent."""
    if value >= 1e21 or (value != int(value) and value >= 1e9):
        mantissa, exponent = f"{value:.16e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent):+03d}"
    return str(int(value)) if value == int(value) else repr(value)
