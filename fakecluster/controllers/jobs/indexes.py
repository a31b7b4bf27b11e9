"""Completion indexes of Indexed Jobs, as text (`0-2,5`) and as sets; and the Pods that carry them.

Source: kubernetes pkg/controller/job/indexed_job_utils.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
ANNOTATION = "batch.kubernetes.io/job-completion-index"
VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Json) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def parse(text: str) -> set[int]:
    """The numbers that `0-2,5` means."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def print_indexes(indexes: Iterable[int]) -> str:
    """Numbers as text, runs of three and more (and of two) joined by a dash."""
    parts: list[list[int]] = []
    for number in sorted(indexes):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def index_of(pod: Json) -> int | None:
    """The completion index of a Pod, or None."""
    text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    return int(text) if text.isdigit() else None


def with_index(pod: Json, job_name: str, index: int) -> Json:
    """A Job's Pod made the one of `index`: annotation, label, host name and variable."""
    meta, spec = pod["metadata"], pod["spec"]
    mark = {ANNOTATION: str(index)}
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{ANNOTATION}']"}}
    variable = {"name": VARIABLE, "valueFrom": source}
    spec = {**spec, "hostname": f"{job_name}-{index}"}
    for group in ("containers", "initContainers"):
        if spec.get(group):
            spec[group] = [_with_variable(container, variable) for container in spec[group]]
    meta = {
        **meta,
        "generateName": f"{job_name}-{index}-",
        "annotations": (meta.get("annotations") or {}) | mark,
        "labels": (meta.get("labels") or {}) | mark,
    }
    return {**pod, "metadata": meta, "spec": spec}


def _with_variable(container: Json, variable: Json) -> Json:
    env = container.get("env") or []
    if any(one["name"] == VARIABLE for one in env):
        return container
    return {**container, "env": [*env, variable]}
