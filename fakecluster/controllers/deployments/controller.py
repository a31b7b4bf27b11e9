"""Which Deployments a change concerns, and what one pass over a Deployment does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers.deployments.revisions import new_and_old
from fakecluster.controllers.deployments.rollout import REPLICA_SETS, RESOURCE, Rollout
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, claimed, concerned, controller_of, key_of
from fakecluster.controllers.pods import FINAL_PHASES, is_going, phase

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The Deployments that a change concerns."""
    return NOTICES[event.resource](desk, event)


def _notice_deployment(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    yield key_of(event.object)


def _notice_replica_set(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    return concerned(desk.client, event, "Deployment", RESOURCE)


def _notice_pod(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """Only a Pod's end matters, and only to Recreate, which waits for it."""
    owner = controller_of(event.object)
    if owner is None or owner["kind"] != "ReplicaSet" or not (event.type == "DELETED" or _over(event.object)):
        return
    namespace = event.object["metadata"]["namespace"]
    replica_set = desk.get(REPLICA_SETS, (namespace, owner["name"]))
    above = replica_set and controller_of(replica_set)
    if above and above["kind"] == "Deployment":
        yield namespace, above["name"]


def _over(pod: Json) -> bool:
    return phase(pod) in FINAL_PHASES


NOTICES = {RESOURCE: _notice_deployment, REPLICA_SETS: _notice_replica_set, "pods": _notice_pod}


def sync(desk: Desk, key: Key) -> None:
    """One step of a Deployment towards its template and size."""
    deployment = desk.get(RESOURCE, key)
    if deployment is None:
        return
    selector = from_label_selector(deployment["spec"]["selector"])
    if selector.empty:
        desk.events.warning(
            deployment, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required."
        )
        return
    replica_sets = claimed(desk.client, REPLICA_SETS, deployment, selector, desk.owned[REPLICA_SETS])
    rollout = Rollout(desk, deployment, *new_and_old(deployment, replica_sets))
    if is_going(deployment):
        rollout.report_counts()
        return
    rollout.note_pause()
    rollout.sync_revision()
    if deployment["spec"].get("paused") or rollout.is_scaling():
        rollout.scale_all()
        if deployment["spec"].get("paused"):
            rollout.clean_up()
        rollout.report_counts()
    elif deployment["spec"]["strategy"]["type"] == "Recreate":
        rollout.recreate(_running(desk, rollout.old))
    else:
        rollout.roll()


def _running(desk: Desk, replica_sets: list[Json]) -> Iterable[Json]:
    """The Pods of ReplicaSets that have not ended."""
    uids = {one["metadata"]["uid"] for one in replica_sets}
    namespaces = {one["metadata"]["namespace"] for one in replica_sets}
    for pod in (pod for namespace in namespaces for pod in desk.client.list("pods", namespace)):
        owner = controller_of(pod)
        if owner and owner["uid"] in uids and not _over(pod):
            yield pod


DUTY = Duty(
    target="deployment-controller",
    agent="deployment-controller",
    resources=frozenset({RESOURCE, REPLICA_SETS, "pods"}),
    owns={REPLICA_SETS: "Deployment"},
    notice=notice,
    sync=sync,
)
