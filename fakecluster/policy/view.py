"""What one node's policies depend on, in one IP family: which local Pods each policy is about, and who its peers are.

Only policies that are about a Pod of this node are active, and only the groups and port names of active policies are
kept up; a change costs what it touches: the Pod that changed against the groups that can contain it, a new policy
against the Pods of its groups' namespaces. Nodes are few: a changed one is held against every group of nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs

from fakecluster.api.selectors import Labels
from fakecluster.policy.model import NodeGroup, PodGroup, PodKey, Policy, PolicyNode, PolicyPod

PolicyKey = tuple[str, str, str]
PortName = tuple[str, str]  # name, protocol
Element = tuple[str, ...]  # (address,) or (address, protocol, port)
SetKey = PodGroup | NodeGroup | PortName
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@attrs.define
class Members:
    """The elements of one set, whose each is, who uses the set, and what has changed since it was last written.

    A node owns its elements as ("", its name).
    """

    users: set[PolicyKey] = attrs.field(factory=set)
    owners: dict[Element, PodKey] = attrs.field(factory=dict)
    added: set[Element] = attrs.field(factory=set)
    removed: set[Element] = attrs.field(factory=set)

    def add(self, element: Element, owner: PodKey) -> None:
        if element not in self.owners:
            if element in self.removed:
                self.removed.discard(element)
            else:
                self.added.add(element)
        self.owners[element] = owner

    def remove(self, element: Element, owner: PodKey) -> None:
        """Forget an element, unless it has become another Pod's meanwhile."""
        if self.owners.get(element) == owner:
            del self.owners[element]
            if element in self.added:
                self.added.discard(element)
            else:
                self.removed.add(element)

    def fork(self) -> Members:
        return Members(self.users.copy(), self.owners.copy(), self.added.copy(), self.removed.copy())


@attrs.define
class Changed:
    """What came in: new states by key, None for what has gone."""

    namespaces: dict[str, Labels | None] = attrs.field(factory=dict)
    pods: dict[PodKey, PolicyPod | None] = attrs.field(factory=dict)
    policies: dict[PolicyKey, Policy | None] = attrs.field(factory=dict)
    nodes: dict[str, PolicyNode | None] = attrs.field(factory=dict)


@attrs.define
class Touched:
    """What has to be written anew: chains of Pods and policies, sets that are new, have other elements, or are gone."""

    pods: set[PodKey] = attrs.field(factory=set)
    policies: set[PolicyKey] = attrs.field(factory=set)
    created: set[SetKey] = attrs.field(factory=set)
    updated: set[SetKey] = attrs.field(factory=set)
    gone: set[SetKey] = attrs.field(factory=set)


