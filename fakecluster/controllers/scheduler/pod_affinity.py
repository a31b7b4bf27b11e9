"""Placing Pods relative to other Pods: affinity, anti-affinity and topology spread.

Sources: kubernetes pkg/scheduler/framework/plugins/interpodaffinity and podtopologyspread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fakecluster.api.selectors import Requirement, Selector, from_label_selector
from fakecluster.controllers.node_affinity import selects_node
from fakecluster.controllers.scheduler.filters import Refusal
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from fakecluster.controllers.taints import untolerated

Json = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NamespaceLabels = Callable[[str], dict[str, str]]


def _terms(pod: PodInfo, kind: str, how: str) -> list[Json]:
    affinity = pod.spec.get("affinity") or {}
    return (affinity.get(kind) or {}).get(how) or []


def has_terms(pod: Json) -> bool:
    """Whether a Pod's place depends on other Pods."""
    affinity = pod["spec"].get("affinity") or {}
    return bool(affinity.get("podAffinity") or affinity.get("podAntiAffinity") or pod["spec"].get(SPREAD))


def _selector(term: Json, owner: PodInfo) -> Selector:
    selector = from_label_selector(term.get("labelSelector"))
    if selector.nothing:
        return selector
    extra = [Requirement(k, "in", (owner.labels[k],)) for k in term.get("matchLabelKeys") or () if k in owner.labels]
    extra += [
        Requirement(k, "notin", (owner.labels[k],)) for k in term.get("mismatchLabelKeys") or () if k in owner.labels
    ]
    return Selector((*selector.requirements, *extra))


def _selected(term: Json, owner: PodInfo, other: PodInfo, namespaces: NamespaceLabels) -> bool:
    """Whether `other` is one of the Pods that a term of `owner` speaks of."""
    names = term.get("namespaces") or []
    by_label = term.get("namespaceSelector")
    if not names and by_label is None:
        names = [owner.namespace]
    if other.namespace not in names and (
        by_label is None or not from_label_selector(by_label).matches(namespaces(other.namespace))
    ):
        return False
    return _selector(term, owner).matches(other.labels)


def _near(snapshot: Snapshot, info: NodeInfo, key: str) -> Iterator[PodInfo]:
    """The Pods in the same domain as a node: nodes that carry the same value of label `key`."""
    value = info.labels.get(key)
    if value is None:
        return
    for other in snapshot.nodes:
        if other.labels.get(key) == value:
            yield from other.pods.values()


def _everywhere(snapshot: Snapshot) -> Iterator[PodInfo]:
    for info in snapshot.nodes:
        yield from info.pods.values()


def apart_from_existing(pod: PodInfo, info: NodeInfo, snapshot: Snapshot, ns: NamespaceLabels) -> list[Refusal]:
    for other in snapshot.repelling.values():
        labels = snapshot.infos[other.spec["nodeName"]].labels
        for term in _terms(other, "podAntiAffinity", REQUIRED):
            key = term["topologyKey"]
            same = key in info.labels and info.labels[key] == labels.get(key)
            if same and _selected(term, other, pod, ns):
                return [Refusal("node(s) didn't satisfy existing pods anti-affinity rules", final=False)]
    return []


def apart(pod: PodInfo, info: NodeInfo, snapshot: Snapshot, ns: NamespaceLabels) -> list[Refusal]:
    for term in _terms(pod, "podAntiAffinity", REQUIRED):
        if any(_selected(term, pod, other, ns) for other in _near(snapshot, info, term["topologyKey"])):
            return [Refusal("node(s) didn't match pod anti-affinity rules", final=False)]
    return []


def together(pod: PodInfo, info: NodeInfo, snapshot: Snapshot, ns: NamespaceLabels) -> list[Refusal]:
    """All required terms must be met here; the first Pod of a group that asks for its own kind may start it."""
    terms = _terms(pod, "podAffinity", REQUIRED)
    if all(any(_selected(t, pod, o, ns) for o in _near(snapshot, info, t["topologyKey"])) for t in terms):
        return []
    keys_present = all(term["topologyKey"] in info.labels for term in terms)
    own_kind = all(_selected(term, pod, pod, ns) for term in terms)
    none_yet = not any(_selected(term, pod, other, ns) for other in _everywhere(snapshot) for term in terms)
    if keys_present and own_kind and none_yet:
        return []
    return [Refusal("node(s) didn't match pod affinity rules")]


SPREAD = "topologySpreadConstraints"


def spread(pod: PodInfo, info: NodeInfo, snapshot: Snapshot, ns: NamespaceLabels) -> list[Refusal]:
    for constraint in pod.spec.get(SPREAD) or ():
        if constraint["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key = constraint["topologyKey"]
        if key not in info.labels:
            return [Refusal("node(s) didn't match pod topology spread constraints (missing required label)")]
        counts = _domains(pod, constraint, snapshot)
        few = min(counts.values(), default=0)
        if len(counts) < constraint.get("minDomains", 1):
            few = 0
        own = _selector(constraint, pod).matches(pod.labels)
        if counts.get(info.labels[key], 0) + own - few > constraint["maxSkew"]:
            return [Refusal("node(s) didn't match pod topology spread constraints", final=False)]
    return []


def _domains(pod: PodInfo, constraint: Json, snapshot: Snapshot) -> dict[str, int]:
    """How many matching Pods each domain holds, over the nodes that count for the Pod."""
    selector, key = _selector(constraint, pod), constraint["topologyKey"]
    counts: dict[str, int] = {}
    for info in snapshot.nodes:
        if key in info.labels and _counts(pod, constraint, info):
            matching = sum(
                other.namespace == pod.namespace
                and "deletionTimestamp" not in other.pod["metadata"]
                and selector.matches(other.labels)
                for other in info.pods.values()
            )
            counts[info.labels[key]] = counts.get(info.labels[key], 0) + matching
    return counts


def _counts(pod: PodInfo, constraint: Json, info: NodeInfo) -> bool:
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not selects_node(pod.spec, info.node or {}):
        return False
    honors_taints = constraint.get("nodeTaintsPolicy", "Ignore") == "Honor"
    return not (honors_taints and untolerated(info.taints, pod.spec.get("tolerations") or []))


#: in the real scheduler's order
RELATIVE_FILTERS = (spread, together, apart, apart_from_existing)


def attraction(pod: PodInfo, info: NodeInfo, snapshot: Snapshot, ns: NamespaceLabels) -> int:
    """The weights of the preferred terms that a node meets, repulsion counted negative."""

    def weigh(kind: str) -> Iterable[int]:
        for preferred in _terms(pod, kind, PREFERRED):
            term = preferred["podAffinityTerm"]
            near = _near(snapshot, info, term["topologyKey"])
            yield preferred["weight"] * sum(_selected(term, pod, other, ns) for other in near)

    return sum(weigh("podAffinity")) - sum(weigh("podAntiAffinity"))
