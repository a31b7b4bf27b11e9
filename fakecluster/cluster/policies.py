"""The network policy agents of a cluster: one on every node, asleep until there is a policy.

An agent watches the policies only; with the first one it begins to watch Pods and namespaces too, and when the last one
has gone it removes its rules and forgets them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakecluster.kernel.netns import Netns
from fakecluster.policy.admin import admin_policy_of, baseline_policy_of, cluster_policy_of
from fakecluster.policy.iptables import IptablesWriter
from fakecluster.policy.model import Policy, network_policy_of, node_of, pod_of
from fakecluster.policy.nftables import NftablesWriter
from fakecluster.policy.program import PolicyProgram, RuleWriter
from fakecluster.policy.view import Changed
from fakecluster.sim import Clock

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import Store, WatchEvent

JsonObject = dict[str, Any]
POLICIES = "networkpolicies.networking.k8s.io"
#: resource -> how its objects are read
KINDS: dict[str, Callable[[JsonObject], Policy]] = {
    POLICIES: network_policy_of,
    "adminnetworkpolicies.policy.networking.k8s.io": admin_policy_of,
    "baselineadminnetworkpolicies.policy.networking.k8s.io": baseline_policy_of,
    "clusternetworkpolicies.policy.networking.k8s.io": cluster_policy_of,
}
RESOURCES = frozenset((*KINDS, "pods", "namespaces", "nodes"))
WRITERS: dict[str, Callable[[int], RuleWriter]] = {"iptables": IptablesWriter, "nftables": NftablesWriter}


def target(node: str) -> str:
    """The clock target at which a node's policy agent takes in what it watches."""
    return f"network-policy@{node}"


class PolicyAgent:
    """One node's agent: a program for each IP family.

    After an earlier run (`stale`) it does not wait for a policy: its rules are replaced, or removed when there is none.
    """

    def __init__(
        self,
        node: str,
        api: ApiServer,
        clock: Clock,
        netns: Netns,
        cni: str,
        families: tuple[int, ...],
        *,
        stale: bool = False,
    ) -> None:
        self.node, self.cni, self.families = node, cni, families
        self._api, self._clock, self._netns = api, clock, netns
        self.programs: tuple[PolicyProgram, ...] = ()
        self._inbox = api.watch(target(node), frozenset(KINDS))
        clock.bind(target(node), self.handle)
        if stale:
            self._start(stale=True)

    def fork(self, api: ApiServer, clock: Clock, netns: Netns) -> PolicyAgent:
        copy = PolicyAgent.__new__(PolicyAgent)
        copy.node, copy.cni, copy.families = self.node, self.cni, self.families
        copy._api, copy._clock, copy._netns = api, clock, netns
        copy.programs = tuple(program.fork() for program in self.programs)
        copy._inbox = api.inbox(target(self.node))
        clock.bind(target(self.node), copy.handle)
        return copy

    def handle(self, payload: object) -> None:
        """Take in what has changed; start with the first policy, stop after the last."""
        events = self._inbox.take()
        if not self.programs:
            if any(event.type != "DELETED" for event in events):
                self._start()
            return
        changed = changes(events)
        for program in self.programs:
            program.sync(changed, self._netns)
        if not any(program.view.policies for program in self.programs):
            self._sleep()

    def _watch(self, resources: frozenset[str]) -> None:
        self._api.store.unwatch(target(self.node))
        self._inbox = self._api.watch(target(self.node), resources)

    def _start(self, *, stale: bool = False) -> None:
        """Watch everything: the lists come as the next events."""
        writer = WRITERS[self.cni]
        self.programs = tuple(PolicyProgram(self.node, one, writer(one), stale=stale) for one in self.families)
        self._watch(RESOURCES)

    def _sleep(self) -> None:
        for program in self.programs:
            program.stop(self._netns)
        self.programs = ()
        self._watch(frozenset(KINDS))

    def stop(self) -> None:
        """End the process; its rules stay."""
        self._clock.unbind(target(self.node))
        self._api.store.unwatch(target(self.node))


def changes(events: list[WatchEvent]) -> Changed:
    """The last state of everything that the events are about."""
    changed = Changed()
    for event in events:
        meta, gone = event.object["metadata"], event.type == "DELETED"
        if event.resource == "namespaces":
            changed.namespaces[meta["name"]] = None if gone else meta.get("labels") or {}
        elif event.resource == "nodes":
            changed.nodes[meta["name"]] = None if gone else node_of(event.object)
        elif event.resource == "pods":
            changed.pods[meta["namespace"], meta["name"]] = None if gone else pod_of(event.object)
        else:
            policy = KINDS[event.resource](event.object)
            changed.policies[policy.key] = None if gone else policy
    return changed


def policies_of(store: Store) -> list[Policy]:
    """Every policy of a cluster, of all kinds."""
    return [read(obj) for resource, read in KINDS.items() for obj in store.list(resource)]
