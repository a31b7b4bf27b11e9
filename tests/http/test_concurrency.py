"""Many clients at once: what a client builds from list and watch is what is stored."""

import json
import threading
from typing import Any

from http_connection import Connection

from fakecluster import Cluster
from fakecluster.http import Served

MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS, ROUNDS, WATCHERS = 50, 6, 10


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


def follow(api: Served, seen: dict[str, str], revisions: list[int]) -> None:
    """List and watch until every writer has said that it is done."""
    connection = Connection(api)
    listed = connection.json("GET", MAPS)
    for item in listed["items"]:
        seen[item["metadata"]["name"]] = (item.get("data") or {}).get("turn", "")
    response = connection.ask("GET", f"{MAPS}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
    while sum(name.startswith("done-") for name in seen) < WRITERS:
        event: dict[str, Any] = json.loads(response.readline())
        obj = event["object"]
        revisions.append(int(obj["metadata"]["resourceVersion"]))
        if event["type"] == "DELETED":
            del seen[obj["metadata"]["name"]]
        else:
            seen[obj["metadata"]["name"]] = (obj.get("data") or {}).get("turn", "")
    connection.raw.close()


def test_list_and_watch_give_the_state_under_fifty_writers(shop: Cluster, api: Served) -> None:
    views: list[tuple[dict[str, str], list[int]]] = [({}, []) for _ in range(WATCHERS)]
    threads = [threading.Thread(target=follow, args=(api, *view)) for view in views]
    threads += [threading.Thread(target=write, args=(api, number)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    stored = {
        obj["metadata"]["name"]: (obj.get("data") or {}).get("turn", "")
        for obj in shop.api.list("configmaps", "default")
    }
    assert sum(name.startswith("w") for name in stored) == WRITERS
    for seen, revisions in views:
        assert seen == stored
        assert revisions == sorted(set(revisions))


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
