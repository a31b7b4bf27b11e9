"""`pods/log`: the lines that a container has printed, chosen and written as the kubelet does.

Sources: kubernetes pkg/kubelet/kubelet_pods.go (validateContainerLogStatus), pkg/kubelet/kuberuntime/logs/logs.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from fakecluster.api import status
from fakecluster.api.rest.pod_streams import NS_PER_S, LogOptions, container_of, log_options
from fakecluster.api.rest.response import TEXT, Response
from fakecluster.api.status import ApiError
from fakecluster.cluster import Cluster
from fakecluster.cni.logs import Line, Start
from fakecluster.sim import Clock

JsonObject = dict[str, Any]
#: The exit code of a program that was killed, or of which nothing is known.
KILLED = 137
#: Reasons of waiting for an image -> what the kubelet says of them.
IMAGE_REASONS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def answer(cluster: Cluster, pod: JsonObject, query: dict[str, list[str]]) -> Response:
    """The answer to GET pods/NAME/log of a Pod on a node. Raises ApiError (400)."""
    name = pod["metadata"]["name"]
    options = log_options(query, name)
    container = container_of(pod, options.container)
    start = _start(cluster, pod, container, options)
    writer = Writer(cluster.clock, options)
    content = writer.text(choose(start.lines, options, cluster.clock))
    run = Run.latest(cluster, pod, container)
    if not options.follow or options.previous or run is None:
        return Response(200, content_type=TEXT, content=content)
    return Response(200, content_type=TEXT, stream=FollowedLog(run, writer, start.count, content))


def _start(cluster: Cluster, pod: JsonObject, container: str, options: LogOptions) -> Start:
    name = pod["metadata"]["name"]
    start = cluster.runtime.logs.start((pod["metadata"]["uid"], container), previous=options.previous)
    if start is not None:
        return start
    if options.previous:
        raise status.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    raise not_started(pod, container)


def not_started(pod: JsonObject, container: str) -> ApiError:
    """Why there is no log yet."""
    name, state = pod["metadata"]["name"], status_of(pod, container)
    if not state:
        return status.bad_request(f'container "{container}" in pod "{name}" is not available')
    reason = ((state.get("state") or {}).get("waiting") or {}).get("reason", "")
    what = IMAGE_REASONS.get(reason, reason)
    return status.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {what}')


def choose(lines: Sequence[Line], options: LogOptions, clock: Clock) -> Sequence[Line]:
    """The lines that the options ask for."""
    if options.stream != "All":
        lines = [line for line in lines if line.stream == options.stream.lower()]
    since_ns = options.since_time_ns
    if options.since_s is not None:
        since_ns = clock.epoch_s * NS_PER_S + clock.now_ns - options.since_s * NS_PER_S
    if since_ns is not None:
        lines = [line for line in lines if clock.epoch_s * NS_PER_S + line.when_ns >= since_ns]
    if options.tail is not None:
        lines = lines[len(lines) - options.tail :] if options.tail < len(lines) else lines
    return lines


@attrs.define(eq=False)
class Writer:
    """Lines as bytes, with their times when wanted, up to the limit of bytes."""

    clock: Clock
    options: LogOptions
    written: int = 0

    def text(self, lines: Sequence[Line]) -> bytes:
        parts = []
        for line in lines:
            stamp = f"{rfc3339_nano(self.clock, line.when_ns)} " if self.options.timestamps else ""
            parts.append(f"{stamp}{line.text}" + ("\n" if line.end else ""))
        content = "".join(parts).encode("utf-8", "surrogatepass")
        if self.options.limit_bytes is not None:
            content = content[: self.options.limit_bytes - self.written]
        self.written += len(content)
        return content

    @property
    def full(self) -> bool:
        return self.options.limit_bytes is not None and self.written >= self.options.limit_bytes


@attrs.define(eq=False)
class FollowedLog:
    """A log that is sent as it is written, until the program ends; `run` is the start that it is of."""

    run: Run
    writer: Writer
    position: int
    ready: bytes = b""
    closed: bool = False
    timeout_s: int | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to send, or nothing more will come."""
        start = self.run.start
        return bool(self.ready) or start is None or start.count > self.position or self.run.exit_code is not None

    def read(self) -> bytes:
        """What was written since the last look."""
        content, self.ready = self.ready, b""
        start = self.run.start
        if start is not None:
            wanted = choose(start.since(self.position), attrs.evolve(self.writer.options, tail=None), self.writer.clock)
            content += self.writer.text(wanted)
            self.position = start.count
        self.closed = start is None or self.writer.full or self.run.exit_code is not None
        return content


@attrs.frozen(eq=False)
class Run:
    """One start of a container's program."""

    cluster: Cluster
    namespace: str
    pod: str
    uid: str
    container: str
    number: int

    @classmethod
    def latest(cls, cluster: Cluster, pod: JsonObject, container: str) -> Run | None:
        """The last start; None when there was none."""
        meta = pod["metadata"]
        start = cluster.runtime.logs.start((meta["uid"], container))
        if start is None:
            return None
        return cls(cluster, meta["namespace"], meta["name"], meta["uid"], container, start.number)

    @property
    def start(self) -> Start | None:
        """What it has printed; None when that is not kept any more."""
        return self.cluster.runtime.logs.numbered((self.uid, self.container), self.number)

    @property
    def exit_code(self) -> int | None:
        """How it ended: None while it runs."""
        pod = self.cluster.parts.server.store.get("pods", self.namespace, self.pod)
        latest = self.cluster.runtime.logs.start((self.uid, self.container))
        if pod is None or pod["metadata"]["uid"] != self.uid or latest is None:
            return KILLED
        state = status_of(pod, self.container)
        now, before = state.get("state") or {}, state.get("lastState") or {}
        ended = now.get("terminated") or (before.get("terminated") if "waiting" in now else None)
        if latest.number != self.number:
            ended = before.get("terminated") or {"exitCode": KILLED}
        code: int | None = None if ended is None else ended["exitCode"]
        return code


def status_of(pod: JsonObject, container: str) -> JsonObject:
    """A container's status; empty when there is none."""
    state = pod.get("status") or {}
    groups = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return next((one for group in groups for one in state.get(group) or () if one["name"] == container), {})


def rfc3339_nano(clock: Clock, when_ns: int) -> str:
    """A time as the kubelet writes it before a line: nine digits of a second."""
    unix_ns = clock.epoch_s * NS_PER_S + when_ns
    whole = datetime.fromtimestamp(unix_ns // NS_PER_S, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{unix_ns % NS_PER_S:09}Z"
