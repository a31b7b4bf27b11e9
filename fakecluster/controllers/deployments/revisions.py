"""Which ReplicaSet is the template's, what its name and annotations are.

Sources: kubernetes pkg/controller/deployment/util/deployment_util.go, pkg/controller/controller_utils.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fakecluster.controllers.deployments.sizes import DESIRED, MAX, by_age, max_surge, wanted

Json = dict[str, Any]
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
#: annotations of a Deployment that its ReplicaSets do not get
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
        "deprecated.deployment.rollback.to",
    }
)


def without_hash(template: Json) -> Json:
    """A template as its Deployment has it."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**{k: v for k, v in meta.items() if v is not None}, "labels": labels}}


def new_and_old(deployment: Json, replica_sets: Iterable[Json]) -> tuple[Json | None, list[Json]]:
    """The oldest ReplicaSet with the Deployment's template, and all others."""
    template = without_hash(deployment["spec"]["template"])
    ordered = by_age(replica_sets)
    new = next((one for one in ordered if without_hash(one["spec"]["template"]) == template), None)
    return new, [one for one in ordered if one is not new]


def revision(obj: Json) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, "0"))


def annotations_of_new(deployment: Json, replica_set: Json, number: int) -> Json:
    """The annotations that the Deployment's ReplicaSet of revision `number` must have."""
    own = (deployment["metadata"].get("annotations") or {}).items()
    found = dict(replica_set["metadata"].get("annotations") or {})
    found |= {key: value for key, value in own if key not in NOT_COPIED}
    before = found.get(REVISION)
    if int(before or 0) < number:
        found[REVISION] = str(number)
        if before:
            history = found.get(HISTORY)
            found[HISTORY] = f"{history},{before}" if history else before
    return found


def size_annotations(deployment: Json) -> dict[str, str]:
    replicas = wanted(deployment)
    return {DESIRED: str(replicas), MAX: str(replicas + max_surge(deployment))}
