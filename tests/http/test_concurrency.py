"""Many clients at once: what a client builds from list and watch is what is stored."""

import json
import selectors
import socket
import threading
from typing import Any

from http_connection import Connection

from fakecluster import Cluster
from fakecluster.http import Served

MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS, ROUNDS, WATCHERS = 50, 6, 100


def write(api: Served, number: int) -> None:
    connection = Connection(api)
    for turn in range(ROUNDS):
        name = f"w{number}-{turn % 2}"
        body = {"metadata": {"name": name}, "data": {"turn": str(turn)}}
        if turn < 2:
            assert connection.ask("POST", MAPS, body).read()
        elif turn < 4:
            patch = {"data": {"turn": str(turn)}}
            headers = {"Content_Type": "application/merge-patch+json"}
            assert connection.ask("PATCH", f"{MAPS}/{name}", patch, **headers).read()
        elif turn == 4:
            assert connection.ask("DELETE", f"{MAPS}/{name}").read()
    body = {"metadata": {"name": f"done-{number}"}}
    assert connection.ask("POST", MAPS, body).read()


class Follower:
    """List, then watch from the list's version; HTTP/1.0, so that the events come as plain lines."""

    def __init__(self, api: Served) -> None:
        listed = Connection(api).json("GET", MAPS)
        self.seen = {item["metadata"]["name"]: (item.get("data") or {}).get("turn", "") for item in listed["items"]}
        self.revisions: list[int] = []
        self.buffer = b""
        self.raw = socket.create_connection(("127.0.0.1", api.port), timeout=30)
        version = listed["metadata"]["resourceVersion"]
        self.raw.sendall(f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.0\r\n\r\n".encode())

    @property
    def done(self) -> bool:
        return sum(name.startswith("done-") for name in self.seen) == WRITERS

    def read(self) -> None:
        """Take in what has come."""
        part = self.raw.recv(1 << 20)
        assert part
        *lines, self.buffer = (self.buffer + part).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self._event(json.loads(line))

    def _event(self, event: dict[str, Any]) -> None:
        meta = event["object"]["metadata"]
        self.revisions.append(int(meta["resourceVersion"]))
        if event["type"] == "DELETED":
            del self.seen[meta["name"]]
        else:
            self.seen[meta["name"]] = (event["object"].get("data") or {}).get("turn", "")


def test_list_and_watch_give_the_state_under_fifty_writers(shop: Cluster, api: Served) -> None:
    writers = [threading.Thread(target=write, args=(api, number)) for number in range(WRITERS)]
    followers = []
    for number in range(WATCHERS):  # some begin before the first write, some in the middle of it
        if number % 2 and writers:
            writers.pop().start()
        followers.append(Follower(api))
    assert not writers
    with selectors.DefaultSelector() as selector:
        for follower in followers:
            selector.register(follower.raw, selectors.EVENT_READ, follower)
        while open_ones := [key for key in selector.get_map().values() if not key.data.done]:
            ready = selector.select(30)
            assert ready, f"{len(open_ones)} watches wait for events that do not come"
            for key, _ in ready:
                key.data.read()
    stored = {
        obj["metadata"]["name"]: (obj.get("data") or {}).get("turn", "")
        for obj in shop.api.list("configmaps", "default")
    }
    assert sum(name.startswith("w") for name in stored) == WRITERS
    for follower in followers:
        assert follower.seen == stored
        assert follower.revisions == sorted(set(follower.revisions))
        follower.raw.close()


def test_a_reader_who_never_reads_holds_nobody_up(shop: Cluster, api: Served) -> None:
    lazy = Connection(api)
    lazy.raw.request("GET", f"{MAPS}?watch=1", headers={"Authorization": f"Bearer {lazy.token}"})
    writer = Connection(api)
    for number in range(40):
        body = {"metadata": {"name": f"big-{number}"}, "data": {"x": "y" * 200_000}}
        assert writer.ask("POST", MAPS, body).status == 201
        writer.raw.close()
    assert len(shop.api.list("configmaps", "default")) == 41
    lazy.raw.close()
