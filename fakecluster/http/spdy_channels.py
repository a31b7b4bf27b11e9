"""Channels and ports as streams of a SPDY connection, be it the TCP connection itself or a tunnel in a WebSocket.

Sources: kubernetes client-go tools/remotecommand (v2.go, v4.go), tools/portforward, kubelet pkg/portforward/httpstream.go.
"""

from __future__ import annotations

from collections import deque

from fakecluster.http.channels import Duplex, Input, PortData, PortOpened
from fakecluster.http.spdy import Arrived, BadFrame, Broken, Event, Opened, Wire

#: The stream protocols of commands that are spoken, the best first; before v4 the end of a command is plain text.
COMMAND_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
PORT_PROTOCOL = "portforward.k8s.io"


class _Connection:
    """Events of a SPDY connection, one after the other; streams are accepted as they come."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex, self._wire = duplex, Wire()
        self._events: deque[Event] = deque()

    async def event(self) -> Event | None:
        """The next event; None when the client has left, or makes no sense."""
        while not self._events:
            data = await self._duplex.read()
            if not data:
                return None
            try:
                self._events += self._wire.receive(data)
            except BadFrame:
                await self._duplex.close()
                return None
            if self._wire.due:
                due, self._wire.due = self._wire.due, b""
                await self._duplex.write(due)
        found = self._events.popleft()
        if isinstance(found, Opened):
            await self._duplex.write(self._wire.reply(found.stream))
        return found

    async def put(self, stream: int, data: bytes, *, end: bool = False) -> None:
        await self._duplex.write(self._wire.data(stream, data, end=end))


class SpdyChannels(_Connection):
    """The channels of a command: each is a stream whose header `streamtype` names it."""

    half_closes = True

    def __init__(self, duplex: Duplex, protocol: str, channels: frozenset[str]) -> None:
        super().__init__(duplex)
        self.speaks_status = protocol == COMMAND_PROTOCOLS[0]
        self._waited_for = channels
        self._streams: dict[str, int] = {}

    async def open(self) -> bool:
        """Wait until the client has opened every channel that it asked for; False when it left."""
        early: list[Event] = []
        while not self._waited_for <= self._streams.keys():
            event = await self.event()
            if event is None:
                return False
            if isinstance(event, Opened):
                self._streams[event.headers.get("streamtype", "")] = event.stream
            else:
                early.append(event)
        self._events.extendleft(reversed(early))
        return True

    async def receive(self) -> Input | None:
        while True:
            event = await self.event()
            if event is None:
                return None
            if isinstance(event, Arrived):
                names = (name for name, stream in self._streams.items() if stream == event.stream)
                channel = next(names, "")
                if event.data and event.ended:
                    self._events.appendleft(Arrived(event.stream, b"", True))
                if channel and (event.data or event.ended):
                    return Input(channel, event.data)

    async def send(self, channel: str, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None and data:
            await self.put(stream, data)

    async def finish(self) -> None:
        for stream in self._streams.values():
            await self.put(stream, b"", end=True)
        await self._duplex.close()


class SpdyPorts(_Connection):
    """Ports: two streams for each connection, `data` and `error`, which name the port and share a request's number."""

    def __init__(self, duplex: Duplex) -> None:
        super().__init__(duplex)
        self._pairs: dict[str, dict[str, int]] = {}

    async def receive(self) -> PortOpened | PortData | None:
        while True:
            event = await self.event()
            if event is None:
                return None
            found = self._meaning(event)
            if found is not None:
                return found

    def _meaning(self, event: Event) -> PortOpened | PortData | None:
        if isinstance(event, Opened):
            kind, port = event.headers.get("streamtype", ""), event.headers.get("port", "")
            pair = self._pairs.setdefault(event.headers.get("requestid", ""), {})
            pair[kind] = event.stream
            if pair.keys() >= {"data", "error"} and port.isdecimal() and 0 < int(port) < 65536:
                return PortOpened(event.headers.get("requestid", ""), int(port))
            return None
        if isinstance(event, Arrived | Broken):
            for connection, pair in self._pairs.items():
                if pair.get("data") == event.stream:
                    data, ended = (event.data, event.ended) if isinstance(event, Arrived) else (b"", True)
                    return PortData(connection, data, ended)
        return None

    async def send(self, connection: str, data: bytes) -> None:
        pair = self._pairs.get(connection)
        if pair is not None:
            await self.put(pair["data"], data)

    async def fail(self, connection: str, words: str) -> None:
        pair = self._pairs.pop(connection, None)
        if pair is not None:
            await self.put(pair["error"], words.encode(), end=True)
            await self.put(pair["data"], b"", end=True)

    async def end(self, connection: str) -> None:
        pair = self._pairs.pop(connection, None)
        if pair is not None:
            await self.put(pair["error"], b"", end=True)
            await self.put(pair["data"], b"", end=True)
