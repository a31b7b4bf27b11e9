"""What a Deployment reports: counts and conditions.

Sources: kubernetes pkg/controller/deployment/{sync,progress}.go.
"""

from __future__ import annotations

from typing import Any

from fakecluster.controllers.conditions import condition
from fakecluster.controllers.deployments.sizes import max_unavailable, reported, total, wanted
from fakecluster.controllers.timestamps import unix_seconds

Json = dict[str, Any]
PROGRESSING, AVAILABLE, REPLICA_FAILURE = "Progressing", "Available", "ReplicaFailure"
NEW_AVAILABLE, TIMED_OUT, PAUSED, RESUMED = (
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "DeploymentPaused",
    "DeploymentResumed",
)
#: the largest deadline: "never"
NO_DEADLINE = 2**31 - 1


def has_deadline(deployment: Json) -> bool:
    return bool(deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def said(kind: str, status: str, reason: str, message: str) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def with_condition(conditions: list[Json], new: Json, now: str) -> list[Json]:
    """Conditions with `new` at the end; unchanged when status and reason say the same already."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    if old and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return conditions
    since = old["lastTransitionTime"] if old and old["status"] == new["status"] else now
    return [*without(conditions, new["type"]), {**new, "lastUpdateTime": now, "lastTransitionTime": since}]


def without(conditions: list[Json], kind: str) -> list[Json]:
    return [one for one in conditions if one["type"] != kind]


def counted(deployment: Json, replica_sets: list[Json], new: Json | None, now: str) -> Json:
    """The status by the ReplicaSets' statuses, with the Available condition."""
    old = deployment.get("status") or {}
    available = reported(replica_sets, "availableReplicas")
    counts = {
        "replicas": reported(replica_sets, "replicas"),
        "updatedReplicas": reported([new], "replicas"),
        "readyReplicas": reported(replica_sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(replica_sets) - available),
    }
    status: Json = {"observedGeneration": deployment["metadata"]["generation"]}
    status |= {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = reported(replica_sets, "terminatingReplicas")
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    if available >= wanted(deployment) - max_unavailable(deployment):
        new_one = said(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        words = "Deployment does not have minimum availability."
        new_one = said(AVAILABLE, "False", "MinimumReplicasUnavailable", words)
    status["conditions"] = with_condition(list(old.get("conditions") or ()), new_one, now)
    return status


def is_complete(deployment: Json, status: Json) -> bool:
    """Whether all Pods are new and available."""
    counts = {status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return counts == {wanted(deployment)} and seen


def is_progressing(deployment: Json, status: Json) -> bool:
    """Whether something moved forward since the last report."""
    old = deployment.get("status") or {}

    def grew(name: str) -> bool:
        return bool(status.get(name, 0) > old.get(name, 0))

    def outdated(of: Json) -> int:
        return int(of.get("replicas", 0) - of.get("updatedReplicas", 0))

    return any(grew(name) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")) or outdated(
        status
    ) < outdated(old)


def deadline_left_s(deployment: Json, unix_s: int) -> float | None:
    """Seconds until the rollout counts as stuck (0 and less: it does), None when that cannot happen."""
    found = condition(deployment, PROGRESSING)
    if not has_deadline(deployment) or found is None or found["reason"] in (NEW_AVAILABLE, TIMED_OUT):
        return None
    return unix_seconds(found["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"]) - unix_s


def progressed(deployment: Json, status: Json, new: Json | None, clock_s: int, now: str) -> list[Json]:
    """The conditions of `status` with the rollout's progress."""
    conditions: list[Json] = status["conditions"]
    if not has_deadline(deployment):
        return without(conditions, PROGRESSING)
    current = condition(deployment, PROGRESSING)
    done = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if done and current is not None and current["reason"] == NEW_AVAILABLE:
        return conditions
    what = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        return with_condition(
            conditions, said(PROGRESSING, "True", NEW_AVAILABLE, f"{what} has successfully progressed."), now
        )
    if is_progressing(deployment, status):
        new_one = said(PROGRESSING, "True", "ReplicaSetUpdated", f"{what} is progressing.")
        since = current["lastTransitionTime"] if current and current["status"] == "True" else now
        stamped = {**new_one, "lastUpdateTime": now, "lastTransitionTime": since}
        return [*without(conditions, PROGRESSING), stamped]
    left_s = deadline_left_s(deployment, clock_s)
    if (current and current["reason"] == TIMED_OUT) or (left_s is not None and left_s <= 0):
        return with_condition(
            conditions, said(PROGRESSING, "False", TIMED_OUT, f"{what} has timed out progressing."), now
        )
    return conditions


def with_failures(conditions: list[Json], replica_sets: list[Json], new: Json | None, now: str) -> list[Json]:
    """Conditions with the ReplicaSets' failure to make Pods, the newest one's first; without one when there is none."""
    candidates = [new] if new and condition(new, REPLICA_FAILURE) else replica_sets
    for one in candidates:
        found = one and condition(one, REPLICA_FAILURE)
        if found:
            return with_condition(conditions, said(REPLICA_FAILURE, "True", found["reason"], found["message"]), now)
    return without(conditions, REPLICA_FAILURE)
