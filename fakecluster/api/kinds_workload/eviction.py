"""`pods/eviction`: a deletion that asks the PodDisruptionBudgets first (pkg/registry/core/pod/storage/eviction.go)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import deletes, schema, status
from fakecluster.api.deletes import DeleteOptions
from fakecluster.api.object_meta import timestamp
from fakecluster.api.selectors import from_label_selector
from fakecluster.api.status import ApiError
from fakecluster.api.strategy import Request

Json = dict[str, Any]

BUDGETS = "poddisruptionbudgets.policy"
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
#: Seconds after which a client should ask again while a budget is not up to date.
RETRY_S = 10


def evict(request: Request, eviction: Json) -> None:
    """Delete the Pod that `request` names if its budget allows; raises the 429 that `kubectl drain` waits on."""
    if (eviction.get("metadata") or {}).get("name", "") != request.name:
        raise status.bad_request("name in URL does not match name in Eviction object")
    pod = request.store.get("pods", request.namespace, request.name)
    if pod is None:
        raise status.not_found("pods", "", request.name)
    asked = eviction.get("deleteOptions") or {}
    request.dry_run = request.dry_run or bool(asked.get("dryRun"))
    if not _needs_no_budget(pod):
        _ask_budgets(request, pod)
    if not request.dry_run:
        _mark_disrupted(request)
    preconditions = asked.get("preconditions") or {}
    options = DeleteOptions(
        asked.get("gracePeriodSeconds"),
        asked.get("propagationPolicy", ""),
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
    )
    deletes.delete(request, options)


def _needs_no_budget(pod: Json) -> bool:
    """Pods that serve nobody: over, not begun, or going already."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]


def _ask_budgets(request: Request, pod: Json) -> None:
    labels = pod["metadata"].get("labels") or {}
    found = [
        budget
        for budget in request.store.list(BUDGETS, request.namespace)
        if from_label_selector((budget.get("spec") or {}).get("selector")).matches(labels)
    ]
    if len(found) > 1:
        raise status.failure(500, "InternalError", _SEVERAL)
    if not found:
        return
    budget, state = found[0], found[0].get("status") or {}
    if not _is_ready(pod) and _spares_unhealthy(budget, state):
        return
    name = budget["metadata"]["name"]
    if state.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", retry_s=RETRY_S)
    if state.get("disruptionsAllowed", 0) <= 0:
        wanted, healthy = state.get("desiredHealthy", 0), state.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    if not request.dry_run:
        _spend(request, budget)


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _spares_unhealthy(budget: Json, state: Json) -> bool:
    """Whether a Pod that is not healthy may go without counting (KEP-3017)."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    desired: int = state.get("desiredHealthy", 0)
    return desired > 0 and state.get("currentHealthy", 0) >= desired


def _refused(message: str, *, retry_s: int = 0) -> ApiError:
    details: Json = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    if retry_s:
        details["retryAfterSeconds"] = retry_s
    return status.failure(429, "TooManyRequests", _VIOLATES, details)


def _spend(request: Request, budget: Json) -> None:
    """One disruption less is allowed until the budget's controller has counted again."""
    meta = budget["metadata"]
    stored = request.store.stored(BUDGETS, meta["namespace"], meta["name"])
    changed = schema.copied(budget)
    state = changed["status"]
    state["disruptionsAllowed"] -= 1
    disrupted = state.setdefault("disruptedPods", {})
    disrupted[request.name] = timestamp(request.clock.unix_s)
    request.store.put(BUDGETS, changed, stored.managed if stored is not None else None)


def _mark_disrupted(request: Request) -> None:
    """Say in the Pod's conditions why it goes."""
    stored = request.store.stored("pods", request.namespace, request.name)
    if stored is None:
        return
    pod = schema.copied(stored.object)
    conditions = pod["status"].setdefault("conditions", [])
    wanted = {"status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    before = next((c for c in conditions if c.get("type") == "DisruptionTarget"), None)
    if before is not None and all(before.get(key) == value for key, value in wanted.items()):
        return
    moment = {"lastProbeTime": None, "lastTransitionTime": timestamp(request.clock.unix_s)}
    condition = {"type": "DisruptionTarget", **moment, **wanted}
    pod["status"]["conditions"] = [c for c in conditions if c is not before] + [condition]
    request.store.put("pods", pod, stored.managed)
