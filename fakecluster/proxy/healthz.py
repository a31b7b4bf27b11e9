"""kube-proxy's own health: /healthz and /livez on the healthz port, /healthz, /proxyMode, /metrics on the metrics port.

A family is healthy when nothing waits to be synced, or waits for less than twice the sync period. /healthz also says
whether the node may receive traffic (not while it is being deleted). Source: pkg/proxy/healthcheck/proxy_health.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.proxier import Proxier
from fakecluster.proxy.service_health import HttpAnswer
from fakecluster.proxy.view import Family, JsonObject
from fakecluster.sim.clock import NS_PER_S, Clock

TO_BE_DELETED_TAINT = "ToBeDeletedByClusterAutoscaler"
NOT_FOUND = HttpAnswer(
    404,
    "404 page not found\n",
    (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")),
)
_EPOCH = datetime(1970, 1, 1)
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


def is_family_healthy(proxier: Proxier) -> bool:
    since_ns = proxier.waiting_since_ns
    return since_ns is None or proxier.node.clock.now_ns - since_ns < 2 * proxier.sync_period_s * NS_PER_S


def is_healthy(proxiers: Mapping[Family, Proxier]) -> bool:
    return all(is_family_healthy(proxier) for proxier in proxiers.values())


def is_eligible(node: JsonObject | None) -> bool:
    """Whether a load balancer may send traffic to this node: it is neither being deleted nor about to be."""
    if node is None:
        return True
    taints = (node.get("spec") or {}).get("taints") or ()
    return not node["metadata"].get("deletionTimestamp") and all(t.get("key") != TO_BE_DELETED_TAINT for t in taints)


def answer_health(
    path: str, proxiers: Mapping[Family, Proxier], node: JsonObject | None, metrics: Metrics, clock: Clock
) -> HttpAnswer:
    """What the healthz port says to GET `path`; counts its answers."""
    if path not in ("/healthz", "/livez"):
        return NOT_FOUND
    healthy = is_healthy(proxiers)
    ok = healthy
    body: dict[str, object] = {
        "lastUpdated": clock_text(clock, max((p.synced_ns for p in proxiers.values()), default=0)),
        "currentTime": clock_text(clock, clock.now_ns),
    }
    if path == "/healthz":
        body["nodeEligible"] = is_eligible(node)
        ok = healthy and is_eligible(node)
    body["healthy"] = healthy
    body["status"] = {
        family: {"lastUpdated": clock_text(clock, proxier.synced_ns), "healthy": is_family_healthy(proxier)}
        for family, proxier in proxiers.items()
    }
    status = 200 if ok else 503
    metrics.add(f"kubeproxy_proxy_{path[1:]}_total", code=str(status))
    headers = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
    return HttpAnswer(status, json.dumps(body, separators=(",", ":")), headers)


def answer_metrics(path: str, mode: str, metrics: Metrics) -> HttpAnswer:
    """What the metrics port says to GET `path`."""
    if path == "/healthz":
        return HttpAnswer(200, "ok", (*_PLAIN, ("X-Content-Type-Options", "nosniff")))
    if path == "/proxyMode":
        return HttpAnswer(200, mode, (*_PLAIN, ("X-Content-Type-Options", "nosniff")))
    if path == "/metrics":
        return HttpAnswer(200, metrics.text(), (("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),))
    return NOT_FOUND


def clock_text(clock: Clock, when_ns: int) -> str:
    """A virtual time as RFC 3339."""
    moment = _EPOCH + timedelta(seconds=clock.epoch_s + when_ns // NS_PER_S)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
