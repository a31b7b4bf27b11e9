"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had, numbered.

Source: kubernetes pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fakecluster.api.client import ApiError
from fakecluster.controllers.loop import Desk
from fakecluster.controllers.ownership import key_of, reference_to
from fakecluster.controllers.template_hash import fnv1, safe_text, template_hash

Json = dict[str, Any]
RESOURCE = "controllerrevisions.apps"
HASH_LABEL = "controller-revision-hash"
#: labels of a revision that say its hash, by the kind of its owner
HASH_LABELS = {
    "StatefulSet": ("controller.kubernetes.io/hash",),
    "DaemonSet": ("controller.kubernetes.io/hash", HASH_LABEL),
}


def template_data(owner: Json) -> Json:
    """What a revision keeps: the template, as a patch that puts it back."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def template_of(revision: Json) -> Json:
    """The template that a revision keeps."""
    kept = revision["data"]["spec"]["template"]
    return {key: value for key, value in kept.items() if key != "$patch"}


def of(desk: Desk, owner: Json) -> list[Json]:
    """The revisions of an owner, oldest first."""
    return sorted(desk.owned[RESOURCE].of(owner["metadata"]["uid"]), key=lambda one: int(one["revision"]))


def data_hash(owner: Json) -> str:
    """How StatefulSets name a revision: FNV-1 over its data as Go writes JSON (HashControllerRevision)."""
    text = json.dumps(template_data(owner), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    collisions = (owner.get("status") or {}).get("collisionCount", 0)
    return safe_text(fnv1(f"{text}{collisions}".encode()))


def daemon_hash(owner: Json) -> str:
    """How DaemonSets name a revision: as a Deployment names a ReplicaSet."""
    return template_hash(owner["spec"]["template"], (owner.get("status") or {}).get("collisionCount"))


def current(desk: Desk, owner: Json, known: list[Json], digest: Callable[[Json], str]) -> Json:
    """The revision of the owner's template: the one that there is, made the newest, or a new one named by `digest`."""
    data = template_data(owner)
    number = max((int(one["revision"]) for one in known), default=0)
    for one in known:
        if one["data"] == data:
            if int(one["revision"]) == number:
                return one
            return desk.client.update(RESOURCE, {**one, "revision": number + 1})
    return _made(desk, owner, data, number + 1, digest(owner))


def _made(desk: Desk, owner: Json, data: Json, number: int, digest: str) -> Json:
    namespace, name = key_of(owner)
    labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    revision: Json = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name}-{digest}",
            "labels": labels | dict.fromkeys(HASH_LABELS[owner["kind"]], digest),
            "ownerReferences": [reference_to(owner)],
        },
        "data": data,
        "revision": number,
    }
    try:
        return desk.client.create(RESOURCE, revision, namespace)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return desk.client.get(RESOURCE, revision["metadata"]["name"], namespace)


def prune(desk: Desk, known: list[Json], live: set[str], limit: int) -> None:
    """Delete the oldest revisions that no Pod lives by, but `limit` of them."""
    spare = [one for one in known if one["metadata"]["name"] not in live]
    for one in spare[: max(0, len(spare) - limit)]:
        namespace, name = key_of(one)
        desk.client.delete(RESOURCE, name, namespace)
