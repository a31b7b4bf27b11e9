"""Which nodes a DaemonSet's Pods run on, and what their Pods carry for it.

Sources: kubernetes pkg/controller/daemon/daemon_controller.go (NodeShouldRunDaemonPod), util/daemonset_util.go.
"""

from __future__ import annotations

from typing import Any

from fakecluster.controllers.node_affinity import selects_node
from fakecluster.controllers.pods import pod_from_template
from fakecluster.controllers.revisions import HASH_LABEL
from fakecluster.controllers.taints import NOT_READY, UNREACHABLE, UNSCHEDULABLE, untolerated

Json = dict[str, Any]
GENERATION_LABEL = "pod-template-generation"
GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"
#: taints that every daemon Pod tolerates, with their effects
TOLERATED = (
    (NOT_READY, "NoExecute"),
    (UNREACHABLE, "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    (UNSCHEDULABLE, "NoSchedule"),
)


def tolerations(template: Json) -> list[Json]:
    """The template's tolerations and those that all daemons have, which replace the same ones in place."""
    own = list(template["spec"].get("tolerations") or ())
    taints = [*TOLERATED, *([(NETWORK_UNAVAILABLE, "NoSchedule")] if template["spec"].get("hostNetwork") else [])]
    for key, effect in taints:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        same = [index for index, one in enumerate(own) if _alike(one, toleration)]
        for index in same:
            own[index] = toleration
        if not same:
            own.append(toleration)
    return own


def _alike(one: Json, other: Json) -> bool:
    return all(one.get(key, "") == other.get(key, "") for key in ("key", "effect", "operator", "value"))


def runs_on(daemon_set: Json, node: Json) -> tuple[bool, bool]:
    """Whether a daemon Pod should be made on a node, and whether one that is there may stay."""
    template = daemon_set["spec"]["template"]
    name = template["spec"].get("nodeName")
    if (name and name != node["metadata"]["name"]) or not selects_node(template["spec"], node):
        return False, False
    taints, tolerated = (node.get("spec") or {}).get("taints") or [], tolerations(template)
    stays = untolerated(taints, tolerated, ("NoExecute",)) is None
    return stays and untolerated(taints, tolerated) is None, stays


def daemon_pod(daemon_set: Json, node_name: str, digest: str) -> Json:
    """The Pod for one node: bound to it by affinity, so that the scheduler still places it."""
    template = daemon_set["spec"]["template"]
    pod = pod_from_template(template, daemon_set, f"{daemon_set['metadata']['name']}-")
    labels = {HASH_LABEL: digest}
    if generation := (daemon_set["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION):
        labels[GENERATION_LABEL] = generation
    pod["metadata"]["labels"] = (pod["metadata"].get("labels") or {}) | labels
    pod["spec"] = {
        **pod["spec"],
        "affinity": _bound(pod["spec"].get("affinity") or {}, node_name),
        "tolerations": tolerations(template),
    }
    return pod


def _bound(affinity: Json, node_name: str) -> Json:
    field = {"key": "metadata.name", "operator": "In", "values": [node_name]}
    node_affinity = {**(affinity.get("nodeAffinity") or {})}
    node_affinity[REQUIRED] = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {**affinity, "nodeAffinity": node_affinity}


def node_of(pod: Json) -> str:
    """The node that a daemon Pod is on or is meant for."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    node_affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (node_affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In":
                return str(field["values"][0])
    return ""
