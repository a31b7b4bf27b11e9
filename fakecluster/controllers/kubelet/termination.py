"""Ending containers: preStop hook, SIGTERM, and the Pod's last report.

A program ends when it is told to (SIGTERM); what delays it is its preStop hook, for at most the grace period. Sources:
kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer), pkg/kubelet/pod_workers.go.
"""

from __future__ import annotations

from typing import Any

import attrs

from fakecluster.api.client import ApiError
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.kubelet.containers import SIGKILL_EXIT, SIGTERM_EXIT, ended, fail, finish
from fakecluster.controllers.kubelet.host import PUBLISH_AGAIN_S, Host
from fakecluster.controllers.kubelet.probing import KINDS
from fakecluster.controllers.kubelet.run import APP, ContainerRun, PodRun

Json = dict[str, Any]
#: what a program still gets when its preStop hook used up the grace period
MINIMUM_GRACE_S = 2.0
DEFAULT_GRACE_S = 30.0


def stop_container(host: Host, uid: str, name: str, message: str, grace_s: float | None) -> None:
    """Stop one running container: its preStop hook first, then its program."""
    run = host.pods[uid]
    container = run.containers[name]
    if container.stopping or not container.running:
        return
    host.events.normal(run.pod, "Killing", message, field=container.field)
    container = attrs.evolve(container, stopping=True)
    host.keep_container(uid, container)
    if grace_s is None:
        grace_s = run.pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    _pre_stop(host, run, container, grace_s)


def kill_unhealthy(host: Host, uid: str, name: str, kind: str) -> None:
    """Stop a container whose startup or liveness probe failed too often; it is started again."""
    container = host.pods[uid].containers[name]
    grace_s = container.spec[KINDS[kind]].get("terminationGracePeriodSeconds")
    stop_container(host, uid, name, f"Container {name} failed {kind} probe, will be restarted", grace_s)


def _pre_stop(host: Host, run: PodRun, container: ContainerRun, grace_s: float) -> None:
    """Run the hook; when it is over, or the grace period is, the program gets its signal."""
    hook = (container.spec.get("lifecycle") or {}).get("preStop") or {}
    what = (run.uid, container.name, container.attempt)
    if "sleep" in hook and grace_s > 0:
        seconds = hook["sleep"]["seconds"]
        if seconds > grace_s:
            host.after(grace_s + MINIMUM_GRACE_S, "stop", *what, SIGKILL_EXIT)
        else:
            host.after(seconds, "stop", *what, SIGTERM_EXIT)
    elif "httpGet" in hook and grace_s > 0:
        host.runtime.probe(host.node_name, run.pod, container.name, "preStop", hook, grace_s)
        host.after(grace_s + MINIMUM_GRACE_S, "stop", *what, SIGKILL_EXIT)
    else:
        stop(host, *what, SIGTERM_EXIT)


def pre_stop_answered(host: Host, uid: str, name: str, passed: bool, message: str) -> None:
    """The hook's request was answered, well or not: either way the program's turn has come."""
    container = host.container(uid, name)
    if container is None or not container.stopping:
        return
    if not passed:
        host.events.warning(
            host.pods[uid].pod, "FailedPreStopHook", f"PreStopHook failed: {message}", field=container.field
        )
    stop(host, uid, name, container.attempt, SIGTERM_EXIT)


def stop(host: Host, uid: str, name: str, attempt: int, exit_code: int) -> None:
    """End a container's program; nothing when that run of it is over already."""
    container = host.container(uid, name)
    if container is None or container.attempt != attempt or not container.running:
        return
    host.runtime.stop_container(host.node_name, host.pods[uid].pod, name)
    over(host, uid, name, exit_code)


def over(host: Host, uid: str, name: str, exit_code: int) -> None:
    """A program ended; in a terminating Pod that may have been the last."""
    ended(host, uid, name, exit_code)
    run = host.pods.get(uid)
    if run is not None and run.terminating:
        progress(host, uid)


def terminate(host: Host, uid: str) -> None:
    """Begin to end a Pod that got a deletionTimestamp, or hurry when its grace period was cut."""
    run = host.pods[uid]
    grace_s = float(run.pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE_S))
    deadline_ns = host.clock.now_ns + round(grace_s * 1e9)
    if run.terminating:
        if run.kill_ns is not None and deadline_ns < run.kill_ns:
            host.keep(attrs.evolve(run, kill_ns=deadline_ns))
            host.after(grace_s, "kill", uid)
        return
    host.keep(attrs.evolve(run, terminating=True, kill_ns=deadline_ns))
    for container in list(run.of_role(APP)):
        stop_container(host, uid, container.name, f"Stopping container {container.name}", grace_s)
    if uid in host.pods:
        progress(host, uid)


def progress(host: Host, uid: str) -> None:
    """Once the app containers are over, stop the init containers and sidecars, last first; then let go of the Pod."""
    run = host.pods.get(uid)
    if run is None:
        return
    if any(c.running for c in run.of_role(APP)):
        host.publish(uid)
        return
    for container in reversed(list(run.containers.values())):
        current = host.container(uid, container.name)
        if current is None:
            return
        if current.running:
            stop_container(host, uid, container.name, f"Stopping container {container.name}", _left_s(host, run))
            return
    finish(host, uid)
    host.publish(uid)
    delete(host, uid)


def _left_s(host: Host, run: PodRun) -> float:
    return max(0.0, ((run.kill_ns or 0) - host.clock.now_ns) / 1e9)


def overdue(host: Host, uid: str) -> None:
    """`activeDeadlineSeconds` passed: the Pod fails."""
    run = host.pods.get(uid)
    if run is not None and not run.finished and not run.terminating:
        fail(host, uid, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


def follow_images(host: Host, uid: str) -> None:
    """Restart containers whose image was changed in the Pod."""
    run = host.pods[uid]
    for spec in (*run.pod["spec"]["containers"], *(run.pod["spec"].get("initContainers") or ())):
        container = run.containers.get(spec["name"])
        if container is not None and container.spec.get("image") != spec.get("image"):
            host.keep_container(uid, attrs.evolve(container, spec=spec))
            message = f"Container {spec['name']} definition changed, will be restarted"
            stop_container(host, uid, spec["name"], message, None)


def kill(host: Host, uid: str) -> None:
    """The (shortened) grace period is over: end whatever still runs."""
    run = host.pods.get(uid)
    if run is None or run.kill_ns is None or host.clock.now_ns < run.kill_ns:
        return
    for container in list(run.containers.values()):
        stop(host, uid, container.name, container.attempt, SIGKILL_EXIT)


def delete(host: Host, uid: str) -> None:
    """Let go of the Pod object of a Pod that has ended."""
    if uid not in host.pods:
        return
    meta = host.pods[uid].pod["metadata"]
    if "deletionTimestamp" not in meta:
        return
    try:
        host.client.delete("pods", meta["name"], meta["namespace"], grace_period_s=0, uid=uid)
    except ApiFault:
        host.after(PUBLISH_AGAIN_S, "delete", uid)
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def forget(host: Host, uid: str) -> None:
    """The Pod object is gone: end everything at once and drop it."""
    if uid in host.pods:
        run = host.pods[uid]
        host.keep(attrs.evolve(run, terminating=True))
        for container in run.containers.values():
            if container.running:
                host.runtime.stop_container(host.node_name, run.pod, container.name)
        finish(host, uid)
        del host.pods[uid]
