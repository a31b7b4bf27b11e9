"""A plan of faults: which, of what, when and for how long; plain values that print as they are written.

FaultPlan((Fault("crash", "kube-proxy@a", at_s=2, for_s=10), Fault("loss", "node-network", amount=0.1)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from math import inf
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster.faults import names, processes
from fakecluster.cni.nodes import NODE_NETWORK
from fakecluster.sim import numbers

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster


@attrs.frozen
class Kind:
    """What a kind of fault concerns (`subject`), and what `amount` means; `None`: it has none."""

    subject: str
    amount: str | None = None
    default: float = 0.0
    lasts: bool = True
    least: float = 0
    most: float = inf


#: Source ports from 32768 on, as many as Linux has by default.
PORTS = 28232
PROBABILITY, SECONDS, CODE, COUNT = "probability", "seconds", "HTTP code", "count"
KINDS: dict[str, Kind] = {
    "hold": Kind("target"),
    "crash": Kind("component"),
    "restart": Kind("component", lasts=False),
    "cut-watch": Kind("component"),
    "partition": Kind("nodes"),
    "one-way-partition": Kind("nodes"),
    "loss": Kind("link", PROBABILITY, 0.5),
    "duplicate": Kind("link", PROBABILITY, 0.5),
    "reorder": Kind("link", PROBABILITY, 0.5),
    "corrupt": Kind("link", PROBABILITY, 0.5),
    "delay": Kind("link", SECONDS, 0.1),
    "crash-node": Kind("node"),
    "reboot": Kind("node", lasts=False),
    "clock-jump": Kind("node", SECONDS, 3600.0, least=-inf),
    "slow-start": Kind("node", SECONDS, 10.0),
    "conntrack-limit": Kind("node", COUNT, 1, least=1),
    "ephemeral-ports": Kind("host", COUNT, 1, least=1, most=PORTS),
    "crash-pod": Kind("pod", lasts=False),
    "hang-pod": Kind("pod"),
    "fail-api": Kind("user", CODE, 503),
    "slow-api": Kind("", SECONDS, 1.0),
    "stale-lists": Kind(""),
    "cut-watches": Kind("", lasts=False),
    "dns-silent": Kind("name", PROBABILITY, 1.0),
    "dns-wrong": Kind("name", PROBABILITY, 1.0),
}


@attrs.frozen
class Fault:
    """One fault: its `kind` (see `KINDS`), what it strikes, from when (seconds after the plan's start), for how long.

    `to` is a partition's other side; `amount` is a probability, seconds, a count or a code as the kind has it (None: the
    kind's own). `for_s=inf` is for good. Raises ValueError for unknown kinds, negative times, and what a kind has not.
    """

    kind: str
    target: str = ""
    to: str = ""
    amount: float | None = None
    at_s: float = 0.0
    for_s: float = 10.0

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(KINDS)}")
        names.seconds("at_s", self.at_s, "time does not run backwards")
        if numbers.not_nan("for_s", self.for_s) != inf:
            names.seconds("for_s", self.for_s, "time does not run backwards")
        kind = KINDS[self.kind]
        if self.amount is not None:
            _check_amount(self.kind, kind, self.amount)
        if not kind.subject and self.target:
            raise ValueError(f"{self.kind} strikes nothing in particular; leave out the target {self.target!r}")
        if (kind.subject == "nodes") != bool(self.to):
            raise ValueError(f"{self.kind}: `to` is the other side of a partition" + ("" if self.to else "; say it"))

    @property
    def size(self) -> float:
        """The amount, or the kind's own."""
        return KINDS[self.kind].default if self.amount is None else self.amount

    @property
    def place(self) -> str:
        """What is struck: the target, or what the kind strikes when none is given."""
        return self.target or (NODE_NETWORK if KINDS[self.kind].subject == "link" else "")

    @property
    def end_s(self) -> float:
        return self.at_s + self.for_s if KINDS[self.kind].lasts else self.at_s

    def __str__(self) -> str:
        words = [self.kind, self.place, *(("-", self.to) if self.to else ())]
        if KINDS[self.kind].amount:
            words.append(f"({self.size:g})")
        words.append(f"at {self.at_s:g} s")
        if KINDS[self.kind].lasts:
            words.append("for good" if self.for_s == inf else f"for {self.for_s:g} s")
        return " ".join(word for word in words if word)

    def check(self, cluster: Cluster) -> None:
        """Whether what it strikes exists. Raises LookupError with what does."""
        CHECKS[KINDS[self.kind].subject](cluster, self)


def _check_amount(name: str, kind: Kind, amount: float) -> None:
    if kind.amount is None:
        raise ValueError(f"{name} has no amount")
    if kind.amount == PROBABILITY:
        names.probability("amount", amount)
        return
    (numbers.finite if kind.amount == SECONDS else numbers.whole)("amount", amount)
    if not kind.least <= amount <= kind.most:
        limits = f"{kind.least} or more" if kind.most == inf else f"{kind.least} to {kind.most}"
        raise ValueError(f"amount={amount}: expected {kind.amount} of {limits}")


def _ordered(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
    if strange := [one for one in faults if not isinstance(one, Fault)]:
        raise TypeError(f"{strange[0]!r}: expected a Fault")
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


@attrs.frozen
class FaultPlan:
    """Faults that belong together, in the order of their beginning. Raises ValueError when two contradict each other."""

    faults: tuple[Fault, ...] = attrs.field(default=(), converter=_ordered)

    def __attrs_post_init__(self) -> None:
        for one, other in contradictions(self.faults):
            raise ValueError(f"two faults contradict each other: {one}; {other}")

    @property
    def end_s(self) -> float:
        """When the last one is over, those for good left out."""
        return max((fault.end_s for fault in self.faults if fault.end_s != inf), default=0.0)

    def check(self, cluster: Cluster) -> None:
        """Whether everything that it strikes exists. Raises LookupError with what does.

        Pods may come later: one that is not there when its fault begins is told in `cluster.faults.log`.
        """
        for fault in self.faults:
            fault.check(cluster)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults)) or "no faults"


