"""Pods that came to the node past the scheduler (spec.nodeName): the kubelet refuses those that cannot be here.

Source: kubernetes pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.controllers.conditions import is_true
from fakecluster.controllers.node_affinity import selects_node
from fakecluster.controllers.scheduler.filters import insufficient, ports_taken
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo
from fakecluster.controllers.taints import untolerated

Json = dict[str, Any]


def refusal(node: Json | None, pod: PodInfo, usage: NodeInfo) -> tuple[str, str] | None:
    """(reason, message) why a Pod may not run beside those of `usage`, or None; the scheduler's choices are trusted."""
    if node is None or is_true(pod.pod, "PodScheduled"):
        return None
    usage.node = node
    for found in insufficient(pod, usage):
        return _out_of(found.reason, pod, usage)
    if not selects_node(pod.spec, node):
        return "NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed"
    if ports_taken(pod, usage):
        return "NodePorts", "Pod was rejected: Predicate NodePorts failed"
    if untolerated(usage.taints, pod.spec.get("tolerations") or [], ("NoExecute",)):
        return "TaintToleration", "Pod was rejected: Predicate TaintToleration failed"
    return None


def _out_of(reason: str, pod: PodInfo, info: NodeInfo) -> tuple[str, str]:
    """What is short, in the units of the kubelet's message (CPU in thousandths)."""
    if reason == "Too many pods":
        name, requested, used = "pods", 1, len(info.pods)
    else:
        name = reason.removeprefix("Insufficient ")
        scale = 1000 if name == "cpu" else 1
        requested, used = int(pod.requests[name] * scale), int(info.requested.get(name, 0) * scale)
    capacity = int(parse_quantity(info.allocatable.get(name, "0")).value * (1000 if name == "cpu" else 1))
    what = f"requested: {requested}, used: {used}, capacity: {capacity}"
    return f"OutOf{name}", f"Pod was rejected: Node didn't have enough resource: {name}, {what}"
