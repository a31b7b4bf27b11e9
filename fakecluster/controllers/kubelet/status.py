"""From what runs to the Pod's status: phase, conditions, container states.

Sources: kubernetes pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase), pkg/kubelet/status/generate.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from fakecluster.controllers.conditions import merged
from fakecluster.controllers.kubelet.run import APP, EPHEMERAL, INIT, SIDECAR, ContainerRun, PodRun, initialized

Json = dict[str, Any]
#: conditions that the kubelet writes, in the order in which it lists them
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def phase(run: PodRun) -> str:
    """Pending, Running, Succeeded or Failed."""
    if run.failure:
        return "Failed"
    if any(c.exit_code not in (None, 0) for c in run.of_role(INIT)) and run.restart_policy == "Never":
        return "Failed"
    if not initialized(run):
        return "Pending"
    apps = list(run.of_role(APP))
    if any("waiting" in c.state and c.exit_code is None for c in apps):
        return "Pending"
    if any(c.running for c in apps):
        return "Running"
    if run.restart_policy == "Always" and not run.terminating:
        return "Running"
    if all(c.exit_code == 0 for c in apps):
        return "Succeeded"
    return "Failed" if run.restart_policy == "Never" or run.terminating else "Running"


def pod_status(run: PodRun, host_ips: list[str], now: str) -> Json:
    """The whole status of a Pod; what others wrote into it (conditions of other owners, qosClass) is kept."""
    old = run.pod.get("status") or {}
    status = {k: v for k, v in old.items() if k not in ("reason", "message")}
    if generation := run.pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    status["phase"] = phase(run)
    status["startTime"] = run.start_time
    if run.failure:
        status["reason"], status["message"] = run.failure
    if host_ips:
        status["hostIP"], status["hostIPs"] = host_ips[0], [{"ip": ip} for ip in host_ips]
    if run.ips:
        status["podIP"], status["podIPs"] = run.ips[0], [{"ip": ip} for ip in run.ips]
    if any(run.of_role(INIT, SIDECAR)):
        status["initContainerStatuses"] = [container_status(run, c) for c in run.of_role(INIT, SIDECAR)]
    if not run.failure or any(c.attempt for c in run.of_role(APP)):
        status["containerStatuses"] = sorted(
            (container_status(run, c) for c in run.of_role(APP)), key=lambda c: str(c["name"])
        )
    if any(run.of_role(EPHEMERAL)):
        status["ephemeralContainerStatuses"] = [container_status(run, c) for c in run.of_role(EPHEMERAL)]
    status["conditions"] = _conditions(run, old.get("conditions") or [], now)
    return status


def container_status(run: PodRun, container: ContainerRun) -> Json:
    """One ContainerStatus; the ids of containers and images are hashes of what they are of."""
    spec = container.spec
    status: Json = {
        "name": container.name,
        "state": container.state,
        "lastState": container.last_state,
        "ready": container.ready if container.role != INIT else container.exit_code == 0,
        "restartCount": container.restarts,
        "image": full_image(spec.get("image", "")) if container.attempt else spec.get("image", ""),
        "imageID": image_id(spec.get("image", "")) if container.attempt else "",
        "started": container.started and container.running,
    }
    if container.role == EPHEMERAL:
        del status["started"]
    if container.attempt:
        status["containerID"] = container_id(run.uid, container.name, container.attempt)
        status |= container.given
    if container.attempt and (mounts := spec.get("volumeMounts")):
        status["volumeMounts"] = [_mount(mount) for mount in mounts]
    if container.running:
        resources = spec.get("resources") or {}
        status["resources"] = resources
        if requests := resources.get("requests"):
            status["allocatedResources"] = requests
    return status


def _mount(mount: Json) -> Json:
    shown = {key: mount[key] for key in ("name", "mountPath", "readOnly") if mount.get(key)}
    return {**shown, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else shown


def container_id(uid: str, name: str, attempt: int) -> str:
    return "containerd://" + hashlib.sha256(f"{uid}/{name}/{attempt}".encode()).hexdigest()


def full_image(image: str) -> str:
    """An image name as containerd reports it: with registry, library and tag."""
    name, at, digest = image.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    return name + at + digest


def image_id(image: str) -> str:
    full = full_image(image)
    if "@" in full:
        return full
    path, _, tag = full.rpartition(":")
    return f"{path}@sha256:{hashlib.sha256(f'{path}:{tag}'.encode()).hexdigest()}"


# --- conditions


def _conditions(run: PodRun, old: list[Json], now: str) -> list[Json]:
    ready_containers = _containers_ready(run)
    owned = {
        "PodReadyToStartContainers": _plain(run.ips is not None and not run.finished),
        "Initialized": _initialized(run),
        "Ready": _ready(run, ready_containers, old),
        "ContainersReady": ready_containers,
        "PodScheduled": _plain(True),
    }
    generation = run.pod["metadata"].get("generation")
    known = {one["type"]: one for one in old}
    found: list[Json] = []
    for kind in OWNED:
        new = {"type": kind, "lastProbeTime": None, **owned[kind]}
        if generation:
            new["observedGeneration"] = generation
        found += merged([known[kind]] if kind in known else [], new, now)
    return [*found, *(one for one in old if one["type"] not in OWNED)]


def _plain(holds: bool) -> Json:
    return {"status": "True" if holds else "False"}


def _not(reason: str, message: str = "") -> Json:
    return {"status": "False", "reason": reason, **({"message": message} if message else {})}


def _names(containers: Iterable[ContainerRun]) -> str:
    return f"[{' '.join(c.name for c in containers)}]"


def _initialized(run: PodRun) -> Json:
    if phase(run) == "Succeeded":
        return {"status": "True", "reason": "PodCompleted"}
    if initialized(run):
        return _plain(True)
    open_ones = [c for c in run.of_role(INIT, SIDECAR) if not (c.started if c.role == SIDECAR else c.exit_code == 0)]
    return _not("ContainersNotInitialized", f"containers with incomplete status: {_names(open_ones)}")


def _containers_ready(run: PodRun) -> Json:
    ended = phase(run)
    if ended == "Succeeded":
        return _not("PodCompleted")
    if ended == "Failed":
        return _not("PodFailed")
    unready = [c for c in run.of_role(SIDECAR, APP) if not c.ready]
    if not unready:
        return _plain(True)
    return _not("ContainersNotReady", f"containers with unready status: {_names(unready)}")


def _ready(run: PodRun, containers_ready: Json, old: list[Json]) -> Json:
    if containers_ready["status"] != "True":
        return containers_ready
    states = {one["type"]: one["status"] for one in old}
    complaints = []
    for gate in run.pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in states:
            complaints.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif states[kind] != "True":
            complaints.append(f'the status of pod readiness gate "{kind}" is not "True", but {states[kind]}')
    return _not("ReadinessGatesNotReady", ", ".join(complaints)) if complaints else _plain(True)
