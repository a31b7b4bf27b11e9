"""Upgraded requests (`exec`, `attach`, `portforward`): the answer to the handshake, then the conversation."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qs

from fakecluster.api import status
from fakecluster.api.rest.response import Response
from fakecluster.api.status import ApiError
from fakecluster.http import websockets
from fakecluster.http.answers import head
from fakecluster.http.behind import COMMANDS, UPGRADED
from fakecluster.http.channels import Duplex
from fakecluster.http.door import PASSED_ON, Door
from fakecluster.http.spdy_channels import COMMAND_PROTOCOLS, PORT_PROTOCOL, SpdyChannels, SpdyPorts
from fakecluster.http.websockets import (
    TUNNEL,
    V4,
    V5,
    Receive,
    Send,
    WebSocketChannels,
    WebSocketDuplex,
    WebSocketPorts,
)


def permitted(door: Door, method: str, path: str, query: str, headers: dict[str, str], user: str) -> Response | None:
    """None when the conversation may begin; else the answer that refuses it."""
    with door:
        response = door.server.request(method, path, query, headers, b"", user)
    if response.status == PASSED_ON and door.behind is not None and subresource(path) in UPGRADED:
        return None
    return response


def subresource(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


async def _unless_refused(talk: Awaitable[None]) -> Response | None:
    """Talk; the answer that refuses it when that turned out before the connection was upgraded."""
    try:
        await talk
    except ApiError as problem:
        return Response(problem.code, problem.status)
    return None


# --- WebSockets


async def over_websocket(
    door: Door,
    path: str,
    query: str,
    headers: dict[str, str],
    user: str,
    offered: list[str],
    receive: Receive,
    send: Send,
) -> None:
    """Answer a WebSocket's handshake and talk."""
    await receive()
    refused = permitted(door, "GET", path, query, headers, user)
    refused = refused or await _unless_refused(_websocket(door, path, query, offered, receive, send))
    if refused is not None:
        await websockets.refuse(refused, door.body("GET", refused), send)


async def _websocket(door: Door, path: str, query: str, offered: list[str], receive: Receive, send: Send) -> None:
    assert door.behind is not None
    if subresource(path) in COMMANDS:
        protocol = _chosen((V5, V4), offered)
        with door:
            _, run = door.behind.command(path, query)
        await websockets.accept(send, protocol)
        await run(WebSocketChannels(receive, send, protocol))
        return
    protocol = _chosen((TUNNEL, V4), offered)
    numbers = _ports(query) if protocol == V4 else []
    carry = door.behind.ports(path)
    await websockets.accept(send, protocol)
    if protocol == TUNNEL:
        await carry(SpdyPorts(WebSocketDuplex(receive, send)))
    else:
        await carry(WebSocketPorts(receive, send, numbers))


def _chosen(spoken: tuple[str, ...], offered: list[str]) -> str:
    for protocol in spoken:
        if protocol in offered:
            return protocol
    raise status.bad_request(f"unable to upgrade: none of {', '.join(offered) or 'no subprotocols'} is spoken")


def _ports(query: str) -> list[int]:
    """The ports of a port-forward that names them in its query. Raises ApiError (400)."""
    words = [word for text in parse_qs(query).get("ports", ()) for word in text.split(",")]
    if not words:
        raise status.bad_request('query parameter "port" is required')
    if not all(word.isdecimal() and 0 < int(word) < 65536 for word in words):
        raise status.bad_request(f"unable to parse {words!r} as ports")
    return [int(word) for word in words]


# --- SPDY


async def over_spdy(
    door: Door, method: str, path: str, query: str, headers: dict[str, str], user: str, duplex: Duplex, send: Any
) -> None:
    """Answer a request that wants to become SPDY, and talk."""
    refused = permitted(door, method, path, query, headers, user)
    refused = refused or await _unless_refused(_spdy(door, path, query, headers, duplex, send))
    if refused is None:
        return
    body = door.body("GET", refused)
    fields = [*head(refused, ""), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _spdy(door: Door, path: str, query: str, headers: dict[str, str], duplex: Duplex, send: Any) -> None:
    assert door.behind is not None
    offered = [word.strip() for word in headers.get("x-stream-protocol-version", "").split(",")]
    if subresource(path) in COMMANDS:
        with door:
            asked, run = door.behind.command(path, query)
        protocol = _chosen(COMMAND_PROTOCOLS, offered)
        await _switch(send, protocol)
        channels = SpdyChannels(duplex, protocol, asked.channels)
        if await channels.open():
            await run(channels)
        return
    carry = door.behind.ports(path)
    await _switch(send, _chosen((PORT_PROTOCOL,), offered))
    await carry(SpdyPorts(duplex))


async def _switch(send: Any, protocol: str) -> None:
    fields = [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"SPDY/3.1"),
        (b"x-stream-protocol-version", protocol.encode()),
    ]
    await send({"type": "http.response.start", "status": 101, "headers": fields})
