"""Starting containers, seeing them end, and starting them again with growing pauses.

Sources: kubernetes pkg/kubelet/kuberuntime (SyncPod, computePodActions, doBackOff).
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.controllers.kubelet import probing
from fakecluster.controllers.kubelet.environment import ConfigProblem, environment
from fakecluster.controllers.kubelet.host import Host
from fakecluster.controllers.kubelet.run import (
    APP,
    EPHEMERAL,
    INIT,
    SIDECAR,
    ContainerRun,
    PodRun,
    all_done,
    initialized,
    restarts,
)
from fakecluster.controllers.kubelet.status import container_id

Json = dict[str, Any]
#: exit codes of programs that were ended by a signal
SIGTERM_EXIT, SIGKILL_EXIT = 143, 137
BACKOFF_S, BACKOFF_MAX_S = 10.0, 300.0
#: a container that was let alone for this long starts with the first pause again
BACKOFF_FORGET_S = 2 * BACKOFF_MAX_S
#: after a container could not be made (a ConfigMap is missing), until the next try
CONFIG_RETRY_S = 10.0


def advance_pod(host: Host, uid: str) -> None:
    """Do what is next for a Pod: sandbox, init containers one after the other, then all others; report."""
    run = host.pods[uid]
    if run.terminating or run.finished:
        return
    if run.ips is None:
        run = host.keep(attrs.evolve(run, ips=tuple(host.runtime.create_sandbox(host.node_name, run.pod))))
        _take_over(host, run)
    if not initialized(run):
        _advance_init(host, uid)
    if initialized(host.pods[uid]):
        for name in [c.name for c in run.of_role(SIDECAR, APP, EPHEMERAL)]:
            _start_if_due(host, uid, name)
    if all_done(host.pods[uid]):
        finish(host, uid)
    host.publish(uid)


def _take_over(host: Host, run: PodRun) -> None:
    """Let the programs of containers run that are said to be running already."""
    for container in run.containers.values():
        if container.running:
            try:
                env = environment(host, run, container.spec)
            except ConfigProblem:  # what it was made from is gone by now: what it was cannot be known
                env = {}
            host.runtime.start_container(host.node_name, run.pod, container.spec, env)
            probing.begin(host, run.uid, container.name)


def _advance_init(host: Host, uid: str) -> None:
    for name in [c.name for c in host.pods[uid].of_role(INIT, SIDECAR)]:
        _start_if_due(host, uid, name)
        container = host.pods[uid].containers[name]
        if not (container.started if container.role == SIDECAR else container.exit_code == 0):
            return


def _start_if_due(host: Host, uid: str, name: str) -> None:
    container = host.pods[uid].containers[name]
    if "waiting" in container.state and container.exit_code is None:
        start(host, uid, name)


def start(host: Host, uid: str, name: str) -> None:
    """Start a container's program, or say in its state why it cannot be."""
    run = host.pods[uid]
    container = run.containers[name]
    place = container.field
    image = container.spec.get("image", "")
    try:
        env = environment(host, run, container.spec)
    except ConfigProblem as problem:
        waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": str(problem)}}
        host.keep_container(uid, attrs.evolve(container, state=waiting))
        host.events.warning(run.pod, "Failed", f"Error: {problem}", field=place)
        host.after(CONFIG_RETRY_S, "retry", uid)
        return
    present = f'Container image "{image}" already present on machine and can be accessed by the pod'
    host.events.normal(run.pod, "Pulled", present, field=place)
    host.events.normal(run.pod, "Created", "Container created", field=place)
    has_startup = "startupProbe" in container.spec
    container = attrs.evolve(
        container,
        state={"running": {"startedAt": host.now}},
        attempt=container.attempt + 1,
        started=not has_startup,
        ready=not has_startup and "readinessProbe" not in container.spec and container.role not in (INIT, EPHEMERAL),
        streaks={},
        stopping=False,
        given={},
    )
    host.keep_container(uid, container)
    host.runtime.start_container(host.node_name, run.pod, container.spec, env)
    host.events.normal(run.pod, "Started", "Container started", field=place)
    probing.begin(host, uid, name)


