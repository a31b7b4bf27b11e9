"""How the server prepares Pods: status, generation, grace period (pkg/registry/core/pod/strategy.go)."""

from __future__ import annotations

from typing import Any

from fakecluster.api.kinds_workload.match_label_keys import merge_label_keys
from fakecluster.api.kinds_workload.pod_annotations import apparmor_fields
from fakecluster.api.kinds_workload.pod_defaults import containers, mirror_status_addresses
from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.api.object_meta import timestamp
from fakecluster.api.strategy import Request

Json = dict[str, Any]

_QOS_RESOURCES = ("cpu", "memory")
_GATED = "Scheduling is blocked due to non-empty scheduling gates"


def prepare_create(pod: Json, request: Request) -> None:
    spec = pod["spec"]
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    merge_label_keys(pod)
    apparmor_fields(pod, request)
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [_condition(request, "PodScheduled", "False", "SchedulingGated", _GATED)]


def prepare_update(new: Json, old: Json, request: Request) -> None:
    """Ephemeral containers and scheduling are not changed through the Pod itself."""
    if not new["spec"].get("schedulingGates") and old["spec"].get("schedulingGates"):
        conditions = new["status"].get("conditions") or []
        kept = [c for c in conditions if c.get("reason") != "SchedulingGated"]
        if len(kept) != len(conditions):
            new["status"]["conditions"] = kept


def prepare_status(new: Json, old: Json) -> None:
    status = new.setdefault("status", {})
    if not status.get("qosClass"):
        status["qosClass"] = (old.get("status") or {}).get("qosClass") or qos_class(old["spec"])
    mirror_status_addresses(status)
    if "ownerReferences" in old["metadata"]:
        new["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"]
    else:
        new["metadata"].pop("ownerReferences", None)


def generation(pod: Json) -> object:
    """Pods count changes of their spec; what only the scheduler sets does not count."""
    return pod["spec"]


def grace_period_s(pod: Json, asked: int | None) -> int:
    """Seconds from the deletion to the Pod's end: none where no kubelet runs it or it is over already.

    A negative request, which older kubelets sent, means one second.
    """
    spec = pod["spec"]
    grace = spec.get("terminationGracePeriodSeconds") if asked is None else asked
    grace = 30 if grace is None else grace
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return 1 if grace < 0 else int(grace)


def qos_class(spec: Json) -> str:
    """Guaranteed (all limited, nothing requested below its limit), BestEffort (nothing asked), else Burstable."""
    owners = [spec] if spec.get("resources") else list(containers(spec))
    asked = [_asked(owner.get("resources") or {}) for owner in owners]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    guaranteed = all(len(limits) == len(_QOS_RESOURCES) and requests == limits for requests, limits in asked)
    return "Guaranteed" if guaranteed else "Burstable"


def _asked(resources: Json) -> tuple[Json, Json]:
    requests, limits = (
        {
            name: value
            for name, text in (resources.get(part) or {}).items()
            if name in _QOS_RESOURCES and (value := parse_quantity(text).value) > 0
        }
        for part in ("requests", "limits")
    )
    return requests, limits


def _condition(request: Request, kind: str, status: str, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(request.clock.unix_s),
        "reason": reason,
        "message": message,
    }
