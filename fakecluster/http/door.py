"""The one way into a served cluster: a lock, and a bell that rings when something was stored while it was held.

Requests, the pace of the clock and the cluster's own methods all hold the lock while they touch the simulation. Whoever
lets go of it last rings the bell if the store has moved on; the watches that are open then look for their events.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import attrs

from fakecluster.api.rest.response import Response, Stream
from fakecluster.api.rest.users import ADMIN
from fakecluster.api.rest.watching import WatchStream
from fakecluster.api.server import ApiServer
from fakecluster.http.encoding import Encoder
from fakecluster.http.kubeconfig import ADMIN_TOKEN
from fakecluster.sim import Clock

if TYPE_CHECKING:
    from fakecluster.http.channels import Channels, Ports
    from fakecluster.http.running import Asked

#: How the API model answers what it may do but knows no way to: what programs in Pods are asked.
PASSED_ON = 501
#: Methods that change nothing, after which nothing new can be due.
READING = ("GET", "HEAD", "OPTIONS")


class Simulation(Protocol):
    """What is served: an API server and the clock that everything behind it runs on."""

    @property
    def server(self) -> ApiServer: ...

    @property
    def clock(self) -> Clock: ...


class Programs(Protocol):
    """What the API server passes requests on to, in Pods."""

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response | None: ...

    def command(self, path: str, query: str) -> tuple[Asked, Callable[[Channels], Awaitable[None]]]: ...

    def ports(self, path: str) -> Callable[[Ports], Awaitable[None]]: ...


@attrs.frozen(eq=False)
class Ear:
    """Somebody who waits for something that is not stored; asked whenever the lock is let go of."""

    heard: Callable[[], bool]
    ring: Callable[[], None]


class Door:
    """The lock around one simulation; `with door:` is re-entrant. `behind` are its programs, if it has a network."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.behind: Programs | None = None
        simulation.server.tokens.setdefault(ADMIN_TOKEN, ADMIN)
        self.encoder = Encoder()
        self.bells: list[Callable[[], None]] = []
        self.ears: list[Ear] = []
        self._lock = threading.RLock()
        self._depth = 0
        self._seen = simulation.server.store.revision

    @property
    def server(self) -> ApiServer:
        return self.simulation.server

    def __enter__(self) -> Door:
        self._lock.acquire()
        self._depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        rung: list[Callable[[], None]] = []
        if self._depth == 1:
            revision = self.server.store.revision
            if revision != self._seen:
                self._seen = revision
                rung += self.bells
            if self.ears:
                rung += [ear.ring for ear in self.ears if ear.heard()]
        self._depth -= 1
        self._lock.release()
        for ring in rung:
            ring()

    def request(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes, user: str) -> Response:
        """Answer one request; what a write makes due at once is done before the answer leaves."""
        with self:
            response = self.server.request(method, path, query, headers, body, user)
            if response.status == PASSED_ON and self.behind is not None:
                response = self.behind.answer(method, path, query, headers, body) or response
            if method not in READING:
                self.settle()
        return response

    def body(self, method: str, response: Response) -> bytes:
        """The bytes of an answer that is no watch."""
        if method != "GET" or response.content is not None:
            return response.body
        with self:
            return self.encoder.body(response.value)

    def read(self, stream: Stream) -> bytes:
        """What there is to send of a stream now."""
        with self:
            return self.encoder.lines(stream) if isinstance(stream, WatchStream) else stream.read()

    def settle(self) -> None:
        """Run what is due now."""
        with self:
            self.simulation.clock.settle()

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        with self:
            self.simulation.clock.advance(seconds)
