"""One pass over one Job: count Pods that ended, decide whether it is over, make or delete Pods.

A Pod carries a finalizer until it is counted, so that none is counted twice or lost. Source: kubernetes
pkg/controller/job/{job_controller,backoff_utils}.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError
from fakecluster.api.selectors import from_label_selector
from fakecluster.controllers.conditions import condition, merged
from fakecluster.controllers.jobs.indexes import index_of, is_indexed, parse, print_indexes, with_index
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, claimed, concerned, controller_of, key_of
from fakecluster.controllers.pods import (
    concerns_owner,
    deletion_order,
    is_active,
    is_going,
    is_ready,
    phase,
    pod_from_template,
)
from fakecluster.controllers.timestamps import unix_seconds
from fakecluster.errors import Unsupported

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE = "jobs.batch"
MANAGER = "kubernetes.io/job-controller"
FINALIZER = "batch.kubernetes.io/job-tracking"
#: after a Pod failed, until the next is made: doubled with each failure in a row
BACKOFF_S, BACKOFF_MAX_S = 10.0, 600.0
#: fields of a Job's spec that are not modelled
REFUSED = ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes")


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The Jobs that a change concerns."""
    if event.resource == RESOURCE:
        return [key_of(event.object)]
    keys = concerned(desk.client, event, "Job", RESOURCE)
    return keys if concerns_owner(event) else ()


