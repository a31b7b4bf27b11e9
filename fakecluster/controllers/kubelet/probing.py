"""Startup, readiness and liveness probes: when they are sent, and what their answers change.

The first is sent `initialDelaySeconds` after the container's start, then one every `periodSeconds`; liveness and
readiness wait for the startup probe. Source: kubernetes pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.controllers.kubelet.host import Host
from fakecluster.controllers.kubelet.run import ContainerRun, Streak
from fakecluster.controllers.timestamps import unix_seconds

Json = dict[str, Any]
Action = Callable[[Host, str, ContainerRun], str]
#: what an answer leads to
NOTHING, STARTED, REPORT, KILL = "", "started", "report", "kill"
KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


def begin(host: Host, uid: str, name: str) -> None:
    """Let a started container's probes begin."""
    container = host.pods[uid].containers[name]
    for kind, field in KINDS.items():
        probe = container.spec.get(field)
        if probe is not None and (kind == "startup" or container.started):
            host.after(probe.get("initialDelaySeconds", 0), "probe-due", uid, name, kind, container.attempt)


def due(host: Host, uid: str, name: str, kind: str, attempt: int) -> None:
    """Send a probe, and see to the next one; nothing when the container is another or gone."""
    container = host.container(uid, name)
    if container is None or container.attempt != attempt or not container.running:
        return
    run = host.pods[uid]
    if run.terminating:  # whether a Pod that goes is still ready matters to those who have no other
        unwanted = kind != "readiness"
    else:
        unwanted = container.stopping or (kind == "startup" and container.started)
    if unwanted:
        return
    probe = container.spec[KINDS[kind]]
    host.after(probe.get("periodSeconds", 10), "probe-due", uid, name, kind, attempt)
    streak = container.streak(kind)
    if streak.asked:  # the last one has not been answered: probes of one kind never overlap
        return
    host.keep_container(uid, container.with_streak(kind, attrs.evolve(streak, asked=True)))
    try:
        host.runtime.probe(host.node_name, run.pod, name, kind, probe, probe.get("timeoutSeconds", 1))
    except ValueError as problem:  # a port name that the container does not have: no answer, nothing changes
        host.keep_container(uid, container)
        _warn(host, uid, container, f"{kind.capitalize()} probe errored: {problem}")


def answered(host: Host, uid: str, name: str, kind: str, passed: bool, message: str) -> str:
    """Count an answer; what to do about the container now: STARTED, REPORT, KILL or nothing."""
    container = host.container(uid, name)
    if container is None or not container.running or not container.streak(kind).asked:
        return NOTHING
    streak = container.streak(kind)
    streak = Streak(passed=streak.passed + 1) if passed else Streak(failed=streak.failed + 1)
    container = container.with_streak(kind, streak)
    host.keep_container(uid, container)
    if not passed:
        _warn(host, uid, container, f"{kind.capitalize()} probe failed: {message}")
    probe = container.spec[KINDS[kind]]
    if passed and streak.passed >= probe.get("successThreshold", 1):
        return PASSED[kind](host, uid, container)
    if streak.failed >= probe.get("failureThreshold", 3):
        return FAILED[kind](host, uid, container)
    return NOTHING


def _warn(host: Host, uid: str, container: ContainerRun, text: str) -> None:
    host.events.warning(host.pods[uid].pod, "Unhealthy", text, field=container.field)


def _started(host: Host, uid: str, container: ContainerRun) -> str:
    """The startup probe passed: the other probes begin."""
    ready = "readinessProbe" not in container.spec
    host.keep_container(uid, attrs.evolve(container, started=True, ready=ready))
    age_s = host.unix_s - unix_seconds(container.state["running"]["startedAt"])
    for kind in ("readiness", "liveness"):
        probe = container.spec.get(KINDS[kind])
        if probe is not None:
            delay_s = max(0.0, probe.get("initialDelaySeconds", 0) - age_s)
            host.after(delay_s, "probe-due", uid, container.name, kind, container.attempt)
    return STARTED


def _set_ready(ready: bool) -> Action:
    def set_ready(host: Host, uid: str, container: ContainerRun) -> str:
        if container.ready == ready:
            return NOTHING
        host.keep_container(uid, attrs.evolve(container, ready=ready))
        return REPORT

    return set_ready


PASSED: dict[str, Action] = {
    "startup": _started,
    "readiness": _set_ready(True),
    "liveness": lambda host, uid, container: NOTHING,
}
FAILED: dict[str, Action] = {
    "startup": lambda host, uid, container: KILL,
    "readiness": _set_ready(False),
    "liveness": lambda host, uid, container: KILL,
}
