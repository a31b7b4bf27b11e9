"""`exec` over WebSockets (subprotocols v4 and v5.channel.k8s.io): every message is a channel's number and its bytes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from fakecluster.api.rest.response import Response
from fakecluster.http.commands import Finished

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
#: What runs a command: (namespace, Pod, container, words); None when there is no such program.
Runner = Callable[[str, str, str, list[str]], Finished | None]
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDOUT, STDERR, ERROR = b"\x01", b"\x02", b"\x03"


def execute(run: Runner, path: str, query: str) -> tuple[Finished | None, list[str]]:
    """Run the command that a request names; what it left, and the command."""
    parts, options = path.split("/"), parse_qs(query)
    words = options.get("command", [])
    return run(parts[4], parts[6], options.get("container", [""])[0], words), words


async def report(finished: Finished | None, words: list[str], offered: list[str], send: Send) -> None:
    """Accept the connection, send what the command printed and how it ended."""
    chosen = next((protocol for protocol in PROTOCOLS if protocol in offered), None)
    await send({"type": "websocket.accept", "subprotocol": chosen})
    output = [(STDOUT, finished.stdout), (STDERR, finished.stderr)] if finished else []
    for channel, content in output:
        if content:
            await send({"type": "websocket.send", "bytes": channel + content})
    ended = json.dumps(status_of(finished, words)).encode()
    await send({"type": "websocket.send", "bytes": ERROR + ended})
    await send({"type": "websocket.close", "code": 1000})


def status_of(finished: Finished | None, words: list[str]) -> dict[str, Any]:
    """How a command ended, as the kubelet says it."""
    if finished is None:
        words_text = f'exec: "{words[0] if words else ""}": executable file not found in $PATH'
        return {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": words_text, "code": 500}
    if not finished.code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {finished.code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(finished.code)}]},
    }


async def refuse(response: Response, body: bytes, send: Send) -> None:
    """Answer the handshake with a Status instead."""
    headers = [(b"content-type", response.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
