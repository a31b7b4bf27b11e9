"""Area `controllers`: the recorder plays scheduler and kubelet, the controllers answer.

After the requests of a step time passes until nothing changes any more, as the recorder waited; then the kinds that
the step shows are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import attrs

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.controllers.manager import CONTROLLERS, Manager
from fakecluster.sim import Clock, Seeded
from replay.controllers_generated import generated, generated_body
from replay.controllers_match import Bound, filled, matches
from replay.controllers_state import state_of, summary_of
from replay.result import Difference, NotReplayable, Recording

#: The recorded cluster had no nodes that report, and no cloud.
NOT_RUN = {"node-lifecycle-controller", "service-lb-controller"}
AGENT = "gt-oracle"
#: The recorder waited until nothing changed for this long.
QUIET_S = 1.3
#: Rounds of waiting after which a step counts as never quiet.
PATIENCE = 30
#: What one request took.
REQUEST_S = 0.01


@attrs.define
class World:
    """A server with controllers, the namespaces of one recording, and what its placeholders stand for so far."""

    clock: Clock
    client: Client
    nodes: list[str]
    bound: Bound


#: Which of two equal Pods a scale-down deletes is decided by their uids: as many draws are tried.
SEEDS = 16


def replay(recording: Recording) -> Iterator[Difference]:
    if "steps" not in recording.data:
        raise NotReplayable
    found = list(_replay(recording, 0))
    shows_pods = any("pods" in step.get("state", {}) for step in recording.data["steps"])
    for seed in range(1, SEEDS if shows_pods else 1):
        if not found or not list(_replay(recording, seed)):
            return
    yield from found


def _replay(recording: Recording, seed: int) -> Iterator[Difference]:
    data = recording.data
    world = _world(data, recording.sibling(data["nodes"]), seed)
    for step in data["steps"]:
        name = f"{step['id']} {step.get('note', '')}"
        for request in step["requests"]:
            yield from (Difference(name, text) for text in _perform(world, request))
        _wait(world)
        if "state" in step:
            yield from (Difference(name, text) for text in _compare_state(world, step["state"]))
        if "summary" in step:
            yield from (Difference(name, text) for text in _compare_summary(world, step["summary"]))


def _world(data: dict[str, Any], nodes: list[dict[str, Any]], seed: int) -> World:
    clock, choices = Clock(), Seeded(seed)
    cidrs = ("10.96.0.0/16", "fd00:10:96::/112") if data["cluster"].startswith("dual") else ("10.96.0.0/16",)
    api = ApiServer(clock, choices, service_cidrs=cidrs)
    manager = Manager(api, clock, choices, controllers=set(CONTROLLERS) - NOT_RUN)
    assert manager.controllers
    client = Client(api)
    for node in nodes:
        client.create("nodes", {key: value for key, value in node.items() if key != "status"})
        client.patch("nodes", node["metadata"]["name"], {"status": node["status"]}, subresource="status")
    bound = {"{{ns}}": "ns-one", "{{ns2}}": "ns-two"}
    posted = [request.get("body", {}).get("metadata", {}).get("name") for request in _plain_requests(data, "POST")]
    for symbol, namespace in bound.items():
        if symbol not in posted:
            client.create("namespaces", {"metadata": {"name": namespace}})
    clock.advance(QUIET_S)
    return World(clock, client, [node["metadata"]["name"] for node in nodes], bound)


def _plain_requests(data: dict[str, Any], method: str) -> Iterator[dict[str, Any]]:
    requests = (request for step in data["steps"] for request in step["requests"])
    return (request for request in requests if request.get("method") == method)


def _perform(world: World, request: dict[str, Any]) -> Iterator[str]:
    if "generated" in request:
        for one in generated(request["generated"], world.nodes):
            yield from _perform(world, one)
        return
    _bind_slices(world, request["path"])
    path, body = filled(request["path"], world.bound), filled(request.get("body"), world.bound)
    if isinstance(body, dict) and "generated" in body:
        body = generated_body(body["generated"])
    headers = {"Content-Type": request.get("contentType", "application/json"), "User-Agent": AGENT}
    text = b"" if body is None else json.dumps(body).encode()
    query = urlencode(request.get("query") or {})
    status = world.client.server.request(request["method"], path, query, headers, text).status
    if status != request["status"]:
        yield f"{request['method']} {path}: status {status} instead of {request['status']}"
    world.clock.settle()
    world.clock.advance(REQUEST_S)


def _bind_slices(world: World, path: str) -> None:
    """Let a slice that a request names for the first time be the first one with such a name."""
    for symbol in re.findall(r"\{\{slice:\d+\}\}", path):
        namespace = world.bound["{{ns}}"]
        for one in world.client.list("endpointslices.discovery.k8s.io", namespace):
            found = next(matches(path.rpartition("/")[2], one["metadata"]["name"], world.bound), None)
            if symbol not in world.bound and found is not None:
                world.bound = found


def _wait(world: World) -> None:
    world.clock.settle()
    for _ in range(PATIENCE):
        before = _versions(world)
        world.clock.advance(QUIET_S)
        if _versions(world) == before:
            return
    raise AssertionError(f"still changing after {PATIENCE * QUIET_S} s")


def _versions(world: World) -> list[str]:
    """The resourceVersions of everything but Events and Leases."""
    store = world.client.server.store
    return [
        obj["metadata"]["resourceVersion"]
        for resource in sorted(store.resources())
        if not resource.startswith(("events", "leases"))
        for obj in store.list(resource)
    ]


def _compare_state(world: World, expected: dict[str, Any]) -> Iterator[str]:
    got = {kind: state_of(world.client, kind, world.bound["{{ns}}"]) for kind in expected}
    found = next(matches(expected, got, world.bound), None)
    if found is not None:
        world.bound = found
        return
    for kind in expected:
        if next(matches(expected[kind], got[kind], world.bound), None) is None:
            yield from _explain(kind, expected[kind], got[kind], world.bound)


def _explain(kind: str, expected: list[Any], got: list[Any], bound: Bound) -> Iterator[str]:
    """Those recorded objects that nothing matches, with what is left over."""
    left = got.copy()
    missing = []
    for one in expected:
        same = next((other for other in left if next(matches(one, other, bound), None) is not None), None)
        if same is None:
            missing.append(one)
        else:
            left.remove(same)
    yield f"{kind}: expected {json.dumps(missing)}, got {json.dumps(left)}"


def _compare_summary(world: World, expected: dict[str, Any]) -> Iterator[str]:
    got = summary_of(world.client, world.bound["{{ns}}"])
    slices, got_slices = expected["endpointSlices"], got["endpointSlices"]
    unknown = [size for size in ("count", "ready") if any(one[size] == "{{any}}" for one in slices)]
    if unknown:  # which slice has how many depends on the order of a map: some that are given are so by chance
        slices, got_slices = ([{**one, **dict.fromkeys(unknown)} for one in found] for found in (slices, got_slices))
        addresses = [subset["addresses"] for one in got["endpoints"] for subset in one["subsetsSummary"]]
        total = sum(one["ready"] for one in got["endpointSlices"])
        if sum(addresses) not in (total, 1000):
            yield f"endpointSlices: {total} ready endpoints instead of {addresses}"
    for name, want, have in (
        ("endpoints", expected["endpoints"], got["endpoints"]),
        ("endpointSlices", slices, got_slices),
    ):
        if next(matches(want, have, world.bound), None) is None:
            yield f"{name}: expected {json.dumps(want)}, got {json.dumps(have)}"
