"""A load under way: who asks when, and what is done with each end of an attempt.

    arrive / think ─► _begin ─► an idle connection, or a new one ─► request ─► _ended ─► retry, or an Exchange
                                                        time-out ─────────────────▲

Requests and connections are found by numbers and keys, so that a copy of the cluster goes on alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import Any

import attrs

from fakecluster.apps.echo import parse_answer
from fakecluster.apps.load.options import RANDOM, Load
from fakecluster.apps.load.result import ANSWERED, OUTCOMES, Exchange, LoadResult
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim import Choices, Clock
from fakecluster.sim.clock import NS_PER_S

ConnectionKey = tuple[int, int, int, int, int]
#: In a connection's context: the request that it is busy with (0: none), how many it had, what has come in of an answer.
REQUEST, COUNT, RECEIVED = "load request", "load count", "load received"


@attrs.frozen
class Place:
    """Who asks whom: the client's namespace, and the address and port that the target means there."""

    namespace: str
    family: int
    address: int
    port: int


@attrs.frozen
class Request:
    """One request that is not over: of which user (closed loop), since when, which attempt, on which connection."""

    client: int
    user: int
    start_ns: int
    attempt: int = 0
    connection: ConnectionKey | None = None


class LoadRun:
    """One load, bound to the clock target `load-NUMBER`; `result` is what came of it so far."""

    def __init__(
        self,
        number: int,
        load: Load,
        places: Sequence[Place],
        namespaces: Mapping[str, Netns],
        clock: Clock,
        choices: Choices,
    ) -> None:
        if not places:
            raise ValueError("a load needs a client")
        self.number, self.load, self.places = number, load, tuple(places)
        self._namespaces, self._clock, self._choices = namespaces, clock, choices
        self._exchanges: list[Exchange] = []
        self._requests: dict[int, Request] = {}
        self._idle: dict[int, tuple[ConnectionKey, ...]] = {}
        self._last = 0
        self._until_ns = clock.now_ns + round(load.duration_s * NS_PER_S)
        clock.bind(self.target, self._on_clock)
        if load.users:
            for user in range(load.users):
                clock.schedule(self.target, ("think", user))
        else:
            clock.schedule(self.target, ("arrive", 0))

    @property
    def target(self) -> str:
        return f"load-{self.number}"

    @property
    def result(self) -> LoadResult:
        """What has ended so far."""
        return LoadResult(tuple(self._exchanges), len(self._requests))

    def fork(self, namespaces: Mapping[str, Netns], clock: Clock, choices: Choices) -> LoadRun:
        """The same load in a copied cluster, whose connections it takes over."""
        copy = LoadRun.__new__(LoadRun)
        copy.__dict__.update(self.__dict__)
        copy._namespaces, copy._clock, copy._choices = namespaces, clock, choices
        copy._exchanges, copy._requests = self._exchanges.copy(), self._requests.copy()
        copy._idle = self._idle.copy()
        clock.bind(copy.target, copy._on_clock)
        program = LoadProgram(copy)
        for name in {place.namespace for place in self.places}:
            netns = namespaces.get(name)
            for connection in netns.sockets.connections.values() if netns is not None else ():
                if isinstance(connection.program, LoadProgram) and connection.program.run.number == self.number:
                    connection.program = program
        return copy

    # --- when

    def _on_clock(self, payload: tuple[Any, ...]) -> None:
        STEPS[payload[0]](self, *payload[1:])

    def _arrive(self, count: int) -> None:
        """The open loop: begin a request, and see to the next one."""
        if self._clock.now_ns >= self._until_ns:
            return
        interval_s = 1 / self.load.rate_per_s
        if self.load.arrivals == RANDOM:
            interval_s *= -log((self._choices.draw(1 << 32, "arrival") + 1) / (1 << 32))
        self._clock.schedule(self.target, ("arrive", count + 1), delay_s=interval_s)
        self._start(count % len(self.places), -1)

    def _think(self, user: int) -> None:
        """The closed loop: a user's next request."""
        if self._clock.now_ns < self._until_ns:
            self._start(user % len(self.places), user)

    def _start(self, client: int, user: int) -> None:
        self._last += 1
        self._requests[self._last] = Request(client, user, self._clock.now_ns)
        self._attempt(self._last)

    # --- one attempt

    def _attempt(self, number: int) -> None:
        request = self._requests[number]
        request = self._requests[number] = attrs.evolve(request, attempt=request.attempt + 1, connection=None)
        self._clock.schedule(self.target, ("timeout", number, request.attempt), delay_s=self.load.timeout_s)
        netns = self._namespaces.get(self.places[request.client].namespace)
        if netns is None:
            self._ended(number, "client gone")
            return
        connection = self._idle_connection(netns, request.client) if request.attempt == 1 else None
        try:
            if connection is None:
                connection = self._connect(netns, number, request)
            else:
                connection.context[REQUEST] = number
                self._requests[number] = attrs.evolve(request, connection=connection.key)
                connection.send(self.load.request)
        except SendError as refused:
            self._ended(number, refused.name)

    def _connect(self, netns: Netns, number: int, request: Request) -> TcpConnection:
        place = self.places[request.client]
        connection = netns.sockets.connect(place.address, place.port, family=place.family, program=LoadProgram(self))
        connection.context[REQUEST] = number
        if number in self._requests:
            self._requests[number] = attrs.evolve(request, connection=connection.key)
        return connection

    def _idle_connection(self, netns: Netns, client: int) -> TcpConnection | None:
        """The connection that has been idle for the shortest time, as pools have it."""
        keys = list(self._idle.get(client, ()))
        found = None
        while keys and found is None:
            connection = netns.sockets.connections.get(keys.pop())
            if connection is not None and connection.state == "ESTABLISHED":
                found = connection
        self._idle[client] = tuple(keys)
        return found

    def opened(self, connection: TcpConnection) -> None:
        """The handshake is done: ask."""
        if connection.context.get(REQUEST):
            connection.send(self.load.request)
        else:
            connection.close()

    def heard(self, connection: TcpConnection, data: bytes) -> None:
        """A part of an answer."""
        received = connection.context.get(RECEIVED, b"") + data
        connection.context[RECEIVED] = received
        if is_whole(received):
            number = connection.context.get(REQUEST, 0)
            connection.context[REQUEST], connection.context[RECEIVED] = 0, b""
            self._keep_or_close(connection, number)
            answer = parse_answer(received)
            self._finish(number, ANSWERED, answer.server, answer.status)

    def _keep_or_close(self, connection: TcpConnection, number: int) -> None:
        request = self._requests.get(number)
        count = connection.context[COUNT] = connection.context.get(COUNT, 0) + 1
        used_up = self.load.requests_per_connection and count >= self.load.requests_per_connection
        if request is None or used_up or not self.load.keep_alive:
            connection.close()
        else:
            self._idle[request.client] = (*self._idle.get(request.client, ()), connection.key)

    def broken(self, connection: TcpConnection, outcome: str) -> None:
        """The connection is of no use any more; a request on it has failed."""
        number = connection.context.get(REQUEST, 0)
        connection.context[REQUEST] = 0
        if number in self._requests:
            self._ended(number, outcome)

    def _timed_out(self, number: int, attempt: int) -> None:
        request = self._requests.get(number)
        if request is None or request.attempt != attempt:
            return
        netns = self._namespaces.get(self.places[request.client].namespace)
        connection = netns.sockets.connections.get(request.connection) if netns and request.connection else None
        if connection is not None:
            connection.context[REQUEST] = 0
            connection.reset()
        self._ended(number, "timed out")

    # --- the end of one

    def _ended(self, number: int, outcome: str) -> None:
        """An attempt failed: again, or that was it."""
        request = self._requests[number]
        if request.attempt <= self.load.retries:
            self._clock.schedule(self.target, ("retry", number, request.attempt), delay_s=self.load.retry_delay_s)
        else:
            self._finish(number, OUTCOMES.get(outcome, outcome))

    def _retry(self, number: int, attempt: int) -> None:
        request = self._requests.get(number)
        if request is not None and request.attempt == attempt:
            self._attempt(number)

    def _finish(self, number: int, outcome: str, server: str = "", status: int = 0) -> None:
        request = self._requests.pop(number, None)
        if request is None:
            return
        now_ns = self._clock.now_ns
        client = self.places[request.client].namespace
        self._exchanges.append(
            Exchange(request.start_ns / NS_PER_S, now_ns / NS_PER_S, client, outcome, server, status, request.attempt)
        )
        if request.user >= 0:
            self._clock.schedule(self.target, ("think", request.user), delay_s=self.load.think_s)

    def __repr__(self) -> str:
        return f"<LoadRun {self.number}: {self.result.outcomes}>"


STEPS: dict[str, Callable[..., None]] = {
    "arrive": LoadRun._arrive,
    "think": LoadRun._think,
    "timeout": LoadRun._timed_out,
    "retry": LoadRun._retry,
}


@attrs.frozen(eq=False)
class LoadProgram:
    """Behind every connection of a load."""

    run: LoadRun

    def on_accept(self, connection: TcpConnection) -> None:
        self.run.opened(connection)

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        self.run.heard(connection, data)

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()
        self.run.broken(connection, "closed")

    def on_error(self, connection: TcpConnection, error: str) -> None:
        self.run.broken(connection, error)

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        return None


def is_whole(received: bytes) -> bool:
    """Whether an HTTP answer is complete by its Content-Length (RFC 9112 6.3; without one it has no body here)."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return True
