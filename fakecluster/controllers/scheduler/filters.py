"""Why a Pod cannot go to a node: the scheduler's filters in the real one's order, with its words.

Each filter returns no refusals when the node will do. Sources: kubernetes pkg/scheduler/framework/plugins.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import attrs

from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.controllers.node_affinity import selects_node
from fakecluster.controllers.scheduler.snapshot import HostPort, NodeInfo, PodInfo
from fakecluster.controllers.taints import UNSCHEDULABLE, untolerated


@attrs.frozen
class Refusal:
    """One reason against a node; `final`: removing other Pods could not help."""

    reason: str
    final: bool = True


Filter = Callable[[PodInfo, NodeInfo], list[Refusal]]


def unschedulable(pod: PodInfo, info: NodeInfo) -> list[Refusal]:
    cordoned = (info.node or {}).get("spec", {}).get("unschedulable")
    taint = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    if cordoned and untolerated([taint], pod.spec.get("tolerations") or []):
        return [Refusal("node(s) were unschedulable")]
    return []


def tainted(pod: PodInfo, info: NodeInfo) -> list[Refusal]:
    if untolerated(info.taints, pod.spec.get("tolerations") or []):
        return [Refusal("node(s) had untolerated taint(s)")]
    return []


def unselected(pod: PodInfo, info: NodeInfo) -> list[Refusal]:
    if info.node is not None and selects_node(pod.spec, info.node):
        return []
    return [Refusal("node(s) didn't match Pod's node affinity/selector")]


def _clash(a: HostPort, b: HostPort) -> bool:
    return a[1:] == b[1:] and (a[0] == b[0] or "0.0.0.0" in (a[0], b[0]))


def ports_taken(pod: PodInfo, info: NodeInfo) -> list[Refusal]:
    if pod.ports and any(_clash(a, b) for a in pod.ports for other in info.pods.values() for b in other.ports):
        return [Refusal("node(s) didn't have free ports for the requested pod ports", final=False)]
    return []


def insufficient(pod: PodInfo, info: NodeInfo) -> list[Refusal]:
    found = []
    allocatable = info.allocatable
    if "pods" in allocatable and len(info.pods) + 1 > parse_quantity(allocatable["pods"]).value:
        found.append(Refusal("Too many pods", final=False))
    for name, amount in sorted(pod.requests.items()):
        limit = parse_quantity(allocatable[name]).value if name in allocatable else Fraction()
        if amount and amount > limit - info.requested.get(name, Fraction()):
            found.append(Refusal(f"Insufficient {name}", final=amount > limit))
    return found


FILTERS: tuple[Filter, ...] = (unschedulable, tainted, unselected, ports_taken, insufficient)
