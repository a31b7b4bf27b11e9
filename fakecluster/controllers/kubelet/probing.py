"""Startup, readiness and liveness probes: when they are sent, and what their answers change.

The first is sent `initialDelaySeconds` after the container's start, then one every `periodSeconds`; liveness and
readiness wait for the startup probe. Source: kubernetes pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.controllers.kubelet.host import Host
from fakecluster.controllers.kubelet.run import ContainerRun, Streak

Json = dict[str, Any]
KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


def begin(host: Host, uid: str, name: str) -> None:
    """Let a started container's probes begin."""
    container = host.pods[uid].containers[name]
    for kind, field in KINDS.items():
        probe = container.spec.get(field)
        if probe is not None and (kind == "startup" or container.started):
            host.after(probe.get("initialDelaySeconds", 0), "probe-due", uid, name, kind, container.attempt)


def _begin_after_startup(host: Host, uid: str, container: ContainerRun, since_start_s: float) -> None:
    for kind in ("readiness", "liveness"):
        probe = container.spec.get(KINDS[kind])
        if probe is not None:
            delay_s = max(0.0, probe.get("initialDelaySeconds", 0) - since_start_s)
            host.after(delay_s, "probe-due", uid, container.name, kind, container.attempt)


def due(host: Host, uid: str, name: str, kind: str, attempt: int) -> None:
    """Send a probe, and see to the next one; nothing when the container is another or gone."""
    container = host.container(uid, name)
    if container is None or container.attempt != attempt or not container.running or container.stopping:
        return
    run = host.pods[uid]
    if (run.terminating and kind != "readiness") or (kind == "startup" and container.started):
        return
    probe = container.spec[KINDS[kind]]
    host.after(probe.get("periodSeconds", 10), "probe-due", uid, name, kind, attempt)
    streak = container.streak(kind)
    if streak.asked:  # the last one has not been answered: probes of one kind never overlap
        return
    host.keep_container(uid, container.with_streak(kind, attrs.evolve(streak, asked=True)))
    host.runtime.probe(host.node_name, run.pod, name, kind, probe, probe.get("timeoutSeconds", 1))


def answered(host: Host, uid: str, name: str, kind: str, passed: bool, message: str) -> None:
    """Count an answer; a streak that reaches its threshold changes the container."""
    container = host.container(uid, name)
    if container is None or not container.running or not container.streak(kind).asked:
        return
    streak = container.streak(kind)
    streak = Streak(passed=streak.passed + 1) if passed else Streak(failed=streak.failed + 1)
    container = container.with_streak(kind, streak)
    host.keep_container(uid, container)
    if not passed:
        field = f"spec.{'containers' if container.role == 'app' else 'initContainers'}{{{name}}}"
        text = f"{kind.capitalize()} probe failed: {message}"
        host.events.warning(host.pods[uid].pod, "Unhealthy", text, field=field)
    probe = container.spec[KINDS[kind]]
    if passed and streak.passed >= probe.get("successThreshold", 1):
        PASSED[kind](host, uid, container)
    elif streak.failed >= probe.get("failureThreshold", 3):
        FAILED[kind](host, uid, container)


def _became_started(host: Host, uid: str, container: ContainerRun) -> None:
    from fakecluster.controllers.kubelet.containers import advance_pod

    ready = "readinessProbe" not in container.spec
    host.keep_container(uid, attrs.evolve(container, started=True, ready=ready))
    started_s = _started_s(host, container)
    _begin_after_startup(host, uid, container, host.clock.unix_s - started_s)
    advance_pod(host, uid)


def _started_s(host: Host, container: ContainerRun) -> float:
    from fakecluster.controllers.timestamps import unix_seconds

    return unix_seconds(container.state["running"]["startedAt"])


def _became_ready(host: Host, uid: str, container: ContainerRun) -> None:
    if not container.ready:
        host.keep_container(uid, attrs.evolve(container, ready=True))
        host.publish(uid)


def _became_unready(host: Host, uid: str, container: ContainerRun) -> None:
    if container.ready:
        host.keep_container(uid, attrs.evolve(container, ready=False))
        host.publish(uid)


def _stay_alive(host: Host, uid: str, container: ContainerRun) -> None:
    """A container that lives needs nothing."""


def _kill(kind: str) -> Any:
    def kill(host: Host, uid: str, container: ContainerRun) -> None:
        from fakecluster.controllers.kubelet.termination import stop_container

        grace_s = container.spec[KINDS[kind]].get("terminationGracePeriodSeconds")
        message = f"Container {container.name} failed {kind} probe, will be restarted"
        stop_container(host, uid, container.name, message, grace_s)

    return kill


PASSED = {"startup": _became_started, "readiness": _became_ready, "liveness": _stay_alive}
FAILED = {"startup": _kill("startup"), "readiness": _became_unready, "liveness": _kill("liveness")}
