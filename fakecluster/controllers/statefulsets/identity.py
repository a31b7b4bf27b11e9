"""What makes a Pod of a StatefulSet the one it is: ordinal, names, labels, volumes.

Source: kubernetes pkg/controller/statefulset/stateful_set_utils.go.
"""

from __future__ import annotations

import re
from typing import Any

from fakecluster.controllers.ownership import controller_of
from fakecluster.controllers.pods import pod_from_template
from fakecluster.controllers.revisions import HASH_LABEL, template_of

Json = dict[str, Any]
NAME_LABEL, INDEX_LABEL = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")


def ordinal(stateful_set: Json, pod: Json) -> int | None:
    """The Pod's number in the set, or None for a name that is none of the set's."""
    match = _NAME.fullmatch(pod["metadata"]["name"])
    return int(match[2]) if match and match[1] == stateful_set["metadata"]["name"] else None


def first_ordinal(stateful_set: Json) -> int:
    return int((stateful_set["spec"].get("ordinals") or {}).get("start", 0))


def revision_of(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH_LABEL, ""))


def claim_name(template: Json, pod_name: str) -> str:
    return f"{template['metadata']['name']}-{pod_name}"


def new_pod(stateful_set: Json, revision: Json, number: int) -> Json:
    """The Pod with ordinal `number` as a revision of the set wants it."""
    set_name = stateful_set["metadata"]["name"]
    name = f"{set_name}-{number}"
    pod = pod_from_template(template_of(revision), stateful_set, f"{set_name}-")
    labels = {NAME_LABEL: name, INDEX_LABEL: str(number), HASH_LABEL: revision["metadata"]["name"]}
    pod["metadata"] |= {"name": name, "labels": (pod["metadata"].get("labels") or {}) | labels}
    spec = pod["spec"] = {**pod["spec"], "hostname": name}
    if service := stateful_set["spec"].get("serviceName"):
        spec["subdomain"] = service
    templates = stateful_set["spec"].get("volumeClaimTemplates") or []
    if templates:
        own = {
            one["metadata"]["name"]: {
                "name": one["metadata"]["name"],
                "persistentVolumeClaim": {"claimName": claim_name(one, name)},
            }
            for one in templates
        }
        spec["volumes"] = [*own.values(), *(v for v in spec.get("volumes") or () if v["name"] not in own)]
    return pod


def new_claims(stateful_set: Json, pod_name: str) -> list[Json]:
    """The volume claims of one Pod."""
    labels = stateful_set["spec"]["selector"].get("matchLabels") or {}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                **{key: one["metadata"][key] for key in ("annotations",) if one["metadata"].get(key)},
                "name": claim_name(one, pod_name),
                "labels": (one["metadata"].get("labels") or {}) | labels,
            },
            "spec": one["spec"],
        }
        for one in stateful_set["spec"].get("volumeClaimTemplates") or ()
    ]


def is_member(stateful_set: Json, pod: Json) -> bool:
    owner = controller_of(pod)
    return owner is None or owner["uid"] == stateful_set["metadata"]["uid"]
