"""Which Pods must go so that a more important one can come.

On each node where it could help, all Pods of lower priority are thought away, then taken back one by one, the most
important first, as long as the Pod still fits; the node whose victims matter least is chosen. Disruption budgets are
not looked at. Source: kubernetes pkg/scheduler/framework/preemption, plugins/defaultpreemption.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from fakecluster.controllers.scheduler.filters import Refusal
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

Refuse = Callable[[PodInfo, NodeInfo, Snapshot], list[Refusal]]


@attrs.frozen
class Preemption:
    """Victims on one node, the most important first."""

    node: str
    victims: tuple[PodInfo, ...]

    @property
    def cost(self) -> tuple[int, int, int, str]:
        """The highest priority, their sum, how many, and the node's name."""
        priorities = [priority(victim) for victim in self.victims]
        return max(priorities), sum(priorities), len(priorities), self.node


def priority(pod: PodInfo) -> int:
    return int(pod.spec.get("priority") or 0)


def best(pod: PodInfo, nodes: list[NodeInfo], snapshot: Snapshot, refuse: Refuse) -> Preemption | None:
    """The cheapest way to make room on one of `nodes`, or None when there is none."""
    found = (_on_node(pod, info.name, snapshot, refuse) for info in nodes)
    return min((one for one in found if one is not None), key=lambda one: one.cost, default=None)


def _on_node(pod: PodInfo, node: str, snapshot: Snapshot, refuse: Refuse) -> Preemption | None:
    lower = [other for other in snapshot.infos[node].pods.values() if priority(other) < priority(pod)]
    if not lower:
        return None
    trial = snapshot.fork()
    for other in lower:
        trial.forget(other.uid)
    if node not in trial.infos or refuse(pod, trial.infos[node], trial):
        return None
    victims = []
    for other in sorted(lower, key=lambda one: (-priority(one), one.pod["metadata"]["creationTimestamp"])):
        trial.place(other.pod)
        if refuse(pod, trial.infos[node], trial):
            trial.forget(other.uid)
            victims.append(other)
    return Preemption(node, tuple(victims))