class PolicyView:
    """The state; `update` takes changes in."""

    def __init__(self, node: str, family: int) -> None:
        self.node, self.family = node, family
        self.namespaces: dict[str, Labels] = {}
        self.nodes: dict[str, PolicyNode] = {}
        self.pods: dict[PodKey, PolicyPod] = {}
        self.policies: dict[PolicyKey, Policy] = {}
        #: local Pods that a policy is about -> those policies, in order
        self.selected: dict[PodKey, tuple[Policy, ...]] = {}
        #: policies that are about a local Pod, as they were last looked at
        self.active: dict[PolicyKey, Policy] = {}
        self.sets: dict[SetKey, Members] = {}
        self._users: dict[PolicyKey, set[PodKey]] = {}
        self._pods_in: dict[str, dict[PodKey, PolicyPod]] = {}
        self._local: dict[PodKey, PolicyPod] = {}
        self._policies_in: dict[str, dict[PolicyKey, Policy]] = {}
        self._groups_in: dict[str, dict[PodGroup, None]] = {}

    def fork(self) -> PolicyView:
        copy = PolicyView(self.node, self.family)
        copy.namespaces, copy.pods, copy.policies = self.namespaces.copy(), self.pods.copy(), self.policies.copy()
        copy.nodes = self.nodes.copy()
        copy.selected, copy.active = self.selected.copy(), self.active.copy()
        copy.sets = {key: members.fork() for key, members in self.sets.items()}
        copy._users = {key: users.copy() for key, users in self._users.items()}
        copy._pods_in = {name: pods.copy() for name, pods in self._pods_in.items()}
        copy._local = self._local.copy()
        copy._policies_in = {name: policies.copy() for name, policies in self._policies_in.items()}
        copy._groups_in = {name: groups.copy() for name, groups in self._groups_in.items()}
        return copy

    def update(self, changed: Changed) -> Touched:
        """Take changes in; returns what they touch."""
        touched = Touched()
        pods = self._relabelled(changed)
        before = {key: self.pods.get(key) for key in pods}
        for name, labels in changed.namespaces.items():
            _put(self.namespaces, name, labels)
        for key, pod in pods.items():
            self._put_pod(key, pod)
        asked = {key for key in pods if key in self._local or key in self.selected}
        asked |= self._replace_policies(changed.policies)
        self._select(asked, touched)
        touched.pods |= {key for key in before if key in self.selected and self._has_moved(key, before[key])}
        self._leave_groups(before, touched)
        self._enter_groups(pods, touched)
        self._replace_nodes(changed.nodes, touched)
        self._activate(touched)
        return touched

    def _has_moved(self, key: PodKey, before: PolicyPod | None) -> bool:
        """Whether a Pod's chain, which has its address in it, is another one now."""
        return before is None or before.ip(self.family) != self.pods[key].ip(self.family)

    def _relabelled(self, changed: Changed) -> dict[PodKey, PolicyPod | None]:
        """The changed Pods, and all of namespaces whose labels have changed."""
        found: dict[PodKey, PolicyPod | None] = {}
        for name, labels in changed.namespaces.items():
            if self.namespaces.get(name) != labels:
                found |= self._pods_in.get(name, {})
        for key, pod in changed.pods.items():
            found[key] = pod if pod is not None and pod.ip(self.family) else None
        return found

    def _put_pod(self, key: PodKey, pod: PolicyPod | None) -> None:
        _put(self.pods, key, pod)
        _put(self._pods_in.setdefault(key[0], {}), key, pod)
        _put(self._local, key, pod if pod is not None and pod.node == self.node else None)

    # --- which policies are about which Pods

    def _replace_policies(self, policies: Mapping[PolicyKey, Policy | None]) -> set[PodKey]:
        """Take policies in; returns the local Pods that any of them, as it was or as it is, may be about."""
        concerned: set[PodKey] = set()
        for key, policy in policies.items():
            concerned |= self._users.get(key, set())
            _put(self.policies, key, policy)
            _put(self._policies_in.setdefault(key[1], {}), key, policy)
            if policy is not None:
                concerned.update(
                    pod.key
                    for pod in self._local.values()
                    if policy.subject.contains(pod, self.namespaces.get(pod.namespace))
                )
        return concerned

    def _select(self, keys: Iterable[PodKey], touched: Touched) -> None:
        for key in keys:
            old = self.selected.get(key, ())
            pod = self._local.get(key)
            new = () if pod is None else self._policies_about(pod)
            if new == old:
                continue
            _put(self.selected, key, new or None)
            touched.pods.add(key)
            for policy in old:
                self._users[policy.key].discard(key)
            for policy in new:
                self._users.setdefault(policy.key, set()).add(key)
            touched.policies.update(policy.key for policy in (*old, *new))

    def _policies_about(self, pod: PolicyPod) -> tuple[Policy, ...]:
        labels = self.namespaces.get(pod.namespace)
        candidates = (*self._policies_in.get(pod.namespace, {}).values(), *self._policies_in.get("", {}).values())
        return tuple(
            sorted((one for one in candidates if one.subject.contains(pod, labels)), key=lambda one: one.order)
        )

    def _activate(self, touched: Touched) -> None:
        """Bring `active` up to date: make the sets that new policies use, give up those that nobody uses."""
        replaced = {key: self.active.get(key) for key in sorted(touched.policies)}
        for key, old in replaced.items():
            new = self.policies.get(key) if self._users.get(key) else None
            _put(self.active, key, new)
            if old == new:
                touched.policies.discard(key)
            for name in _sets_of(new) - _sets_of(old):
                self._use(name, key, touched)
        # only now: what one policy gives up another one may just have begun to use
        for key, old in replaced.items():
            for name in _sets_of(old) - _sets_of(self.active.get(key)):
                self._give_up(name, key, touched)

    # --- who is in which set

    def _use(self, name: SetKey, user: PolicyKey, touched: Touched) -> None:
        members = self.sets.get(name)
        if members is None:
            members = self.sets[name] = Members()
            touched.created.add(name)
            if isinstance(name, NodeGroup):
                self._enter_nodes(name, self.nodes.values())
            else:
                for pod in self._candidates(name):
                    self._enter(name, members, pod)
        members.users.add(user)

    def _candidates(self, name: PodGroup | PortName) -> Iterable[PolicyPod]:
        if not isinstance(name, PodGroup):
            return self.pods.values()
        self._groups_in.setdefault(name.namespace, {})[name] = None
        if name.namespace:
            return self._pods_in.get(name.namespace, {}).values()
        spaces = (
            self._pods_in.get(space, {}) for space, labels in self.namespaces.items() if name.covers(space, labels)
        )
        return (pod for pods in spaces for pod in pods.values())

    def _give_up(self, name: SetKey, user: PolicyKey, touched: Touched) -> None:
        members = self.sets[name]
        members.users.discard(user)
        if members.users:
            return
        del self.sets[name]
        touched.updated.discard(name)
        if isinstance(name, PodGroup):
            del self._groups_in[name.namespace][name]
        if name in touched.created:
            touched.created.discard(name)
        else:
            touched.gone.add(name)

    def _enter(self, name: PodGroup | PortName, members: Members, pod: PolicyPod) -> None:
        if isinstance(name, PodGroup):
            if name.contains(pod, self.namespaces.get(pod.namespace)):
                members.add((pod.ip(self.family),), pod.key)
            return
        for element in self._port_elements(name, pod):
            members.add(element, pod.key)

    def _port_elements(self, wanted: PortName, pod: PolicyPod) -> Iterable[Element]:
        for name, protocol, number in pod.ports:
            if name == wanted[0] and wanted[1] in (protocol, ""):
                yield pod.ip(self.family), protocol.lower(), str(number)

    def _sets_for(self, pod: PolicyPod) -> Iterable[PodGroup | PortName]:
        """The sets that can contain a Pod."""
        yield from self._groups_in.get(pod.namespace, ())
        yield from self._groups_in.get("", ())
        yield from (
            key for name, protocol, _ in pod.ports for key in ((name, protocol), (name, "")) if key in self.sets
        )

    def _leave_groups(self, before: Mapping[PodKey, PolicyPod | None], touched: Touched) -> None:
        for key, pod in before.items():
            for name in () if pod is None else self._sets_for(pod):
                members = self.sets[name]
                assert pod is not None
                elements = [(pod.ip(self.family),)] if isinstance(name, PodGroup) else self._port_elements(name, pod)
                for element in elements:
                    members.remove(element, key)
                touched.updated.add(name)

    def _enter_groups(self, pods: Mapping[PodKey, PolicyPod | None], touched: Touched) -> None:
        for pod in pods.values():
            for name in () if pod is None else self._sets_for(pod):
                assert pod is not None
                self._enter(name, self.sets[name], pod)
                touched.updated.add(name)

    def _replace_nodes(self, nodes: Mapping[str, PolicyNode | None], touched: Touched) -> None:
        before = {name: self.nodes.get(name) for name in nodes}
        for name, node in nodes.items():
            _put(self.nodes, name, node)
        changed = {name for name, node in nodes.items() if node != before[name]}
        groups = [group for group in self.sets if isinstance(group, NodeGroup)] if changed else []
        for group in groups:
            for name in changed:
                old = before[name]
                for element in () if old is None else _addresses(old, self.family):
                    self.sets[group].remove(element, ("", name))
            self._enter_nodes(group, (self.nodes[name] for name in changed if name in self.nodes))
            touched.updated.add(group)

    def _enter_nodes(self, group: NodeGroup, nodes: Iterable[PolicyNode]) -> None:
        for node in nodes:
            if group.nodes.matches(node.labels):
                for element in _addresses(node, self.family):
                    self.sets[group].add(element, ("", node.name))


def _addresses(node: PolicyNode, family: int) -> Iterable[Element]:
    return ((ip,) for ip in node.ips if (":" in ip) == (family == 6))


def _sets_of(policy: Policy | None) -> set[SetKey]:
    return set() if policy is None else {*policy.groups(), *policy.port_names()}


def _put(mapping: dict[_Key, _Value], key: _Key, value: _Value | None) -> None:
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
