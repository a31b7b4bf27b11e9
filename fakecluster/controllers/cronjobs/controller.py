"""One pass over one CronJob: forget Jobs that ended, make the one that is due, come back for the next.

Source: kubernetes pkg/controller/cronjob/cronjob_controllerv2.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError
from fakecluster.controllers.conditions import is_true
from fakecluster.controllers.cronjobs.schedule import Schedule, parse
from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, concerned, key_of, reference_to
from fakecluster.controllers.pods import is_going
from fakecluster.controllers.timestamps import rfc3339, unix_seconds
from fakecluster.errors import Unsupported

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
RESOURCE, JOBS = "cronjobs.batch", "jobs.batch"
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
#: time zones that are UTC by another name; others would need their rules
UTC_NAMES = ("", "UTC", "Etc/UTC", "GMT", "Etc/GMT")
#: kept by default: Jobs that succeeded, Jobs that failed
HISTORY = {"Complete": ("successfulJobsHistoryLimit", 3), "Failed": ("failedJobsHistoryLimit", 1)}


def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
    """The CronJobs that a change concerns."""
    return NOTICES[event.resource](desk, event)


NOTICES: dict[str, Callable[[Desk, WatchEvent], Iterable[Key]]] = {
    RESOURCE: lambda desk, event: [key_of(event.object)],
    JOBS: lambda desk, event: concerned(desk.client, event, "CronJob", RESOURCE, matches=lambda owner, job: False),
}


def ending(job: Json) -> str:
    """Complete, Failed, or nothing while a Job is not over."""
    return next((kind for kind in HISTORY if is_true(job, kind)), "")


def sync(desk: Desk, key: Key) -> None:
    """Bring one CronJob up to the moment."""
    cron_job = desk.get(RESOURCE, key)
    if cron_job is None:
        return
    if cron_job["spec"].get("timeZone", "") not in UTC_NAMES:
        raise Unsupported("CronJob spec.timeZone", token=cron_job["spec"]["timeZone"])
    jobs = desk.owned[JOBS].of(cron_job["metadata"]["uid"])
    status = _seen(desk, cron_job, jobs)
    _clean_up(desk, cron_job, jobs)
    if not is_going(cron_job) and not cron_job["spec"].get("suspend"):
        schedule = parse(cron_job["spec"]["schedule"])
        due_s = _due(desk, cron_job, status, schedule)
        if due_s is not None:
            status = _run(desk, cron_job, status, jobs, due_s)
        next_s = schedule.after(desk.clock.unix_s)
        if next_s is not None:
            desk.later(key, next_s - desk.clock.epoch_s - desk.clock.now_s)
    if status != (cron_job.get("status") or {}):
        desk.client.update_status(RESOURCE, {**cron_job, "status": status})


def _seen(desk: Desk, cron_job: Json, jobs: list[Json]) -> Json:
    """The status without the Jobs that ended since."""
    status = dict(cron_job.get("status") or {})
    by_uid = {job["metadata"]["uid"]: job for job in jobs}
    active = []
    for reference in status.get("active") or ():
        job = by_uid.get(reference["uid"])
        how = ending(job) if job is not None else ""
        if job is not None and not how:
            active.append(reference)
        elif job is not None:
            message = f"Saw completed job: {reference['name']}, condition: {how}"
            desk.events.normal(cron_job, "SawCompletedJob", message)
            if how == "Complete":
                status["lastSuccessfulTime"] = job["status"]["completionTime"]
    status.pop("active", None)
    return {**status, "active": active} if active else status


def _clean_up(desk: Desk, cron_job: Json, jobs: list[Json]) -> None:
    """Delete the oldest Jobs that are over, beyond the history limits."""
    for kind, (field, default) in HISTORY.items():
        over = sorted((job for job in jobs if ending(job) == kind), key=_started)
        for job in over[: max(0, len(over) - cron_job["spec"].get(field, default))]:
            namespace, name = key_of(job)
            desk.client.delete(JOBS, name, namespace, propagation="Background")
            desk.events.normal(cron_job, "SuccessfulDelete", f"Deleted job {name}")


def _started(job: Json) -> tuple[str, str]:
    return (job.get("status") or {}).get("startTime", ""), job["metadata"]["name"]


def _due(desk: Desk, cron_job: Json, status: Json, schedule: Schedule) -> int | None:
    """The latest moment of the schedule that has come and was not served, unless it is too late for it."""
    since = status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"]
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    earliest = unix_seconds(since)
    if deadline_s is not None:
        earliest = max(earliest, desk.clock.unix_s - deadline_s)
    found, moment = None, schedule.after(earliest)
    while moment is not None and moment <= desk.clock.unix_s:
        found, moment = moment, schedule.after(moment)
    return found


def _run(desk: Desk, cron_job: Json, status: Json, jobs: list[Json], due_s: int) -> Json:
    """Make the Job of a moment, as the concurrency policy allows."""
    active = status.get("active") or []
    policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
    if active and policy == "Forbid":
        words = "Not starting job because prior execution is running and concurrency policy is Forbid"
        desk.events.normal(cron_job, "JobAlreadyActive", words)
        return status
    namespace = cron_job["metadata"]["namespace"]
    if policy == "Replace":
        for reference in active:
            desk.client.delete(JOBS, reference["name"], namespace, propagation="Background")
            desk.events.normal(cron_job, "SuccessfulDelete", f"Deleted job {reference['name']}")
        active = []
    try:
        made = desk.client.create(JOBS, _job(cron_job, due_s), namespace)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        return status
    desk.events.normal(cron_job, "SuccessfulCreate", f"Created job {made['metadata']['name']}")
    meta = made["metadata"]
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": meta["name"],
        "namespace": namespace,
        "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
    }
    return {**status, "active": [*active, reference], "lastScheduleTime": rfc3339(due_s)}


def _job(cron_job: Json, due_s: int) -> Json:
    template = cron_job["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{cron_job['metadata']['name']}-{due_s // 60}",
            "labels": meta.get("labels") or {},
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED_AT: rfc3339(due_s)},
            "ownerReferences": [reference_to(cron_job)],
        },
        "spec": template["spec"],
    }


DUTY = Duty(
    target="cronjob-controller",
    agent="cronjob-controller",
    resources=frozenset({RESOURCE, JOBS}),
    owns={JOBS: "CronJob"},
    notice=notice,
    sync=sync,
)