def _terminated(host: Host, uid: str, container: ContainerRun, exit_code: int) -> Json:
    """The state of a container whose program ended just now."""
    ended_state = {
        "exitCode": exit_code,
        "reason": "Completed" if exit_code == 0 else "Error",
        "startedAt": container.state["running"]["startedAt"],
        "finishedAt": host.now,
        "containerID": container_id(uid, container.name, container.attempt),
    }
    return {"terminated": ended_state}


def ended(host: Host, uid: str, name: str, exit_code: int) -> None:
    """Record that a container's program is over, and what comes next for it and its Pod."""
    container = host.pods[uid].containers[name]
    state = _terminated(host, uid, container, exit_code)
    container = attrs.evolve(container, state=state, ready=False, started=False, stopping=False, streaks={})
    run = host.keep_container(uid, container)
    if restarts(run, container):
        _restart(host, uid, container)
    advance_pod(host, uid)


def _restart(host: Host, uid: str, container: ContainerRun) -> None:
    """At once for the first time, then after 10 s, 20 s, 40 s ... at most 5 minutes."""
    now_ns = host.clock.now_ns
    pause_s = container.backoff_s
    if now_ns - container.backoff_set_ns > BACKOFF_FORGET_S * 1e9:
        pause_s = 0.0
    if not pause_s:
        restart(host, uid, container.name, container.attempt)
        return
    what = f"{container.name} pod={_pod_text(host.pods[uid])}"
    message = f"back-off {_duration(pause_s)} restarting failed container={what}"
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    host.keep_container(uid, attrs.evolve(container, state=waiting, last_state=container.state))
    host.events.warning(
        host.pods[uid].pod, "BackOff", f"Back-off restarting failed container {what}", field=container.field
    )
    host.after(pause_s, "restart", uid, container.name, container.attempt)


def _pod_text(run: PodRun) -> str:
    meta = run.pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({run.uid})"


def _duration(seconds: float) -> str:
    """As Go prints a duration: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def resume(host: Host, uid: str, name: str, attempt: int) -> None:
    """The pause before a container's next start is over."""
    restart(host, uid, name, attempt)
    if uid in host.pods:
        advance_pod(host, uid)


def restart(host: Host, uid: str, name: str, attempt: int) -> None:
    """Start a container that ended; nothing when it was started (or its Pod went) meanwhile."""
    run = host.pods.get(uid)
    if run is None or run.terminating or run.finished:
        return
    container = run.containers[name]
    if container.attempt != attempt or container.running:
        return
    last = container.state if "terminated" in container.state else container.last_state
    container = attrs.evolve(
        container,
        last_state=last,
        restarts=container.restarts + 1,
        backoff_s=min(max(BACKOFF_S, 2 * container.backoff_s), BACKOFF_MAX_S),
        backoff_set_ns=host.clock.now_ns,
    )
    host.keep_container(uid, container)
    start(host, uid, name)


def finish(host: Host, uid: str, exit_code: int = 0) -> None:
    """End what still runs of a Pod that has nothing more to do, and take its sandbox away."""
    run = host.pods[uid]
    if run.finished:
        return
    for container in reversed(list(run.of_role(SIDECAR, APP, EPHEMERAL))):
        if container.running:
            host.runtime.stop_container(host.node_name, run.pod, container.name)
            state = _terminated(host, uid, container, exit_code)
            run = host.keep_container(uid, attrs.evolve(container, state=state, ready=False, started=False))
    host.usage.remove(uid)
    if run.ips is not None:
        host.runtime.remove_sandbox(host.node_name, run.pod)
    host.keep(attrs.evolve(run, finished=True))


def fail(host: Host, uid: str, reason: str, message: str) -> None:
    """Give a Pod up: it is Failed for the kubelet's own reason."""
    host.keep(attrs.evolve(host.pods[uid], failure=(reason, message)))
    finish(host, uid, SIGTERM_EXIT)
    host.publish(uid)
