"""The loop that workload controllers share: notice changes, remember which keys are dirty, work on those.

A controller is a `Duty`: what it watches, which keys a change concerns, and what to do about one key. Everything that
changes while the loop runs is in `Desk`, which a fork copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.ownership import Key, Owned
from fakecluster.controllers.timestamps import timestamp

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import Inbox, WatchEvent
    from fakecluster.sim import Choices, Clock

Json = dict[str, Any]


@attrs.define
class Desk:
    """What a controller works with: the way to the API, the clock, and the objects it watches by their owners."""

    target: str
    client: Client
    clock: Clock
    events: EventRecorder
    owned: dict[str, Owned]  # by resource
    dirty: dict[Key, None]

    @property
    def now(self) -> str:
        return timestamp(self.clock)

    def get(self, resource: str, key: Key) -> Json | None:
        """An object as it is in the store now, or None."""
        return self.client.server.store.get(resource, *key)

    def later(self, key: Key, delay_s: float) -> None:
        """Look at a key again in a while."""
        self.clock.schedule(self.target, key, delay_s=delay_s)


@attrs.frozen
class Duty:
    """One controller: `target` is its name on the clock, `agent` its name in Events."""

    target: str
    agent: str
    resources: frozenset[str]
    owns: frozenset[str]
    notice: Callable[[Desk, WatchEvent], Iterable[Key]]
    sync: Callable[[Desk, Key], None]


class Loop:
    """A running controller, bound to the clock; a `Controller` of the manager."""

    def __init__(self, duty: Duty, api: ApiServer, clock: Clock) -> None:
        self._duty = duty
        client = Client(api, user=f"system:serviceaccount:kube-system:{duty.agent}", agent="kube-controller-manager")
        events = EventRecorder(client, clock, duty.agent)
        self._desk = Desk(duty.target, client, clock, events, {name: Owned() for name in duty.owns}, {})
        self._inbox: Inbox = api.watch(duty.target, duty.resources)
        clock.bind(duty.target, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> Loop:
        copy = Loop.__new__(Loop)
        copy._duty, desk = self._duty, self._desk
        client = Client(api, user=desk.client.user, agent=desk.client.agent)
        owned = {resource: one.fork() for resource, one in desk.owned.items()}
        copy._desk = Desk(desk.target, client, clock, desk.events.fork(client, clock), owned, desk.dirty.copy())
        copy._inbox = api.inbox(desk.target)
        clock.bind(desk.target, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Work on every key that is dirty now, once; what that makes dirty again has another turn."""
        desk = self._desk
        if isinstance(payload, tuple):
            desk.dirty[payload] = None
        self._drain()
        for key in list(desk.dirty):
            del desk.dirty[key]
            self._sync(key)
            self._drain()  # what was just written is known before the next key
        if desk.dirty:
            desk.clock.schedule(desk.target, "more")

    def _sync(self, key: Key) -> None:
        try:
            self._duty.sync(self._desk, key)
        except ApiError as error:
            if error.code not in (404, 409) and error.reason != "Forbidden":
                raise  # anything else would be a request that no real controller makes

    def _drain(self) -> None:
        desk = self._desk
        for event in self._inbox.take():
            if event.resource in desk.owned:
                desk.owned[event.resource].note(event)
            for key in self._duty.notice(desk, event):
                desk.dirty[key] = None