@attrs.define
class Pass:
    """A Job with its Pods; `status` becomes what is written at the end."""

    desk: Desk
    job: Json
    pods: list[Json]
    status: Json

    @property
    def spec(self) -> Json:
        spec: Json = self.job["spec"]
        return spec

    @property
    def active(self) -> list[Json]:
        return [pod for pod in self.pods if is_active(pod)]

    def has(self, kind: str) -> bool:
        return any(one["type"] == kind and one["status"] == "True" for one in self.status.get("conditions") or ())

    def set_condition(self, kind: str, status: str, reason: str, message: str) -> None:
        new = {"type": kind, "status": status, "lastProbeTime": self.desk.now, "reason": reason, "message": message}
        self.status["conditions"] = merged(self.status.get("conditions") or [], new, self.desk.now)

    # --- counting

    def count_ended(self) -> None:
        """Count the Pods that ended since the last pass, and let go of them."""
        done = parse(self.status.get("completedIndexes", ""))
        for pod in self.pods:
            if FINALIZER not in (pod["metadata"].get("finalizers") or ()):
                continue
            ended = phase(pod) if phase(pod) in ("Succeeded", "Failed") else ("Failed" if self._lost(pod) else "")
            if not ended:
                continue
            index = index_of(pod)
            counts = ended == "Failed" or not is_indexed(self.job) or index not in done
            if ended == "Succeeded" and is_indexed(self.job) and index is not None:
                done.add(index)
            if counts:
                field = "succeeded" if ended == "Succeeded" else "failed"
                self.status[field] = self.status.get(field, 0) + 1
            self._release(pod)
        if is_indexed(self.job) and done:
            self.status["completedIndexes"] = print_indexes(done)
            self.status["succeeded"] = len(done)

    def _lost(self, pod: Json) -> bool:
        """A Pod on its way out counts as failed once it will not be told any more (it was never placed)."""
        replaces_terminating = self.spec.get("podReplacementPolicy") != "Failed"
        return is_going(pod) and replaces_terminating and not pod["spec"].get("nodeName")

    def _release(self, pod: Json) -> None:
        namespace, name = key_of(pod)
        left = [one for one in pod["metadata"]["finalizers"] if one != FINALIZER]
        try:
            self.desk.client.patch("pods", name, {"metadata": {"finalizers": left or None}}, namespace)
        except ApiError as error:
            if error.code != 404:
                raise

    # --- is it over?

    def verdict(self) -> tuple[str, str, str] | None:
        """(condition, reason, message) that ends the Job now, or None."""
        for early, final in (("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")):
            said = next((c for c in self.status.get("conditions") or () if c["type"] == early), None)
            if said is not None and said["status"] == "True":
                return final, said["reason"], said["message"]
        failed, succeeded = self.status.get("failed", 0), self.status.get("succeeded", 0)
        if failed > self.spec.get("backoffLimit", 6):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if self._restarts() > self.spec.get("backoffLimit", 6):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        left_s = self.deadline_left_s()
        if left_s is not None and left_s <= 0:
            return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
        completions = self.spec.get("completions")
        if completions is None:
            complete = succeeded > 0 and not self.active
        else:
            complete = succeeded >= completions
        return ("Complete", "CompletionsReached", "Reached expected number of succeeded pods") if complete else None

    def _restarts(self) -> int:
        """With restartPolicy OnFailure, restarts of the containers count against the limit."""
        if self.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return 0
        found = 0
        for pod in self.active:
            status = pod.get("status") or {}
            groups = (status.get("containerStatuses") or ()), (status.get("initContainerStatuses") or ())
            found += sum(one.get("restartCount", 0) for group in groups for one in group)
        return found

    def deadline_left_s(self) -> float | None:
        if "activeDeadlineSeconds" not in self.spec or "startTime" not in self.status or self.spec.get("suspend"):
            return None
        since = unix_seconds(self.status["startTime"])
        return since + float(self.spec["activeDeadlineSeconds"]) - self.desk.clock.unix_s

    def end(self, kind: str, reason: str, message: str) -> None:
        """Say so, stop what still runs, and once nothing does, say it for good."""
        early = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        self.set_condition(early, "True", reason, message)
        self._delete(self.active)
        if any(phase(pod) not in ("Succeeded", "Failed") for pod in self.pods):
            return
        self.set_condition(kind, "True", reason, message)
        if kind == "Complete":
            self.status["completionTime"] = self.desk.now
            self.desk.events.normal(self.job, "Completed", "Job completed")
        else:
            self.desk.events.warning(self.job, reason, message)

    # --- making and deleting Pods

    def manage(self) -> None:
        """As many active Pods as parallelism and what is left to do allow."""
        if self.spec.get("suspend"):
            self._delete(self.active)
            return
        active = self.active
        busy = active if self.spec.get("podReplacementPolicy") != "Failed" else self._unfinished()
        wanted = self._wanted(len(active))
        if len(active) > wanted:
            ordered = deletion_order(active, lambda pod: 0, self.desk.clock)
            self._delete(ordered[: len(active) - wanted])
        elif len(busy) < wanted:
            wait_s = self._backoff_left_s()
            if wait_s > 0:
                self.desk.later(key_of(self.job), wait_s)
            else:
                self._create(wanted - len(busy))

    def _unfinished(self) -> list[Json]:
        return [pod for pod in self.pods if phase(pod) not in ("Succeeded", "Failed")]

    def _wanted(self, active: int) -> int:
        parallelism, completions = self.spec.get("parallelism", 1), self.spec.get("completions")
        succeeded = self.status.get("succeeded", 0)
        if completions is None:  # a work queue: once one succeeded, no new ones
            return active if succeeded else int(parallelism)
        return int(min(parallelism, max(0, completions - succeeded)))

    def _backoff_left_s(self) -> float:
        """Seconds until the next Pod may be made, after failures since the last success."""
        over = [pod for pod in self.pods if phase(pod) in ("Succeeded", "Failed")]
        ended = sorted((self._ended_s(pod), phase(pod) == "Failed") for pod in over)
        failures = 0
        for _, failed in reversed(ended):
            if not failed:
                break
            failures += 1
        if not failures:
            return 0.0
        pause_s = min(BACKOFF_S * 2 ** (failures - 1), BACKOFF_MAX_S)
        return float(ended[-1][0] + pause_s - self.desk.clock.unix_s)

    def _ended_s(self, pod: Json) -> float:
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        times = [
            unix_seconds(state["finishedAt"])
            for one in statuses
            if (state := (one.get("state") or {}).get("terminated")) and state.get("finishedAt")
        ]
        return max(times, default=unix_seconds(pod["metadata"]["creationTimestamp"]))

    def _create(self, count: int) -> None:
        namespace, name = key_of(self.job)
        for index in self._free_indexes(count):
            pod = pod_from_template(self.spec["template"], self.job, f"{name}-")
            pod["metadata"]["finalizers"] = [*(pod["metadata"].get("finalizers") or ()), FINALIZER]
            if index is not None:
                pod = with_index(pod, name, index)
            made = self.desk.client.create("pods", pod, namespace)
            self.pods.append(made)
            self.desk.events.normal(self.job, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    def _free_indexes(self, count: int) -> list[int | None]:
        if not is_indexed(self.job):
            return [None] * count
        taken = parse(self.status.get("completedIndexes", "")) | {index_of(pod) for pod in self.active}
        free: list[int | None] = [index for index in range(self.spec["completions"]) if index not in taken]
        return free[:count]

    def _delete(self, pods: Iterable[Json]) -> None:
        for pod in list(pods):
            namespace, name = key_of(pod)
            self._release(pod)
            gone = self.desk.client.delete("pods", name, namespace, uid=pod["metadata"]["uid"])
            self.pods = [one for one in self.pods if one["metadata"]["uid"] != pod["metadata"]["uid"]]
            if gone is not None:
                self.pods.append(gone)
            self.desk.events.normal(self.job, "SuccessfulDelete", f"Deleted pod: {name}")

    def report(self) -> None:
        active = self.active
        counts = {"active": len(active)}
        self.status = {key: value for key, value in self.status.items() if key not in counts}
        self.status |= {name: count for name, count in counts.items() if count}
        self.status["terminating"] = sum(
            is_going(pod) and phase(pod) not in ("Succeeded", "Failed") for pod in self.pods
        )
        self.status["ready"] = sum(is_ready(pod) for pod in active)
        self.status.setdefault("uncountedTerminatedPods", {})
        if self.status != self.job.get("status"):
            stored = self.desk.get(RESOURCE, key_of(self.job))
            if stored is not None:
                self.desk.client.update_status(RESOURCE, {**stored, "status": self.status})


def sync(desk: Desk, key: Key) -> None:
    """Bring one Job a step further."""
    job = desk.get(RESOURCE, key)
    if job is None:
        _release_orphans(desk, key)
        return
    if job["spec"].get("managedBy", MANAGER) != MANAGER:
        return
    for field in REFUSED:
        if field in job["spec"]:
            raise Unsupported(f"Job spec.{field}")
    pods = claimed(desk.client, "pods", job, from_label_selector(job["spec"]["selector"]), desk.owned["pods"])
    work = Pass(desk, job, pods, dict(job.get("status") or {}))
    if work.has("Complete") or work.has("Failed"):
        work.count_ended()
        _expire(desk, job)
        return
    _start(work)
    work.count_ended()
    verdict = work.verdict()
    if verdict is not None:
        work.end(*verdict)
    elif not is_going(job):
        work.manage()
    work.report()
    left_s = work.deadline_left_s()
    if left_s is not None and left_s > 0 and verdict is None:
        desk.later(key, left_s)


def _start(work: Pass) -> None:
    """Note when the Job began, and whether it is suspended."""
    suspended = bool(work.spec.get("suspend"))
    was = any(one["type"] == "Suspended" and one["status"] == "True" for one in work.status.get("conditions") or ())
    if suspended and not was:
        work.status.pop("startTime", None)
        work.set_condition("Suspended", "True", "JobSuspended", "Job suspended")
        work.desk.events.normal(work.job, "Suspended", "Job suspended")
    elif not suspended:
        if was:
            work.set_condition("Suspended", "False", "JobResumed", "Job resumed")
            work.desk.events.normal(work.job, "Resumed", "Job resumed")
        work.status.setdefault("startTime", work.desk.now)


def _expire(desk: Desk, job: Json) -> None:
    """Delete a Job that is over, `ttlSecondsAfterFinished` later (the ttl-after-finished controller's work)."""
    ttl_s = job["spec"].get("ttlSecondsAfterFinished")
    over = condition(job, "Complete") or condition(job, "Failed")
    if ttl_s is None or over is None or is_going(job):
        return
    left_s = unix_seconds(over["lastTransitionTime"]) + ttl_s - desk.clock.unix_s
    if left_s > 0:
        desk.later(key_of(job), left_s)
    else:
        namespace, name = key_of(job)
        desk.client.delete(RESOURCE, name, namespace, propagation="Foreground", uid=job["metadata"]["uid"])


def _release_orphans(desk: Desk, key: Key) -> None:
    """Pods whose Job is gone must not be kept by its finalizer."""
    namespace, name = key
    for pod in desk.client.list("pods", namespace):
        owner = controller_of(pod)
        held = FINALIZER in (pod["metadata"].get("finalizers") or ())
        if held and owner and owner["kind"] == "Job" and owner["name"] == name:
            left = [one for one in pod["metadata"]["finalizers"] if one != FINALIZER]
            pod_name = pod["metadata"]["name"]
            desk.client.patch("pods", pod_name, {"metadata": {"finalizers": left or None}}, namespace)


DUTY = Duty(
    target="job-controller",
    agent="job-controller",
    resources=frozenset({RESOURCE, "pods"}),
    owns={"pods": "Job"},
    notice=notice,
    sync=sync,
)
