"""One change of a cluster: an edit of its objects, or one unit of its progress.

An edit settles nothing, so that changes drawn one after the other give the races of a real cluster; `cluster.settle()`
brings it to rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.handles.history import called, named
from fakecluster.handles.pod import can_flip
from fakecluster.strategies import arguments
from fakecluster.strategies.policies import network_policies

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

JsonObject = dict[str, Any]
MAX_REPLICAS = 4
SECONDS = (1.0, 10.0, 60.0)
POLICIES = "networkpolicies.networking.k8s.io"
DEPLOYMENTS = "deployments.apps"


@attrs.frozen
class Change:
    """One call on a cluster; `on` says how it is reached (`()` the cluster, `("pod", "web-1")`, `("api",)`).

    Call it with the cluster, or with a fork of it. Its repr is the line of a script.
    """

    kind: str
    verb: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    on: tuple[str, ...] = ()

    def __call__(self, cluster: Cluster) -> None:
        target: Any = cluster
        if self.on:
            target = getattr(cluster, self.on[0])
            target = target(*self.on[1:]) if self.on[1:] else target
        getattr(target, self.verb)(*self.arguments, **dict(self.options))

    def __repr__(self) -> str:
        place = "cluster"
        if self.on:
            place += f".{self.on[0]}" + (f"({', '.join(map(repr, self.on[1:]))})" if self.on[1:] else "")
        return called(place, self.verb, *self.arguments, **dict(self.options))


_LATER = (("settle", False),)


def _steps(cluster: Cluster) -> Iterator[Change]:
    yield Change("step", "step")


def _times(cluster: Cluster) -> Iterator[Change]:
    yield from (Change("time", "advance", (seconds,)) for seconds in SECONDS)


def _holds(cluster: Cluster) -> Iterator[Change]:
    held = set(cluster.clock.held)
    for target in sorted(cluster.clock.targets):
        if target not in held and target.startswith(HELD):
            yield Change("hold", "hold", (target,))
    yield from (Change("hold", "release", (target,)) for target in sorted(held))


#: Components that are worth holding back.
HELD = ("kube-proxy@", "endpointslice-controller", "coredns", "kubelet@", "network-policy@")


def _readiness(cluster: Cluster) -> Iterator[Change]:
    for pod in filter(lambda one: can_flip(one.object), cluster.pods):
        on = ("pod", *named(pod.name, pod.kubernetes_namespace))
        yield Change("readiness", "set_ready", (not pod.ready,), on=on)


def _deletions(cluster: Cluster) -> Iterator[Change]:
    for resource, handles in (("pods", cluster.pods), ("services", cluster.services)):
        for one in handles:
            yield Change("delete", "delete", (resource, *named(one.name, one.kubernetes_namespace)), _LATER)


def _scalings(cluster: Cluster) -> Iterator[Change]:
    for deployment in cluster.seen.list(DEPLOYMENTS):
        for replicas in range(MAX_REPLICAS + 1):
            if replicas != deployment["spec"]["replicas"]:
                yield _patch("scale", DEPLOYMENTS, deployment, {"spec": {"replicas": replicas}})


def _rollouts(cluster: Cluster) -> Iterator[Change]:
    for deployment in cluster.seen.list(DEPLOYMENTS):
        meta = deployment["spec"]["template"]["metadata"]
        number = int((meta.get("annotations") or {}).get("rollout", "0")) + 1
        template = {"metadata": {"annotations": {"rollout": str(number)}}}
        yield _patch("rollout", DEPLOYMENTS, deployment, {"spec": {"template": template}})


def _relabelling(cluster: Cluster) -> Iterator[Change]:
    """Pods that leave their Services, and come back."""
    for pod in cluster.pods:
        labels = pod.object["metadata"].get("labels") or {}
        for key, value in labels.items():
            other = value.removesuffix("-off") if value.endswith("-off") else f"{value}-off"
            yield _patch("label", "pods", pod.object, {"metadata": {"labels": {key: other}}})


def _service_edits(cluster: Cluster) -> Iterator[Change]:
    for service in cluster.services:
        spec = service.object["spec"]
        if spec.get("clusterIP") in (None, "", "None"):
            continue
        affinity = "None" if spec["sessionAffinity"] == "ClientIP" else "ClientIP"
        yield _patch("service", "services", service.object, {"spec": {"sessionAffinity": affinity}})
        policy = "Cluster" if spec.get("internalTrafficPolicy") == "Local" else "Local"
        yield _patch("service", "services", service.object, {"spec": {"internalTrafficPolicy": policy}})


def _patch(kind: str, resource: str, obj: JsonObject, patch: JsonObject) -> Change:
    meta = obj["metadata"]
    return Change(kind, "patch", (resource, meta["name"], patch, meta["namespace"]), on=("api",))


#: kind -> the changes of this kind that a cluster offers now, the plainest first
KINDS: dict[str, Callable[[Cluster], Iterator[Change]]] = {
    "step": _steps,
    "time": _times,
    "readiness": _readiness,
    "delete": _deletions,
    "scale": _scalings,
    "rollout": _rollouts,
    "label": _relabelling,
    "service": _service_edits,
    "hold": _holds,
}
PROGRESS = ("step", "time")


@st.composite
def changes(draw: st.DrawFn, cluster: Cluster, *, kinds: Sequence[str] = (*KINDS, "policy")) -> Change:
    """Something that can happen to `cluster` now: one edit (Pods, Services, Deployments, policies, what is held back),
    or one unit of progress (`kinds=PROGRESS`): an event, some seconds.

    Nothing is done before the change is called: `change(cluster)`.
    """
    arguments.cluster("cluster", cluster)
    arguments.some_of("kinds", kinds, (*KINDS, "policy"))
    offered = {kind: list(KINDS[kind](cluster)) for kind in kinds if kind != "policy"}
    possible = [kind for kind in kinds if kind == "policy" or offered[kind]]
    if not possible:
        raise InvalidArgument(f"the cluster has nothing that kinds={kinds!r} could change")
    kind = draw(st.sampled_from(possible))
    if kind == "policy":
        return draw(_policy_changes(cluster))
    return draw(st.sampled_from(offered[kind]))


@st.composite
def _policy_changes(draw: st.DrawFn, cluster: Cluster) -> Change:
    present = [obj["metadata"] for obj in cluster.seen.list(POLICIES)]
    if len(present) > 0 and draw(st.booleans()):
        meta = draw(st.sampled_from(present))
        return Change("policy", "delete", (POLICIES, *named(meta["name"], meta["namespace"])), _LATER)
    return Change("policy", "apply", (draw(network_policies()),), _LATER)
