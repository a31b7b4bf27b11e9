"""One node's policy agent in one IP family: changes in, the least text that brings the node's rules up to date out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import attrs

from fakecluster.policy.model import PodKey
from fakecluster.policy.rules import (
    Chain,
    ChainRule,
    Entries,
    Route,
    Stage,
    StageChange,
    entries,
    pod_chains,
    policy_chains,
    stage_changes,
    stages,
)
from fakecluster.policy.view import Changed, Members, PolicyView, SetKey, Touched


class NodeKernel(Protocol):
    """A node as the agent sees it: a place to run commands. A network namespace is one; so is a real node."""

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        """Run one command and return what it prints; raises `CommandError` when it fails, in the tool's own words."""
        ...


@attrs.frozen
class Delta:
    """What has changed: chains to write as a whole, sets to make or change, and what has gone.

    `stages` is all stages as a whole, when their order changes and at first; else `stage_changes` what differs in them.
    """

    chains: Mapping[Chain, tuple[ChainRule, ...]]
    gone: tuple[Chain, ...]
    stages: tuple[Stage, ...]
    stage_changes: tuple[StageChange, ...]
    created: Mapping[SetKey, Members]
    updated: Mapping[SetKey, Members]
    gone_sets: tuple[SetKey, ...]


class RuleWriter(Protocol):
    """Writes rules in one language; remembers what it has written."""

    def write(self, delta: Delta, kernel: NodeKernel) -> None:
        """Bring the node up to date, from nothing the first time."""
        ...

    def clear(self, kernel: NodeKernel) -> None:
        """Remove everything that was written."""
        ...

    def fork(self) -> RuleWriter: ...


class PolicyProgram:
    """What a node knows of policies, and the writer of its rules.

    Nothing is written before a policy is about a Pod of the node, unless an earlier run may have left rules (`stale`).
    """

    def __init__(self, node: str, family: int, writer: RuleWriter, *, stale: bool = False) -> None:
        self.view, self.writer = PolicyView(node, family), writer
        self._route = Route.of(())
        #: what was written for each Pod and policy
        self._chains: dict[tuple[str, ...], tuple[Chain, ...]] = {}
        self._entries: dict[PodKey, Entries] = {}
        self._started, self._stale = False, stale

    def fork(self) -> PolicyProgram:
        copy = PolicyProgram.__new__(PolicyProgram)
        copy.view, copy.writer = self.view.fork(), self.writer.fork()
        copy._route, copy._chains, copy._started = self._route, self._chains.copy(), self._started
        copy._entries, copy._stale = self._entries.copy(), self._stale
        return copy

    def sync(self, changed: Changed, kernel: NodeKernel) -> None:
        """Take changes in and write what they touch."""
        touched = self.view.update(changed)
        route = Route.of(policy.tier for policy in self.view.active.values())
        reordered = route != self._route
        if reordered:
            self._route = route
            touched.pods |= self.view.selected.keys()
            touched.policies |= self.view.active.keys()
        delta = self._delta(touched, whole=reordered or not self._started)
        if self._started or self._stale or self.view.selected:
            self.writer.write(delta, kernel)
            self._started = True

    def stop(self, kernel: NodeKernel) -> None:
        """Remove every rule: there is no policy any more."""
        if self._started:
            self.writer.clear(kernel)

    def _delta(self, touched: Touched, *, whole: bool) -> Delta:
        view = self.view
        chains: dict[Chain, tuple[ChainRule, ...]] = {}
        gone: dict[Chain, None] = {}
        for key in sorted(touched.policies):
            policy = view.active.get(key)
            self._replace(key, () if policy is None else policy_chains(policy, self._route, view.family), chains, gone)
        left = [self._entries.pop(pod) for pod in sorted(touched.pods) if pod in self._entries]
        for pod in sorted(touched.pods):
            policies = view.selected.get(pod, ())
            made = pod_chains(view.pods[pod], policies, self._route, view.family) if policies else ()
            self._replace(("pod", *pod), made, chains, gone)
            if policies:
                self._entries[pod] = entries(view.pods[pod], policies, self._route, view.family)
        came = [self._entries[pod] for pod in sorted(touched.pods) if pod in self._entries]
        return Delta(
            chains,
            tuple(chain for chain in gone if chain not in chains),
            tuple(stages(self._entries.values(), self._route)) if whole else (),
            () if whole else tuple(stage_changes(left, came, self._route)),
            {name: view.sets[name] for name in sorted(touched.created, key=repr)},
            {name: view.sets[name] for name in sorted(touched.updated - touched.created, key=repr)},
            tuple(sorted(touched.gone, key=repr)),
        )

    def _replace(
        self,
        key: tuple[str, ...],
        made: Iterable[tuple[Chain, tuple[ChainRule, ...]]],
        chains: dict[Chain, tuple[ChainRule, ...]],
        gone: dict[Chain, None],
    ) -> None:
        new = dict(made)
        gone |= dict.fromkeys(chain for chain in self._chains.pop(key, ()) if chain not in new)
        chains |= new
        if new:
            self._chains[key] = tuple(new)
