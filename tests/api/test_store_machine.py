"""A list and the watch that follows it always give the present state, whatever happens in between."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.api.store import WatchEvent
from fakecluster.sim import Clock, Seeded

RESOURCE = "configmaps"
NAMES = st.sampled_from(["a", "b", "c", "d"])
NAMESPACES = st.sampled_from(["default", "kube-system"])
VALUES = st.sampled_from(["1", "2", "3"])
State = dict[tuple[str, str], str]


class Watcher:
    """Somebody who listed once and only follows the events since."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.inbox = server.watch(name, [RESOURCE])
        self.state: State = {}
        self.revision = 0

    def catch_up(self) -> None:
        for event in self.inbox.take():
            self.apply(event)

    def apply(self, event: WatchEvent) -> None:
        meta = event.object["metadata"]
        key = meta["namespace"], meta["name"]
        assert event.type in ("ADDED", "MODIFIED", "DELETED")
        assert (key in self.state) == (event.type != "ADDED"), f"{event.type} of {key}, state {self.state}"
        if event.type == "DELETED":
            del self.state[key]
        else:
            self.state[key] = event.object["data"]["k"]


class StoreMachine(RuleBasedStateMachine):
    """Creates, updates and deletes through the client; watchers come, go and lag behind; the server is forked."""

    watchers = Bundle("watchers")

    @initialize()
    def start(self) -> None:
        self.server = ApiServer(Clock(), Seeded(0))
        for stored in self.server.store.list(RESOURCE):
            meta = stored["metadata"]
            self.server.store.remove(RESOURCE, meta["namespace"], meta["name"])
        self.client = Client(self.server)
        self.model: State = {}
        self.count = 0

    @rule(namespace=NAMESPACES, name=NAMES, value=VALUES)
    def create(self, namespace: str, name: str, value: str) -> None:
        try:
            self.client.create(RESOURCE, {"metadata": {"name": name}, "data": {"k": value}}, namespace)
        except ApiError as refusal:
            assert refusal.reason == "AlreadyExists" and (namespace, name) in self.model
        else:
            assert (namespace, name) not in self.model
            self.model[namespace, name] = value

    @rule(namespace=NAMESPACES, name=NAMES, value=VALUES)
    def patch(self, namespace: str, name: str, value: str) -> None:
        before = self.server.store.revision
        try:
            self.client.patch(RESOURCE, name, {"data": {"k": value}}, namespace)
        except ApiError as refusal:
            assert refusal.reason == "NotFound" and (namespace, name) not in self.model
            return
        changed = self.model[namespace, name] != value
        assert (self.server.store.revision > before) == changed, "exactly the changes count"
        self.model[namespace, name] = value

    @rule(namespace=NAMESPACES, name=NAMES)
    def delete(self, namespace: str, name: str) -> None:
        try:
            self.client.delete(RESOURCE, name, namespace)
        except ApiError as refusal:
            assert refusal.reason == "NotFound" and (namespace, name) not in self.model
        else:
            del self.model[namespace, name]

    @rule(target=watchers)
    def watch(self) -> object:
        self.count += 1
        return Watcher(self.server, f"watcher-{self.count}")

    @rule(watcher=watchers)
    def catch_up(self, watcher: Watcher) -> None:
        if self.server.store.inboxes.get(watcher.inbox.target) is watcher.inbox:
            watcher.catch_up()
            assert watcher.state == self.model

    @rule(target=watchers)
    def fork(self) -> object:
        """Go on with a copy; what happens to the original must not show."""
        original, self.server = self.server, self.server.fork(Clock(), Seeded(1))
        self.client = Client(self.server)
        Client(original).create(RESOURCE, {"metadata": {"name": "only-there"}, "data": {"k": "9"}}, "default")
        return multiple()

    @rule(revisions_ago=st.integers(0, 6))
    def replay_history(self, revisions_ago: int) -> None:
        """A snapshot of the past and the changes since make the present."""
        store = self.server.store
        revision = max(store.revision - revisions_ago, store.oldest)
        follower = Watcher.__new__(Watcher)
        follower.state = {
            (s.object["metadata"]["namespace"], s.object["metadata"]["name"]): s.object["data"]["k"]
            for s in store.snapshot(RESOURCE, "", revision)
        }
        for event in store.since(revision):
            if event.resource == RESOURCE:
                follower.apply(event)
        assert follower.state == self.model

    @invariant()
    def the_list_is_the_model(self) -> None:
        if hasattr(self, "client"):
            listed = {
                (o["metadata"]["namespace"], o["metadata"]["name"]): o["data"]["k"] for o in self.client.list(RESOURCE)
            }
            assert listed == self.model


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestStore = StoreMachine.TestCase
