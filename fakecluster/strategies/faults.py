"""Plans of faults for a cluster: valid by construction, shrinking towards no fault, towards one that is over at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.cluster.faults import Fault, FaultPlan
from fakecluster.cluster.faults.options import subjects
from fakecluster.cluster.faults.plan import CODE, KINDS, PROBABILITY, contradictions
from fakecluster.strategies import arguments

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

#: What is tried of amounts, the simplest first; for the others the kind's own.
AMOUNTS: dict[str | None, tuple[float | None, ...]] = {PROBABILITY: (1.0, 0.5, 0.1), CODE: (503, 409, 410, 429, 500, 504)}
#: Faults of the control plane: connections that exist are none of their business.
CONTROL_PLANE = ("hold", "restart", "crash", "cut-watch", "fail-api", "slow-api", "stale-lists")


def faults(
    cluster: Cluster,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    targets: Mapping[str, Sequence[str]] | None = None,
    within_s: int = 30,
    longest_s: int = 30,
) -> st.SearchStrategy[Fault]:
    """One fault of one of `kinds` that this cluster can have; `targets` limits what is struck, by kind.

    Begins `within_s` seconds (whole ones) and lasts up to `longest_s`. Raises InvalidArgument for unknown kinds and
    targets, and when nothing is left to strike.
    """
    return st.deferred(lambda: _faults(cluster, kinds, targets or {}, within_s, longest_s))


def _faults(
    cluster: Cluster, kinds: Sequence[str], targets: Mapping[str, Sequence[str]], within_s: int, longest_s: int
) -> st.SearchStrategy[Fault]:
    arguments.cluster("cluster", cluster)
    if isinstance(kinds, str):
        raise InvalidArgument(f"kinds={kinds!r}: expected a list of names")
    if unknown := (set(kinds) | set(targets)) - set(KINDS):
        raise InvalidArgument(f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if not all(isinstance(one, int) for one in (within_s, longest_s)) or within_s < 0 or longest_s < 1:
        raise InvalidArgument(f"within_s={within_s}, longest_s={longest_s}: expected whole numbers, 0 or more and 1 or more")
    arguments.some_of("kinds", kinds, KINDS)
    if unused := set(targets) - set(kinds):
        raise InvalidArgument(f"targets has {', '.join(sorted(unused))}, which kinds={kinds!r} leaves out")
    struck = [strike for kind in kinds for strike in _strikes(cluster, kind, targets)]
    if not struck:
        raise InvalidArgument(f"this cluster has nothing for {', '.join(kinds)}")
    for strike in struck:
        if strike[0] in targets:
            _check(cluster, _fault(strike, 0, 1))
    return st.builds(_fault, st.sampled_from(struck), st.integers(0, within_s), st.integers(1, longest_s))


def _strikes(
    cluster: Cluster, kind: str, targets: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, str, float | None]]:
    """Every (kind, target, other side, amount) of a kind; probabilities and codes are those of `AMOUNTS`."""
    possible = list(targets.get(kind) or subjects(cluster, kind))
    amounts = AMOUNTS.get(KINDS[kind].amount, (None,))
    if KINDS[kind].subject == "nodes":
        return [(kind, one, other, None) for one, other in permutations(possible, 2)]
    return [(kind, one, "", amount) for one in possible for amount in amounts]


def _check(cluster: Cluster, fault: Fault) -> None:
    try:
        fault.check(cluster)
    except (LookupError, ValueError) as wrong:
        raise InvalidArgument(f"targets: {wrong.args[0]}") from None


def _fault(strike: tuple[str, str, str, float | None], at_s: int, for_s: int) -> Fault:
    kind, target, to, amount = strike
    return Fault(kind, target, to, amount, float(at_s), float(for_s))


def fault_plans(
    cluster: Cluster,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    targets: Mapping[str, Sequence[str]] | None = None,
    max_faults: int = 3,
    within_s: int = 30,
    longest_s: int = 30,
) -> st.SearchStrategy[FaultPlan]:
    """Plans of up to `max_faults` faults (see `faults`) that do not contradict each other.

    Shrinks to the fewest faults, of the first kinds and targets that do, as early and as short as will do. Raises
    InvalidArgument as `faults` does.
    """
    one = faults(cluster, kinds=kinds, targets=targets, within_s=within_s, longest_s=longest_s)
    return st.lists(one, max_size=max_faults).map(_consistent)


def _consistent(drawn: Sequence[Fault]) -> FaultPlan:
    """A plan of the faults, without those that contradict one before."""
    kept: list[Fault] = []
    for fault in drawn:
        if not any(contradictions((*kept, fault))):
            kept.append(fault)
    return FaultPlan(tuple(kept))
