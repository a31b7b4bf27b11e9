"""How many Pods where: surge and unavailability, and what a rollout or a scaling may do next.

Pure arithmetic over a Deployment and its ReplicaSets. Source: kubernetes pkg/controller/deployment/util.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"


def wanted(deployment: Json) -> int:
    return int(deployment["spec"].get("replicas", 1))


def size(replica_set: Json) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def total(replica_sets: Iterable[Json]) -> int:
    """The Pods that the ReplicaSets are asked for."""
    return sum(size(one) for one in replica_sets)


def reported(replica_sets: Iterable[Json | None], field: str) -> int:
    """The sum of one count over the ReplicaSets' statuses."""
    return sum((one.get("status") or {}).get(field, 0) for one in replica_sets if one is not None)


def active(replica_sets: Iterable[Json]) -> list[Json]:
    """The ReplicaSets that are asked for Pods."""
    return [one for one in replica_sets if size(one) > 0]


def is_rolling(deployment: Json) -> bool:
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def _scaled(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.rstrip("%"))
    return -(-percent * of // 100) if up else percent * of // 100


def fenceposts(deployment: Json) -> tuple[int, int]:
    """(max surge, max unavailable) in Pods; both zero would stop everything, so one may then be unavailable."""
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    replicas = wanted(deployment)
    surge = _scaled(rolling.get("maxSurge", 0), replicas, up=True)
    unavailable = _scaled(rolling.get("maxUnavailable", 0), replicas, up=False)
    return surge, unavailable if surge or unavailable else 1


def max_surge(deployment: Json) -> int:
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Json) -> int:
    if not is_rolling(deployment) or not wanted(deployment):
        return 0
    return min(fenceposts(deployment)[1], wanted(deployment))


def new_size(deployment: Json, replica_sets: Iterable[Json], current: int) -> int:
    """The size that the new ReplicaSet may have now, when it has `current`."""
    if not is_rolling(deployment):
        return wanted(deployment)
    room = wanted(deployment) + max_surge(deployment) - total(replica_sets)
    return current if room <= 0 else current + min(room, wanted(deployment) - current)


def annotated(replica_set: Json, name: str) -> int | None:
    value = (replica_set["metadata"].get("annotations") or {}).get(name)
    return None if value is None else int(value)


def is_saturated(deployment: Json, new: Json | None) -> bool:
    """Whether the new ReplicaSet alone gives all that is wanted."""
    if new is None:
        return False
    replicas = wanted(deployment)
    return annotated(new, DESIRED) == replicas == size(new) == reported([new], "availableReplicas")


def proportional(deployment: Json, replica_sets: list[Json]) -> dict[str, int]:
    """Sizes by name when a Deployment is scaled in the middle of a rollout: each keeps its share."""
    found = {one["metadata"]["name"]: size(one) for one in replica_sets}
    allowed = wanted(deployment) + max_surge(deployment) if wanted(deployment) else 0
    to_add = allowed - total(replica_sets)
    if not to_add or not replica_sets:
        return found
    ordered = _by_size(replica_sets, newer_first=to_add > 0)
    added = 0
    for one in ordered:
        share = _share(deployment, one, to_add, added)
        found[one["metadata"]["name"]] += share
        added += share
    biggest = ordered[0]["metadata"]["name"]
    found[biggest] = max(0, found[biggest] + to_add - added)
    return found


def _by_size(replica_sets: list[Json], *, newer_first: bool) -> list[Json]:
    by_age = sorted(replica_sets, key=_age, reverse=newer_first)
    return sorted(by_age, key=size, reverse=True)


def _age(replica_set: Json) -> tuple[str, str]:
    return replica_set["metadata"]["creationTimestamp"], replica_set["metadata"]["name"]


def by_age(replica_sets: Iterable[Json]) -> list[Json]:
    """Oldest first."""
    return sorted(replica_sets, key=_age)


def _share(deployment: Json, replica_set: Json, to_add: int, added: int) -> int:
    if not size(replica_set) or to_add == added:
        return 0
    fraction = _fraction(deployment, replica_set)
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)


def _fraction(deployment: Json, replica_set: Json) -> int:
    if not wanted(deployment):
        return -size(replica_set)
    before = annotated(replica_set, MAX) or (deployment.get("status") or {}).get("replicas", 0) or 1
    grown = size(replica_set) * (wanted(deployment) + max_surge(deployment)) / before
    return int(grown + 0.5) - size(replica_set)
