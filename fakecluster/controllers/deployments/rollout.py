"""One pass over one Deployment: find or make the new ReplicaSet, scale, report.

Sources: kubernetes pkg/controller/deployment/{sync,rolling,recreate}.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from fakecluster.api.client import ApiError
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import condition
from fakecluster.controllers.deployments import revisions, sizes, status
from fakecluster.controllers.deployments.sizes import active, by_age, reported, size, total, wanted
from fakecluster.controllers.loop import Desk
from fakecluster.controllers.ownership import key_of, reference_to
from fakecluster.controllers.template_hash import template_hash

Json = dict[str, Any]
RESOURCE, REPLICA_SETS = "deployments.apps", "replicasets.apps"


@attrs.define
class Rollout:
    """A Deployment and its ReplicaSets as this pass knows them; every write replaces its object here."""

    desk: Desk
    deployment: Json
    new: Json | None
    old: list[Json]

    @property
    def all(self) -> list[Json]:
        return [*self.old, *([self.new] if self.new else [])]

    # --- the new ReplicaSet

    def sync_revision(self) -> None:
        """Bring the annotations of the new ReplicaSet, and the Deployment's revision, up to date."""
        new = self.new
        if new is None:
            return
        number = max((revisions.revision(one) for one in self.old), default=0) + 1
        annotations = revisions.annotations_of_new(self.deployment, new, number)
        min_ready = self.deployment["spec"].get("minReadySeconds", 0)
        if annotations != new["metadata"].get("annotations") or min_ready != new["spec"].get("minReadySeconds", 0):
            changed = {**new, "metadata": {**new["metadata"], "annotations": annotations}}
            self.new = self.desk.client.update(
                REPLICA_SETS, {**changed, "spec": {**new["spec"], "minReadySeconds": min_ready}}
            )
            return
        found = None
        if status.has_deadline(self.deployment) and condition(self.deployment, status.PROGRESSING) is None:
            words = f'Found new replica set "{new["metadata"]["name"]}"'
            found = status.said(status.PROGRESSING, "True", "FoundNewReplicaSet", words)
        self._set_revision(annotations[revisions.REVISION], found)

    def create_new(self) -> None:
        """Make the ReplicaSet of the Deployment's template."""
        deployment, spec = self.deployment, self.deployment["spec"]
        namespace, name = key_of(deployment)
        collisions = (deployment.get("status") or {}).get("collisionCount")
        digest = template_hash(spec["template"], collisions)
        labelled = _labelled(spec["template"], digest)
        number = max((revisions.revision(one) for one in self.old), default=0) + 1
        made: Json = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-{digest}",
                "labels": labelled["metadata"]["labels"],
                "ownerReferences": [reference_to(deployment)],
            },
            "spec": {
                "replicas": sizes.new_size(deployment, self.old, 0),
                "selector": _narrowed(spec["selector"], digest),
                "template": labelled,
                **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {}),
            },
        }
        annotations = revisions.annotations_of_new(deployment, made, number)
        made["metadata"]["annotations"] = {**annotations, **revisions.size_annotations(deployment)}
        try:
            self.new = self.desk.client.create(REPLICA_SETS, made, namespace)
        except ApiFault:
            raise  # the queue tries again
        except ApiError as error:
            self._refused(made, error, collisions or 0)
            return
        if count := size(self.new):
            self._tell_scaled(self.new, 0, count)
        words = f'Created new replica set "{made["metadata"]["name"]}"'
        found = status.said(status.PROGRESSING, "True", "NewReplicaSetCreated", words)
        self._set_revision(str(number), found if status.has_deadline(deployment) else None)

    def _refused(self, made: Json, error: ApiError, collisions: int) -> None:
        if error.reason == "AlreadyExists":
            old = self.deployment.get("status") or {}
            self._write_status({**old, "collisionCount": collisions + 1})
            raise error
        if not _namespace_goes(error):
            words = f'Failed to create new replica set "{made["metadata"]["name"]}": {error.message}'
            self._set_condition(status.said(status.PROGRESSING, "False", "ReplicaSetCreateError", words))
            self.desk.events.warning(self.deployment, "ReplicaSetCreateError", words)
        raise error

    def _set_revision(self, number: str, found: Json | None) -> None:
        meta = self.deployment["metadata"]
        annotations = {**(meta.get("annotations") or {}), revisions.REVISION: number}
        if annotations != meta.get("annotations") or found is not None:
            self.deployment = {**self.deployment, "metadata": {**meta, "annotations": annotations}}
            old = self.deployment.get("status") or {}
            conditions = list(old.get("conditions") or ())
            if found is not None:
                conditions = status.with_condition(conditions, found, self.desk.now)
            self._write_status({**old, "conditions": conditions})

    def _set_condition(self, found: Json) -> None:
        old = self.deployment.get("status") or {}
        conditions = status.with_condition(list(old.get("conditions") or ()), found, self.desk.now)
        self._write_status({**old, "conditions": conditions})

    def _write_status(self, new: Json) -> None:
        if not new.get("conditions"):
            new = {key: value for key, value in new.items() if key != "conditions"}
        self.deployment = self.desk.client.update_status(RESOURCE, {**self.deployment, "status": new})

    # --- scaling

    def scale(self, replica_set: Json, count: int) -> bool:
        """Ask a ReplicaSet for `count` Pods; whether that was news."""
        before = size(replica_set)
        if before == count:
            return False
        self._resize(replica_set, count)
        self._tell_scaled(replica_set, before, count)
        return True

    def _resize(self, replica_set: Json, count: int) -> None:
        meta = replica_set["metadata"]
        annotations = {**(meta.get("annotations") or {}), **revisions.size_annotations(self.deployment)}
        if size(replica_set) == count and annotations == meta.get("annotations"):
            return
        changed = {**replica_set, "metadata": {**meta, "annotations": annotations}}
        self._replace(
            self.desk.client.update(REPLICA_SETS, {**changed, "spec": {**replica_set["spec"], "replicas": count}})
        )

    def _replace(self, replica_set: Json) -> None:
        uid = replica_set["metadata"]["uid"]
        if self.new is not None and self.new["metadata"]["uid"] == uid:
            self.new = replica_set
        self.old = [replica_set if one["metadata"]["uid"] == uid else one for one in self.old]

    def _tell_scaled(self, replica_set: Json, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        name = replica_set["metadata"]["name"]
        words = f"Scaled {way} replica set {name} from {before} to {after}"
        self.desk.events.normal(self.deployment, "ScalingReplicaSet", words)

    def is_scaling(self) -> bool:
        """Whether the Deployment was scaled since its ReplicaSets were last sized."""
        found = (sizes.annotated(one, sizes.DESIRED) for one in active(self.all))
        return any(desired is not None and desired != wanted(self.deployment) for desired in found)

    def scale_all(self) -> None:
        """Follow a change of `spec.replicas`, in the middle of a rollout in proportion."""
        only = self._active_or_latest()
        if only is not None:
            self.scale(only, wanted(self.deployment))
        elif sizes.is_saturated(self.deployment, self.new):
            for one in active(self.old):
                self.scale(one, 0)
        elif sizes.is_rolling(self.deployment):
            running = active(self.all)
            for name, count in sizes.proportional(self.deployment, running).items():
                one = next(one for one in running if one["metadata"]["name"] == name)
                if not self.scale(one, count):
                    self._resize(one, count)

    def _active_or_latest(self) -> Json | None:
        running = active(self.all)
        if len(running) == 1:
            return running[0]
        if running:
            return None
        return self.new or (by_age(self.old)[-1] if self.old else None)

    # --- strategies

    def roll(self) -> None:
        """RollingUpdate: new Pods as surge allows, old ones away as availability allows."""
        if self.new is None:
            self.create_new()
        if self._grow_new() or self._shrink_old():
            self.report()
            return
        self.clean_up()
        self.report()

    def _grow_new(self) -> bool:
        if self.new is None:
            return False
        current, goal = size(self.new), wanted(self.deployment)
        return self.scale(self.new, goal if current > goal else sizes.new_size(self.deployment, self.all, current))

    def _shrink_old(self) -> bool:
        if not total(self.old) or self.new is None:
            return False
        least = wanted(self.deployment) - sizes.max_unavailable(self.deployment)
        missing = size(self.new) - reported([self.new], "availableReplicas")
        room = total(self.all) - least - missing
        outdated = any(reported([one], "availableReplicas") > size(one) for one in active(self.old))
        if room <= 0 or outdated:  # a ReplicaSet that was just scaled down has not counted anew: wait for that
            return False
        gone = self._shrink_unhealthy(room)
        return self._shrink_available(least) or gone

    def _shrink_unhealthy(self, room: int) -> bool:
        """Old Pods that are not available go first: they cost nothing."""
        left = room
        for one in by_age(active(self.old)):
            count = min(left, size(one) - reported([one], "availableReplicas"))
            if count > 0:
                self.scale(one, size(one) - count)
                left -= count
        return left < room

    def _shrink_available(self, least: int) -> bool:
        left = spare = reported(self.all, "availableReplicas") - least
        for one in by_age(active(self.old)):
            count = min(left, size(one))
            if count > 0:
                self.scale(one, size(one) - count)
                left -= count
        return spare > 0 and left < spare

    def recreate(self, running_old: Iterable[Json]) -> None:
        """Recreate: all old Pods away first, then the new ones."""
        if active(self.old):
            for one in active(self.old):
                self.scale(one, 0)
        elif not any(running_old):
            if self.new is None:
                self.create_new()
            if self.new is not None:
                self.scale(self.new, wanted(self.deployment))
            self.clean_up()
        self.report()

    def clean_up(self) -> None:
        """Delete the oldest empty ReplicaSets beyond `revisionHistoryLimit`, once the rollout is complete."""
        spec = self.deployment["spec"]
        complete = status.is_complete(self.deployment, self.deployment.get("status") or {})
        if "revisionHistoryLimit" not in spec or not (complete or spec.get("paused")):
            return
        empty = [one for one in self.old if not size(one) and not reported([one], "replicas") and _settled(one)]
        for one in sorted(empty, key=revisions.revision)[: max(0, len(empty) - spec["revisionHistoryLimit"])]:
            namespace, name = key_of(one)
            self.desk.client.delete(REPLICA_SETS, name, namespace, propagation="Background")

    # --- reports

    def report(self) -> None:
        """Write counts, availability and progress."""
        now = self.desk.now
        found = status.counted(self.deployment, self.all, self.new, now)
        found["conditions"] = status.progressed(self.deployment, found, self.new, self.desk.clock.unix_s, now)
        found["conditions"] = status.with_failures(found["conditions"], self.all, self.new, now)
        if found != self.deployment.get("status"):
            self._write_status(found)
        left_s = status.deadline_left_s(self.deployment, self.desk.clock.unix_s)
        if left_s is not None and left_s > 0 and not status.is_complete(self.deployment, found):
            self.desk.later(key_of(self.deployment), left_s)

    def report_counts(self) -> None:
        """Write counts and availability only: while paused, scaling or going."""
        found = status.counted(self.deployment, self.all, self.new, self.desk.now)
        if found != self.deployment.get("status"):
            self._write_status(found)

    def note_pause(self) -> None:
        """Let the Progressing condition tell that the Deployment was paused or resumed."""
        found = condition(self.deployment, status.PROGRESSING)
        reason = found["reason"] if found else ""
        if not status.has_deadline(self.deployment) or reason == status.TIMED_OUT:
            return
        paused = bool(self.deployment["spec"].get("paused"))
        if paused and reason != status.PAUSED:
            self._set_condition(status.said(status.PROGRESSING, "Unknown", status.PAUSED, "Deployment is paused"))
        elif not paused and reason == status.PAUSED:
            self._set_condition(status.said(status.PROGRESSING, "Unknown", status.RESUMED, "Deployment is resumed"))


def _labelled(template: Json, digest: str) -> Json:
    meta = template.get("metadata") or {}
    return {**template, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), revisions.HASH: digest}}}


def _narrowed(selector: Json, digest: str) -> Json:
    return {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), revisions.HASH: digest}}


def _settled(replica_set: Json) -> bool:
    meta = replica_set["metadata"]
    seen = (replica_set.get("status") or {}).get("observedGeneration", 0)
    return meta["generation"] <= seen and "deletionTimestamp" not in meta


def _namespace_goes(error: ApiError) -> bool:
    causes = (error.status.get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
