"""The loop that workload controllers share: notice changes, remember which keys are dirty, work on those.

A controller is a `Duty`: what it watches, which keys a change concerns, and what to do about one key. Everything that
changes while the loop runs is in `Desk`, which a fork copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.ownership import Key, Owned
from fakecluster.controllers.timestamps import timestamp
from fakecluster.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import Inbox, WatchEvent
    from fakecluster.sim import Choices, Clock

Json = dict[str, Any]


#: a key whose work failed is tried again after this, then after twice as long each time (DefaultControllerRateLimiter)
FIRST_RETRY_S, LONGEST_RETRY_S = 0.005, 1000.0
#: what another component said, and could not be done because the API server failed, is done later
HEARD_AGAIN_S = 1.0


@attrs.frozen
class Desk:
    """What a controller works with: the way to the API, the clock, its queue, and what it watches by owners."""

    client: Client
    clock: Clock
    events: EventRecorder
    queue: WorkQueue
    owned: dict[str, Owned]  # by resource

    @property
    def now(self) -> str:
        return timestamp(self.clock)

    def get(self, resource: str, key: Key) -> Json | None:
        """An object as it is in the store now, or None."""
        return self.client.server.store.get(resource, *key)

    def later(self, key: Key, delay_s: float) -> None:
        """Look at a key again in a while."""
        self.queue.add_later(key, delay_s)


@attrs.frozen
class Duty:
    """One controller: `target` is its name on the clock, `agent` its name in Events.

    `owns` names the resources whose objects are kept by owner, and the kind of that owner. `hear` takes clock events
    that other components send to the target.
    """

    target: str
    agent: str
    resources: frozenset[str]
    owns: Mapping[str, str]
    notice: Callable[[Desk, WatchEvent], Iterable[Key]]
    sync: Callable[[Desk, Key], None]
    hear: Callable[[Desk, tuple[Any, ...]], None] | None = None


class Loop:
    """A running controller, bound to the clock; a `Controller` of the manager.

    Every key is an event of its own, so that a test can stop between the work on one object and that on the next.
    """

    def __init__(self, duty: Duty, api: ApiServer, clock: Clock) -> None:
        self._duty = duty
        client = Client(api, user=f"system:serviceaccount:kube-system:{duty.agent}", agent="kube-controller-manager")
        events = EventRecorder(client, clock, duty.agent)
        queue = WorkQueue(clock, duty.target, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._desk = Desk(client, clock, events, queue, {name: Owned(kind) for name, kind in duty.owns.items()})
        self._inbox: Inbox = api.watch(duty.target, duty.resources)
        clock.bind(duty.target, self.handle)

    @property
    def client(self) -> Client:
        return self._desk.client

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> Loop:
        copy = Loop.__new__(Loop)
        copy._duty, desk = self._duty, self._desk
        client = Client(api, user=desk.client.user, agent=desk.client.agent)
        owned = {resource: one.fork() for resource, one in desk.owned.items()}
        copy._desk = Desk(client, clock, desk.events.fork(client, clock), desk.queue.fork(clock), owned)
        copy._inbox = api.inbox(copy._duty.target)
        clock.bind(copy._duty.target, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn what changed and which keys that concerns, or work on one of them, or hear another component."""
        is_for_duty = self._duty.hear is not None and isinstance(payload, tuple) and payload[0] != "sync"
        if self._duty.hear is not None and is_for_duty:
            self._hear(payload)
        self._drain()
        key = None if is_for_duty else self._desk.queue.take(payload)
        if key is not None:
            self._sync(key)

    def _hear(self, payload: tuple[Any, ...]) -> None:
        assert self._duty.hear is not None
        try:
            self._duty.hear(self._desk, payload)
        except ApiFault:
            self._desk.clock.schedule(self._duty.target, payload, delay_s=HEARD_AGAIN_S)

    def _sync(self, key: Key) -> None:
        queue = self._desk.queue
        try:
            self._duty.sync(self._desk, key)
        except ApiError as error:
            if error.code not in (403, 404, 409) and not isinstance(error, ApiFault):
                raise  # anything else would be a request that no real controller makes
            queue.failed(key)
        else:
            queue.done(key)

    def _drain(self) -> None:
        desk = self._desk
        for event in self._inbox.take():
            if event.resource in desk.owned:
                desk.owned[event.resource].note(event)
            for key in self._duty.notice(desk, event):
                desk.queue.add(key)
