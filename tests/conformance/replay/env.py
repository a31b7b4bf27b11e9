"""Area `env`: Services -> environment variables, and whole container environments, by the kubelet's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.discovery.envvars import container_env, pod_service_variables, service_variables
from replay.result import Difference, Recording

ANY = "{{any}}"


def replay(recording: Recording) -> Iterator[Difference]:
    for number, row in enumerate(recording.data["rows"]):
        step = f"{number} {row['group']}"
        expected = row["output"]
        try:
            env, error = OPERATIONS[row["input"]["op"]](row["input"]), None
        except ValueError as wrong:
            env, error = {}, str(wrong)
        if error != expected.get("error"):
            yield Difference(step, f"error {error!r} instead of {expected.get('error')!r}")
        yield from (Difference(step, text) for text in _compare(env, expected["env"]))


def _compare(got: Any, expected: Any) -> Iterator[str]:
    if isinstance(expected, list):
        if got != expected:
            yield f"{got} instead of {expected}"
        return
    for name in sorted(got.keys() | expected.keys()):
        if name not in got or name not in expected or expected[name] not in (ANY, got[name]):
            yield f"{name} is {got.get(name)!r} instead of {expected.get(name)!r}"


def envvars(row: dict[str, Any]) -> list[str]:
    return [str(variable) for variable in service_variables(row["services"])]


def serviceenv(row: dict[str, Any]) -> dict[str, str]:
    return pod_service_variables(row["services"], row["namespace"], service_links=row["enableServiceLinks"])


def makeenv(row: dict[str, Any]) -> dict[str, str]:
    pod = row["pod"]
    return container_env(pod, pod["spec"]["containers"][0], row["services"], {}, {}, pod_ips=row["podIPs"])


OPERATIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "envvars": envvars,
    "serviceenv": serviceenv,
    "makeenv": makeenv,
}
