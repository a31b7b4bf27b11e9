"""Faults by chance: one options object and one seed make a plan, always the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

import attrs

from fakecluster.api.faults import ERRORS
from fakecluster.cluster.faults import names, processes
from fakecluster.cluster.faults.plan import CODE, KINDS, PROBABILITY, Fault, FaultPlan, contradictions
from fakecluster.cni.nodes import NODE_NETWORK, OUTSIDE
from fakecluster.sim import numbers

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

#: Draws for one fault before it is left out: everything that could be struck is taken at that time.
TRIES = 20


#: What is drawn for the amounts of which any will do; a clock jumps and tables are full as their kinds have it.
AMOUNTS: dict[str | None, Callable[[Random], float]] = {
    PROBABILITY: lambda random: random.randint(1, 10) / 10,
    CODE: lambda random: random.choice(list(ERRORS)),
}


def _listed(kinds: Iterable[str]) -> tuple[str, ...]:
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)


@attrs.frozen
class FaultOptions:
    """How much goes wrong: `count` faults of `kinds` that begin within `within_s` and last up to `longest_s` seconds.

    `targets` limits what is struck, by kind (`{"crash": ["kube-proxy@a"]}`). The same seed and cluster give the same
    plan. Raises ValueError for unknown kinds and for numbers that are negative or none, TypeError for what is no number.
    """

    seed: int = 0
    count: int = 5
    within_s: float = 60.0
    longest_s: float = 30.0
    kinds: tuple[str, ...] = attrs.field(default=tuple(KINDS), converter=_listed)
    targets: dict[str, list[str]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if unknown := (set(self.kinds) | set(self.targets)) - set(KINDS):
            raise ValueError(f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
        if texts := [kind for kind, targets in self.targets.items() if isinstance(targets, str)]:
            raise ValueError(f"targets of {texts[0]}: expected a list of names")
        if unused := set(self.targets) - set(self.kinds):
            raise ValueError(f"targets has {', '.join(sorted(unused))}, which kinds={self.kinds!r} leaves out")
        for name in ("seed", "count"):
            numbers.whole(name, getattr(self, name))
        for name in ("count", "within_s", "longest_s"):
            names.seconds(name, getattr(self, name), "expected 0 or more")

    def plan(self, cluster: Cluster) -> FaultPlan:
        """The plan that these options make for a cluster: faults that contradict those before are drawn again.

        Raises LookupError when the cluster has nothing that these kinds could strike.
        """
        random = Random(self.seed)
        faults: list[Fault] = []
        possible = {kind: self.targets.get(kind) or subjects(cluster, kind) for kind in self.kinds}
        kinds = [kind for kind, targets in possible.items() if targets]
        if self.count and not kinds:
            raise LookupError(f"this cluster has nothing for {', '.join(self.kinds) or 'no kind of fault'}")
        for _ in range(self.count):
            for _ in range(TRIES):
                fault = self._draw(random, kinds, possible)
                if fault is not None and not any(contradictions((*faults, fault))):
                    faults.append(fault)
                    break
        return FaultPlan(tuple(faults))

    def _draw(self, random: Random, kinds: list[str], possible: dict[str, list[str]]) -> Fault | None:
        name = random.choice(kinds)
        kind, target, to = KINDS[name], random.choice(possible[name]), ""
        if kind.subject == "nodes":
            others = [node for node in possible[name] if node != target]
            if not others:
                return None
            to = random.choice(others)
        amount = AMOUNTS[kind.amount](random) if kind.amount in AMOUNTS else None
        at_s, for_s = random.uniform(0, self.within_s), random.uniform(0, self.longest_s)
        return Fault(name, target, to, amount, round(at_s, 3), round(for_s, 3))


def subjects(cluster: Cluster, kind: str) -> list[str]:
    """Everything in a cluster that a kind of fault can strike, in order."""
    nodes = list(cluster.runtime.nodes)
    pods = [f"pod/{pod.name}" for pod in cluster.pods if pod.kubernetes_namespace == "default"]
    return {
        "": [""],
        "user": [f"system:node:{node}" for node in nodes] + ["system:kube-scheduler", ""],
        "name": [""] if cluster.parts.dns is not None else [],
        "node": nodes,
        "nodes": [*nodes, OUTSIDE],
        "component": processes.components(cluster),
        "target": processes.components(cluster),
        "link": [NODE_NETWORK, *pods],
        "host": [*pods],
        "pod": [name.removeprefix("pod/") for name in pods],
    }[KINDS[kind].subject]
