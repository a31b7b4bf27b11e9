"""Rows of Pods and of what makes them."""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.api.managed import seconds
from fakecluster.api.status import JsonObject
from fakecluster.api.tables.cells import NONE, Now, containers, human_duration, label_selector, label_set

Cells = list[Any]
TERMINAL = ("Succeeded", "Failed")
#: Rows of finished Pods carry a condition, by phase.
POD_CONDITIONS = {
    "Succeeded": {
        "type": "Completed",
        "status": "True",
        "reason": "Succeeded",
        "message": "The pod has completed successfully.",
    },
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}


@attrs.define
class Seen:
    """What a look at the container statuses of a Pod gathers."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, container: JsonObject) -> None:
        self.restarts += container.get("restartCount", 0)
        ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, ended)


def pod(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj.get("spec", {}), obj.get("status", {})
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    seen = Seen(_first_reason(state))
    if not _initializing(obj, seen, sidecars) or _has_condition(state, "Initialized"):
        _running(state, seen, sidecars)
    reason = seen.reason
    if meta.get("deletionTimestamp"):
        if state.get("reason") == "NodeLost":
            reason = "Unknown"
        elif state.get("phase") not in TERMINAL:
            reason = "Terminating"
    restarts = str(seen.restarts)
    if seen.restarts and (ended := seconds(seen.last_restart or None)) is not None:
        restarts += f" ({human_duration(now.unix_s - ended)} ago)"
    total = len(spec.get("containers") or ()) + len(sidecars)
    return [
        meta["name"],
        f"{seen.ready}/{total}",
        reason,
        restarts,
        now.age(meta.get("creationTimestamp")),
        (state.get("podIPs") or [{}])[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        state.get("nominatedNodeName") or NONE,
        _gates(spec, state),
    ]


def _first_reason(state: JsonObject) -> str:
    for condition in state.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return state.get("reason") or state.get("phase") or ""


def _has_condition(state: JsonObject, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in state.get("conditions") or ())


def _initializing(obj: JsonObject, seen: Seen, sidecars: set[str]) -> bool:
    total = len(obj.get("spec", {}).get("initContainers") or ())
    for index, container in enumerate(obj.get("status", {}).get("initContainerStatuses") or ()):
        seen.count(container)
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            seen.ready += 1 if container.get("ready") else 0
            continue
        if ended is not None:
            seen.reason = f"Init:{ended.get('reason') or _exit(ended)}"
        elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
            seen.reason = f"Init:{waiting['reason']}"
        else:
            seen.reason = f"Init:{index}/{total}"
        return True
    return False


def _exit(ended: JsonObject) -> str:
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _running(state: JsonObject, seen: Seen, sidecars: set[str]) -> None:
    seen.restarts, seen.last_restart = 0, ""
    for container in state.get("initContainerStatuses") or ():
        if container["name"] in sidecars:
            seen.count(container)
    running = False
    for container in reversed(state.get("containerStatuses") or []):
        seen.count(container)
        now = container.get("state") or {}
        ended, waiting = now.get("terminated"), now.get("waiting") or {}
        if waiting.get("reason"):
            seen.reason = waiting["reason"]
        elif ended is not None:
            seen.reason = ended.get("reason") or _exit(ended)
        elif container.get("ready") and now.get("running") is not None:
            running = True
            seen.ready += 1
    if seen.reason == "Completed" and running:
        seen.reason = "Running" if _has_condition(state, "Ready") else "NotReady"


def _gates(spec: JsonObject, state: JsonObject) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    met = sum(_has_condition(state, gate["conditionType"]) for gate in gates)
    return f"{met}/{len(gates)}"


def deployment(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    return [
        meta["name"],
        f"{state.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        state.get("updatedReplicas", 0),
        state.get("availableReplicas", 0),
        now.age(meta.get("creationTimestamp")),
        *containers(spec["template"]),
        label_selector(spec.get("selector")),
    ]


def replica_set(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    return [
        meta["name"],
        spec.get("replicas", 0),
        state.get("replicas", 0),
        state.get("readyReplicas", 0),
        now.age(meta.get("creationTimestamp")),
        *containers(spec.get("template") or {}),
        label_selector(spec.get("selector")),
    ]


def replication_controller(obj: JsonObject, now: Now) -> Cells:
    row = replica_set({**obj, "spec": {**obj["spec"], "selector": None}}, now)
    return [*row[:-1], label_set(obj["spec"].get("selector"))]


def stateful_set(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    ready = f"{state.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [meta["name"], ready, now.age(meta.get("creationTimestamp")), *containers(spec["template"])]


def daemon_set(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        meta["name"],
        *(state.get(count, 0) for count in counts),
        label_set((spec["template"].get("spec") or {}).get("nodeSelector")),
        now.age(meta.get("creationTimestamp")),
        *containers(spec["template"]),
        label_selector(spec.get("selector")),
    ]


def job(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    done, wanted, parallel = state.get("succeeded", 0), spec.get("completions"), spec.get("parallelism", 0)
    if wanted is not None:
        completions = f"{done}/{wanted}"
    else:
        completions = f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"
    return [
        meta["name"],
        _job_status(obj),
        completions,
        _job_duration(state, now),
        now.age(meta.get("creationTimestamp")),
        *containers(spec["template"]),
        label_selector(spec.get("selector")),
    ]


def _job_status(obj: JsonObject) -> str:
    state = obj.get("status", {})
    for kind in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if _has_condition(state, kind):
            return kind
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else "Running"


def _job_duration(state: JsonObject, now: Now) -> str:
    start = seconds(state.get("startTime"))
    if start is None:
        return ""
    end = seconds(state.get("completionTime"))
    return human_duration((now.unix_s if end is None else end) - start)


def cron_job(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj["spec"], obj.get("status", {})
    last = state.get("lastScheduleTime")
    template = (spec["jobTemplate"].get("spec") or {}).get("template") or {}
    return [
        meta["name"],
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "True" if spec.get("suspend") else "False",
        len(state.get("active") or ()),
        now.age(last) if last else NONE,
        now.age(meta.get("creationTimestamp")),
        *containers(template),
        label_selector((spec["jobTemplate"].get("spec") or {}).get("selector")),
    ]


def disruption_budget(obj: JsonObject, now: Now) -> Cells:
    meta, spec, state = obj["metadata"], obj.get("spec", {}), obj.get("status", {})
    return [
        meta["name"],
        str(spec["minAvailable"]) if spec.get("minAvailable") is not None else "N/A",
        str(spec["maxUnavailable"]) if spec.get("maxUnavailable") is not None else "N/A",
        state.get("disruptionsAllowed", 0),
        now.age(meta.get("creationTimestamp")),
    ]
