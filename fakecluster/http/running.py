"""`exec` and `attach`: a command in a container, or the output of its program, through a client's channels.

Sources: kubernetes pkg/kubelet (GetExec, GetAttach), k8s.io/kubelet pkg/cri/streaming/remotecommand.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

import attrs

from fakecluster.api import status
from fakecluster.api.rest.options import first
from fakecluster.api.rest.pod_streams import container_of
from fakecluster.cluster import Cluster, commands
from fakecluster.cluster.commands import Finished
from fakecluster.errors import FakeclusterError
from fakecluster.handles.talk import Connection
from fakecluster.http.channels import ERROR, RESIZE, STDERR, STDIN, STDOUT, Channels
from fakecluster.http.container_logs import Run
from fakecluster.http.door import Door
from fakecluster.http.waiting import Waiting
from fakecluster.kernel.effects import SendError

JsonObject = dict[str, Any]
#: Virtual time that a command waits for an answer.
PATIENCE_S = 5.0
#: Input that a command takes; more is not read.
INPUT_LIMIT = 1 << 20


@attrs.frozen
class Asked:
    """What a request for `exec` or `attach` names."""

    namespace: str
    pod: str
    container: str
    words: tuple[str, ...]
    channels: frozenset[str]
    tty: bool

    @classmethod
    def of(cls, pod: JsonObject, query: str) -> Asked:
        """Read a request's query. Raises ApiError (400)."""
        options = parse_qs(query, keep_blank_values=True)
        on = {name for name in (STDIN, STDOUT, STDERR, "tty") if first(options, name) in ("1", "true")}
        if not on & {STDIN, STDOUT, STDERR}:
            raise status.bad_request("you must specify at least 1 of stdin, stdout, stderr")
        tty = "tty" in on
        channels = (on - {"tty"} - ({STDERR} if tty else set())) | {ERROR} | ({RESIZE} if tty else set())
        container = container_of(pod, first(options, "container"))
        meta = pod["metadata"]
        words = tuple(options.get("command", ()))
        return cls(meta["namespace"], meta["name"], container, words, frozenset(channels), tty)


async def execute(door: Door, cluster: Cluster, asked: Asked, channels: Channels) -> None:
    """Run a command and report how it ended."""
    stdin = b""
    if STDIN in asked.channels and commands.reads_input(asked.words):
        found = await _input(channels)
        if found is None:
            return
        stdin = found
    try:
        with door:
            pod = cluster.pod(asked.pod, asked.namespace)
            place = commands.Place(pod, asked.container, pod, PATIENCE_S, stdin)
            opened = commands.converse(place, asked.words) if STDIN in asked.channels else None
            finished = commands.run(place, asked.words) if opened is None else None
    except (LookupError, FakeclusterError) as gone:  # the Pod went meanwhile
        await _end(channels, _failure(str(gone)))
        return
    if isinstance(opened, Finished):
        finished = opened
    elif opened is not None:
        await _print(channels, asked, STDERR, opened.greeting)
        if not await _converse(door, asked, opened.connection, channels):
            return
        finished = Finished()
    output = Finished() if finished is None else finished
    await _print(channels, asked, STDOUT, output.stdout)
    await _print(channels, asked, STDERR, output.stderr)
    await _end(channels, how_it_ended(finished, asked.words))


async def _converse(door: Door, asked: Asked, connection: Connection, channels: Channels) -> bool:
    """Send what the client types and show what comes back, until its input or the other end is over.

    False when the client left.
    """
    while True:
        found = await channels.receive()
        with door:
            ended = found is None or (found.channel == STDIN and not found.data)
            if found is not None and found.channel == STDIN and found.data:
                try:
                    connection.send(found.data)
                except SendError:
                    ended = True
            came = connection.wait(PATIENCE_S) if found is not None and (found.data or ended) else b""
            if ended:
                connection.close()
        await _print(channels, asked, STDOUT, came)
        if ended or connection.over:
            return found is not None


async def _input(channels: Channels) -> bytes | None:
    """All input until its end (the first piece where an end cannot be said); None when the client left."""
    data = b""
    while len(data) < INPUT_LIMIT:
        found = await channels.receive()
        if found is None:
            return None
        if found.channel != STDIN:
            continue
        data += found.data
        if not found.data or not channels.half_closes:
            break
    return data


async def _print(channels: Channels, asked: Asked, channel: str, data: bytes) -> None:
    if asked.tty:  # a terminal has one output, and begins lines itself
        channel, data = STDOUT, data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if channel in asked.channels:
        await channels.send(channel, data)


async def _end(channels: Channels, ended: JsonObject) -> None:
    if channels.speaks_status:
        await channels.send(ERROR, json.dumps(ended).encode())
    elif ended["status"] != "Success":
        await channels.send(ERROR, ended["message"].encode())
    await channels.finish()


async def attach(door: Door, cluster: Cluster, asked: Asked, channels: Channels) -> None:
    """Show what a container's program prints from now on, until it ends or the client leaves."""
    with door:
        pod = cluster.parts.server.store.get("pods", asked.namespace, asked.pod)
        run = None if pod is None else Run.latest(cluster, pod, asked.container)
        start = None if run is None else run.start
    if run is None or start is None:
        await _end(channels, _failure(f"container {asked.container} not found in pod {asked.pod}_{asked.namespace}"))
        return
    position = start.count
    leaving = asyncio.ensure_future(_left(channels))
    showing = asyncio.ensure_future(_show(door, run, position, asked, channels))
    await asyncio.wait((leaving, showing), return_when=asyncio.FIRST_COMPLETED)
    for task in (leaving, showing):
        task.cancel()
    await asyncio.gather(leaving, showing, return_exceptions=True)


async def _left(channels: Channels) -> None:
    while await channels.receive() is not None:  # the programs here read no input
        pass


async def _show(door: Door, run: Run, position: int, asked: Asked, channels: Channels) -> None:
    def heard() -> bool:
        start = run.start
        return start is None or start.count > position or run.exit_code is not None

    with Waiting(door, heard) as waiting:
        while True:
            with door:
                start, code = run.start, run.exit_code
                lines = list(start.since(position)) if start is not None else []
            position += len(lines)
            for line in lines:
                data = line.text.encode("utf-8", "surrogatepass") + (b"\n" if line.end else b"")
                await _print(channels, asked, line.stream, data)
            if code is not None or start is None:
                await _end(channels, how_it_ended(Finished(code=code or 0), ()))
                return
            if not lines:
                await waiting.once()


def how_it_ended(finished: Finished | None, words: tuple[str, ...]) -> JsonObject:
    """The Status that ends a command."""
    if finished is None:
        program = words[0] if words else ""
        return _failure(f'exec: "{program}": executable file not found in $PATH')
    if not finished.code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {finished.code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(finished.code)}]},
    }


def _failure(words: str) -> JsonObject:
    return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": words, "code": 500}
