"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had, numbered.

Source: kubernetes pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

import json
from typing import Any

from fakecluster.api.client import ApiError
from fakecluster.controllers.loop import Desk
from fakecluster.controllers.ownership import key_of, reference_to

Json = dict[str, Any]
RESOURCE = "controllerrevisions.apps"
HASH_LABEL = "controller-revision-hash"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def safe_hash(value: Json, collisions: int | None = None) -> str:
    """A name for a JSON value: FNV-1a (the real one hashes Go's printing of it), in letters that spell no words."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":")) + ("" if collisions is None else str(collisions))
    found = 0x811C9DC5
    for byte in text.encode():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(found))


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


def current(desk: Desk, owner: Json, known: list[Json], labels: Json) -> Json:
    """The revision of the owner's template: the one that there is, made the newest, or a new one."""
    data = template_data(owner)
    number = max((int(one["revision"]) for one in known), default=0)
    for one in known:
        if one["data"] == data:
            if int(one["revision"]) == number:
                return one
            return desk.client.update(RESOURCE, {**one, "revision": number + 1})
    return _made(desk, owner, data, number + 1, labels)


def _made(desk: Desk, owner: Json, data: Json, number: int, labels: Json) -> Json:
    namespace, name = key_of(owner)
    digest = safe_hash(data, (owner.get("status") or {}).get("collisionCount"))
    revision: Json = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name}-{digest}",
            "labels": labels | {HASH_LABEL: digest},
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
