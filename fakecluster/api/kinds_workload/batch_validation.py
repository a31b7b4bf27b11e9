"""Validation and preparation of Job and CronJob (pkg/apis/batch/validation, pkg/registry/batch), metadata apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, nonnegative, one_of
from fakecluster.api.kinds_workload.internal_types import by_key, internal, printed_selector
from fakecluster.api.kinds_workload.template_validation import (
    NO_MATCH,
    as_it_is,
    immutable,
    validate_template,
)
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.selectors import SelectorError, from_label_selector
from fakecluster.api.strategy import Request, invalid, not_supported, required

Json = dict[str, Any]

UID_LABEL, NAME_LABEL = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
OLD_UID_LABEL, OLD_NAME_LABEL = "controller-uid", "job-name"
#: An indexed Job has one Pod per index; more than this the status could not list.
MAX_PARALLELISM_INDEXED = 100_000
#: A CronJob's name plus "-" and the time in minutes must fit a label.
CRONJOB_NAME_LENGTH = 52
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
#: minute hour day-of-month month day-of-week: (low, high)
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_CRON_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def prepare_job(job: Json, request: Request) -> None:
    """Give a new Job the selector that only its own Pods match: its uid."""
    spec, meta = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
    for label, value in (
        (UID_LABEL, meta["uid"]),
        (OLD_UID_LABEL, meta["uid"]),
        (NAME_LABEL, meta.get("name", "")),
        (OLD_NAME_LABEL, meta.get("name", "")),
    ):
        labels.setdefault(label, value)
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(UID_LABEL, meta["uid"])


def validate_job(job: Json) -> Errors:
    spec, template = job["spec"], job["spec"]["template"]
    errors = _generated_selector(job)
    errors += validate_job_spec(spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        return [*errors, required("spec.selector")]
    errors += validate_label_selector(selector, "spec.selector")
    labels = (template.get("metadata") or {}).get("labels")
    if not _matches(selector, labels or {}):
        errors.append(invalid("spec.template.metadata.labels", labels and by_key(labels), NO_MATCH))
    return errors


def _matches(selector: Json, labels: dict[str, str]) -> bool:
    try:
        return from_label_selector(selector).matches(labels)
    except SelectorError:
        return True  # its faults are said elsewhere


def _generated_selector(job: Json) -> Errors:
    spec, meta = job["spec"], job["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    expected = {OLD_UID_LABEL: meta["uid"], OLD_NAME_LABEL: meta.get("name", "")}
    expected |= {UID_LABEL: meta["uid"], NAME_LABEL: meta.get("name", "")}
    errors: Errors = []
    for label, value in expected.items():
        if label not in labels:
            errors.append(required("spec.template.metadata.labels", f"must be '{value}'"))
        elif labels[label] != value:
            errors.append(invalid("spec.template.metadata.labels", by_key(labels), f"must be '{value}'"))
    if not _matches(spec["selector"], expected):
        errors.append(invalid("spec.selector", printed_selector(spec["selector"]), "`selector` not auto-generated"))
    return errors


def validate_job_spec(spec: Json, field: str) -> Errors:
    errors: Errors = []
    for name in _COUNTS:
        errors += nonnegative(f"{field}.{name}", spec.get(name))
    mode = spec.get("completionMode")
    if mode is not None:
        errors += one_of(f"{field}.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed":
        if spec.get("completions") is None:
            errors.append(required(f"{field}.completions", "when completion mode is Indexed"))
        if (spec.get("parallelism") or 0) > MAX_PARALLELISM_INDEXED:
            why = f"must be less than or equal to {MAX_PARALLELISM_INDEXED} when completion mode is Indexed"
            errors.append(invalid(f"{field}.parallelism", spec["parallelism"], why))
    if spec.get("podReplacementPolicy") is not None:
        policies = ("Failed", "TerminatingOrFailed")
        errors += one_of(f"{field}.podReplacementPolicy", spec["podReplacementPolicy"], policies)
    errors += validate_template(spec["template"], f"{field}.template")
    if spec["template"]["spec"].get("restartPolicy") not in ("OnFailure", "Never"):
        why = 'valid values: "OnFailure", "Never"'
        errors.append(required(f"{field}.template.spec.restartPolicy", why))
    return errors


#: What of a Job never changes, in the order of the checks, and how its value is printed.
_IMMUTABLE: dict[str, Callable[[Any], Any]] = {
    "completions": as_it_is,
    "selector": printed_selector,
    "template": lambda template: internal(template, "PodTemplateSpec"),
    "completionMode": as_it_is,
    "podFailurePolicy": lambda policy: internal(policy, "PodFailurePolicy"),
    "backoffLimitPerIndex": as_it_is,
    "managedBy": as_it_is,
    "successPolicy": lambda policy: internal(policy, "SuccessPolicy"),
}


def validate_job_update(new: Json, old: Json) -> Errors:
    errors = validate_job(new)
    for name, printed in _IMMUTABLE.items():
        if name == "completions" and _elastic(new["spec"], old["spec"]):
            continue
        errors += immutable(f"spec.{name}", new["spec"].get(name), old["spec"].get(name), printed)
    return errors


def _elastic(new: Json, old: Json) -> bool:
    """An indexed Job may change completions together with parallelism (KEP-3715)."""
    return (
        new.get("completionMode") == "Indexed"
        and new.get("completions") == new.get("parallelism")
        and new.get("completions") is not None
        and old.get("completions") is not None
    )


def validate_cronjob(obj: Json) -> Errors:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    errors: Errors = []
    if len(name) > CRONJOB_NAME_LENGTH:
        errors.append(invalid("metadata.name", name, f"must be no more than {CRONJOB_NAME_LENGTH} characters"))
    schedule = spec.get("schedule", "")
    errors += (
        [invalid("spec.schedule", schedule, why) for why in cron_complaints(schedule)]
        if schedule
        else [required("spec.schedule")]
    )
    errors += nonnegative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    policies = ("Allow", "Forbid", "Replace")
    errors += one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), policies)
    if spec["jobTemplate"]["spec"].get("manualSelector"):
        field = "spec.jobTemplate.spec.manualSelector"
        errors.append(not_supported(field, True, ("nil", "false")))
    errors += validate_job_spec(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")
    for kind in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors += nonnegative(f"spec.{kind}", spec.get(kind))
    return errors


def cron_complaints(schedule: str) -> list[str]:
    """What is wrong with a schedule in crontab(5) form, or with one of its `@words`."""
    text = schedule.strip()
    if text.startswith("@"):
        known = text in _CRON_WORDS or re.fullmatch(r"@every \d\S*", text)
        return [] if known else [f"unrecognized descriptor: {text}"]
    fields = text.split()
    if len(fields) != len(_CRON_RANGES):
        return [f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"]
    for part, (low, high) in zip(fields, _CRON_RANGES, strict=True):
        for item in part.split(","):
            complaint = _cron_item(item, low, high)
            if complaint:
                return [complaint]
    return []


def _cron_item(item: str, low: int, high: int) -> str:
    base, _, step = item.partition("/")
    if step and not step.isdigit():
        return f'failed to parse int from {step}: strconv.Atoi: parsing "{step}": invalid syntax'
    if base in ("*", "?"):
        return ""
    ends = base.split("-")
    if len(ends) > 2:
        return f"too many hyphens: {item}"
    numbers = [_CRON_NAMES.get(end.lower(), end) for end in ends]
    for end in numbers:
        if not str(end).isdigit():
            return f'failed to parse int from {end}: strconv.Atoi: parsing "{end}": invalid syntax'
    first, last = int(numbers[0]), int(numbers[-1])
    if first < low:
        return f"beginning of range ({first}) below minimum ({low}): {item}"
    if last > high:
        return f"end of range ({last}) above maximum ({high}): {item}"
    return f"beginning of range ({first}) beyond end of range ({last}): {item}" if first > last else ""


_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CRON_NAMES: dict[str, int] = {
    **{name: number for number, name in enumerate(_DAYS)},
    **{name: number for number, name in enumerate(_MONTHS, 1)},
}