def contradictions(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, Fault]]:
    """Pairs at the same time of which one undoes or forbids the other."""
    for one, other in combinations(faults, 2):
        if _same_time(one, other) and (_claims(one) & _claims(other) or _on_dead_node(one, other)):
            yield one, other


def _same_time(one: Fault, other: Fault) -> bool:
    if one.at_s == other.at_s:
        return True
    return one.at_s < other.end_s and other.at_s < one.end_s


def _claims(fault: Fault) -> set[tuple[str, ...]]:
    """What a fault changes and restores, so that no other may meanwhile."""
    if fault.to:
        return {("partition", *sorted((fault.target, fault.to)))}
    if fault.kind in ("hold", "crash", "restart", "cut-watch"):
        return {("process", fault.target)}
    if fault.kind in ("crash-node", "reboot"):
        return {("node", fault.target)}
    if fault.kind in ("crash-pod", "hang-pod"):
        return {("pod", fault.target)}
    if fault.kind == "cut-watches":
        return set()
    return {(fault.kind, fault.place)}


def _on_dead_node(one: Fault, other: Fault) -> bool:
    """Whether one is the death of a node, and the other concerns a component of it, or its partition."""
    for death, fault in ((one, other), (other, one)):
        if death.kind in ("crash-node", "reboot") and death.target in (
            fault.target.rpartition("@")[2] if "@" in fault.target else "",
            fault.target if fault.to else "",
            fault.to,
        ):
            return True
    return False


def _check_component(cluster: Cluster, fault: Fault) -> None:
    there = processes.components(cluster)
    if fault.target not in there:
        raise LookupError(f"no component {fault.target!r}; there are {', '.join(there)}")


def _check_target(cluster: Cluster, fault: Fault) -> None:
    cluster.parts.wake_for(fault.target)
    if fault.target not in cluster.clock.targets:
        there = ", ".join(sorted(cluster.clock.targets))
        raise LookupError(f"no component {fault.target!r}; there are {there}")


def _check_user(cluster: Cluster, fault: Fault) -> None:
    from fakecluster.api.faults import Failing

    Failing(int(fault.size))


def _check_pod(cluster: Cluster, fault: Fault) -> None:
    if not fault.target:
        raise LookupError(f"{fault.kind}: say which Pod")


def _check_nodes(cluster: Cluster, fault: Fault) -> None:
    names.pairs(cluster, fault.target, fault.to)


CHECKS: dict[str, Callable[[Cluster, Fault], object]] = {
    "": lambda cluster, fault: None,
    "name": lambda cluster, fault: cluster.dns,
    "user": _check_user,
    "pod": _check_pod,
    "node": lambda cluster, fault: names.node_port(cluster, fault.target),
    "nodes": _check_nodes,
    "component": _check_component,
    "target": _check_target,
    "link": lambda cluster, fault: None if fault.place.startswith("pod/") else names.segment(cluster, fault.place),
    "host": lambda cluster, fault: None if fault.place.startswith("pod/") else names.host(cluster, fault.target),
}
