"""What a kubelet knows of a running Pod, as frozen values: a change makes a new one, so a fork copies one dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

Json = dict[str, Any]

INIT, SIDECAR, APP, EPHEMERAL = "init", "sidecar", "app", "ephemeral"
#: role -> the list of the Pod that its containers stand in
LISTS = {INIT: "initContainers", SIDECAR: "initContainers", APP: "containers", EPHEMERAL: "ephemeralContainers"}


@attrs.frozen
class Streak:
    """Answers of one probe in a row; `asked`: one is on its way."""

    passed: int = 0
    failed: int = 0
    asked: bool = False


@attrs.frozen
class ContainerRun:
    """One container of a Pod: `state` and `last_state` as in its ContainerStatus, `attempt` counts its starts."""

    spec: Json
    role: str
    state: Json
    last_state: Json = attrs.field(factory=dict)
    attempt: int = 0
    restarts: int = 0
    started: bool = False
    ready: bool = False
    streaks: Mapping[str, Streak] = attrs.field(factory=dict)
    backoff_s: float = 0.0
    backoff_set_ns: int = 0
    stopping: bool = False
    given: Json = attrs.field(factory=dict)  # image and ids of a run that the kubelet did not start itself

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def field(self) -> str:
        """The container's place in its Pod, as Events name it."""
        return f"spec.{LISTS[self.role]}{{{self.name}}}"

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The exit code of the run that ended last, while no other has begun."""
        ended = self.state.get("terminated")
        if ended is None and "waiting" in self.state:
            ended = self.last_state.get("terminated")
        return None if ended is None else ended["exitCode"]

    def streak(self, kind: str) -> Streak:
        return self.streaks.get(kind, Streak())

    def with_streak(self, kind: str, streak: Streak) -> ContainerRun:
        return attrs.evolve(self, streaks={**self.streaks, kind: streak})


@attrs.frozen
class PodRun:
    """One Pod on this node: the object as last seen, its sandbox (None before there is one), its containers."""

    pod: Json
    start_time: str
    containers: Mapping[str, ContainerRun]
    ips: tuple[str, ...] | None = None
    terminating: bool = False
    kill_ns: int | None = None  # when a terminating Pod's programs are killed
    finished: bool = False  # its sandbox is gone and nothing will run again
    failure: tuple[str, str] | None = None  # reason and message of a Pod that the kubelet failed

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def restart_policy(self) -> str:
        return self.pod["spec"].get("restartPolicy") or "Always"

    def of_role(self, *roles: str) -> Iterator[ContainerRun]:
        return (c for c in self.containers.values() if c.role in roles)

    def with_container(self, container: ContainerRun) -> PodRun:
        return attrs.evolve(self, containers={**self.containers, container.name: container})


def new_run(pod: Json, now: str) -> PodRun:
    """A Pod that the kubelet has just seen: init containers first, in order.

    Usually nothing runs yet; of a Pod that comes with its container statuses, everything is as they say.
    """
    spec, status = pod["spec"], pod.get("status") or {}
    init = spec.get("initContainers") or []
    waiting = {"waiting": {"reason": "PodInitializing" if init else "ContainerCreating"}}
    known = {
        one["name"]: one for group in ("initContainerStatuses", "containerStatuses") for one in status.get(group) or ()
    }
    containers = {}
    for container in init:
        role = SIDECAR if container.get("restartPolicy") == "Always" else INIT
        containers[container["name"]] = ContainerRun(container, role, waiting)
    for container in spec["containers"]:
        containers[container["name"]] = ContainerRun(container, APP, waiting)
    containers = {name: _as_known(one, known.get(name)) for name, one in containers.items()}
    return with_ephemeral(PodRun(pod, status.get("startTime") or now, containers))


def with_ephemeral(run: PodRun) -> PodRun:
    """The Pod with the ephemeral containers that were added to it (`kubectl debug`)."""
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    for container in run.pod["spec"].get("ephemeralContainers") or ():
        if container["name"] not in run.containers:
            run = run.with_container(ContainerRun(container, EPHEMERAL, waiting))
    return run


def _as_known(container: ContainerRun, status: Json | None) -> ContainerRun:
    """A container as its status tells of it."""
    state = (status or {}).get("state") or {}
    if status is None or not ("running" in state or "terminated" in state):
        return container
    return attrs.evolve(
        container,
        state=state,
        last_state=status.get("lastState") or {},
        attempt=status.get("restartCount", 0) + 1,
        restarts=status.get("restartCount", 0),
        started=bool(status.get("started")),
        ready=bool(status.get("ready")),
        given={key: status[key] for key in ("image", "imageID", "containerID") if key in status},
    )


def initialized(run: PodRun) -> bool:
    """Whether every init container has done its part: ended well, or, restarting always, started."""
    return all(c.started if c.role == SIDECAR else c.exit_code == 0 for c in run.of_role(INIT, SIDECAR)) or any(
        c.attempt for c in run.of_role(APP)
    )


def restarts(run: PodRun, container: ContainerRun) -> bool:
    """Whether a container that ended is started again (pkg/kubelet/container ShouldContainerBeRestarted)."""
    if run.terminating or run.failure or container.role == EPHEMERAL:
        return False
    if container.role == SIDECAR:
        return not all_done(run)
    policy = (container.role == APP and container.spec.get("restartPolicy")) or run.restart_policy
    if container.role == INIT and policy == "Always":
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)


def all_done(run: PodRun) -> bool:
    """Whether nothing but sidecars could still run: every app container ended for good, or an init container failed."""
    if any(c.role == INIT and c.exit_code not in (None, 0) and not restarts(run, c) for c in run.of_role(INIT)):
        return True
    return all("terminated" in c.state and not restarts(run, c) for c in run.of_role(APP))
