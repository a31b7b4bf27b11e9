"""Broken input: whatever is done to a valid object, the server answers with a Status and keeps its state.

Valid objects of every kind are mutated (wrong types anywhere, extremes, control characters, deep nesting, missing
parts) and sent as create, update and patch; bodies are cut, garbled and blown up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from api_samples import SAMPLES, WIDGETS, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

Json = dict[str, Any]
Path = tuple[str | int, ...]

DEEP: Any = "bottom"
for _ in range(300):
    DEEP = {"a": [DEEP]}
NASTY: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    -(2**70),
    1.5,
    1e308,
    "",
    " ",
    "\x00",
    "\ud800",
    "é\u2028<>&",
    "x" * 300,
    "../..",
    "010.1.1.1",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "1Gi",
    "-1",
    "9" * 400,
    "110%",
    "2026-13-45T99:99:99Z",
    "*.*",
    "$(x)",
    "default",
    [],
    {},
    [None],
    [[]],
    {"": ""},
    {"\x00": None},
    {"a": {"b": ["c"]}},
    ["same", "same"],
    DEEP,
]
JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


def fresh() -> ApiServer:
    server = ApiServer(Clock(), Seeded(0))
    Client(server).create("customresourcedefinitions.apiextensions.k8s.io", WIDGETS)
    return server


SERVER = fresh()


def fork() -> ApiServer:
    clock = SERVER.clock.fork()
    return SERVER.fork(clock, SERVER.choices.fork())


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a value, the value itself first."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def put(value: Any, path: Path, new: Any) -> Any:
    """A copy of `value` with `new` at a place; a place that an earlier mutation took away is left alone."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, key: put(value.get(key), rest, new)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [put(item, rest, new) if index == key else item for index, item in enumerate(value)]
    return value


ANYTHING = st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Json, Json]:
    """(collection, valid object, mutated object)."""
    collection = draw(st.sampled_from(sorted(SAMPLES)))
    valid = sample(collection)
    broken: Any = valid
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(places(valid), key=repr)))
        how = draw(st.integers(0, 5))
        if how == 0 and path and isinstance(path[-1], str):
            broken = put(broken, (*path[:-1], path[-1] + draw(st.sampled_from(["x", "\x00", " ", "."]))), 1)
        elif how == 1:
            broken = put(
                broken, path, draw(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
            )
        else:
            broken = put(broken, path, draw(st.sampled_from(NASTY)))
    return collection, valid, broken


def state(server: ApiServer) -> dict[tuple[str, str, str], str]:
    """Every object and its version: what a refused request must not change."""
    return {
        (key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
        for key in {resource.key for resource in server.registry.by_path.values()}
        for obj in server.store.list(key)
    }


def send(server: ApiServer, method: str, path: str, body: bytes, media: str = JSON, query: str = "") -> int:
    """The status code; a refusal must be a proper Status that changed nothing."""
    before = state(server)
    response = server.request(method, path, query, {"Content-Type": media}, body)
    assert 200 <= response.status < 500 or KNOWN_500.match(response.value["message"]), response.value
    if response.status >= 400:
        answer = json.loads(response.body)
        assert answer["kind"] == "Status"
        assert answer["code"] == response.status
        assert answer["message"]
        assert state(server) == before
    return response.status


#: What the real server, too, calls its own fault: patches of lists whose items have no key, ports that are taken.
KNOWN_500 = re.compile(r"map: .* does not contain declared merge key|cannot merge lists without merge key", re.DOTALL)


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(mutated())
def test_a_broken_object_is_refused_or_understood_when_it_is_created(case: tuple[str, Json, Json]) -> None:
    collection, _, broken = case
    send(fork(), "POST", collection, encode(broken))


@FUZZ
@given(mutated())
def test_a_broken_object_is_refused_or_understood_when_it_replaces_a_good_one(case: tuple[str, Json, Json]) -> None:
    collection, valid, broken = case
    server = fork()
    assert send(server, "POST", collection, encode(valid)) == 201
    name = valid["metadata"]["name"]
    send(server, "PUT", f"{collection}/{name}", encode(broken))
    send(server, "PUT", f"{collection}/{name}/status", encode(broken))


@FUZZ
@given(mutated(), st.sampled_from([MERGE, STRATEGIC, APPLY]))
def test_a_broken_patch_is_refused_or_understood(case: tuple[str, Json, Json], media: str) -> None:
    collection, valid, broken = case
    server = fork()
    assert send(server, "POST", collection, encode(valid)) == 201
    query = "fieldManager=fuzz&force=true" if media == APPLY else ""
    for subresource in ("", "/status"):
        path = f"{collection}/{valid['metadata']['name']}{subresource}"
        send(server, "PATCH", path, encode(broken), media, query)


POINTERS = ("", "/", "/spec", "/metadata/name", "/spec/ports/-", "/spec/ports/9", "/~2", "x", None, 7)
VERBS = ("add", "remove", "replace", "move", "copy", "test", "", 1)
STEPS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(VERBS),
        "path": st.sampled_from(POINTERS),
        "from": st.sampled_from(POINTERS),
        "value": st.sampled_from(NASTY),
    }
)


@FUZZ
@given(st.sampled_from(sorted(SAMPLES)), st.lists(STEPS, max_size=3))
def test_a_broken_json_patch_is_refused_or_understood(collection: str, patch: list[Json]) -> None:
    server, valid = fork(), sample(collection)
    assert send(server, "POST", collection, encode(valid)) == 201
    send(server, "PATCH", f"{collection}/{valid['metadata']['name']}", encode(patch), JSON_PATCH)


@FUZZ
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_a_garbled_body_is_refused_or_understood(collection: str, data: Any) -> None:
    body = encode(sample(collection))
    cut, size = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 20))
    garbage = data.draw(st.binary(max_size=20))
    media = data.draw(st.sampled_from([JSON, "application/yaml", "text/plain", "", "application/json; a=b"]))
    send(fork(), "POST", collection, body[:cut] + garbage + body[cut + size :], media)


PARAMETERS = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "dryRun", "fieldManager")


@FUZZ
@given(st.sampled_from(PARAMETERS), st.text(max_size=30), st.sampled_from(["GET", "POST", "DELETE"]))
def test_a_broken_query_is_refused_or_understood(name: str, value: str, method: str) -> None:
    query = f"{name}={quote(value, errors='replace')}"
    body = encode({"metadata": {"name": "a"}})
    send(fork(), method, "/api/v1/namespaces/default/configmaps", body, query=query)


@pytest.mark.parametrize("collection", sorted(SAMPLES))
def test_the_samples_are_valid(collection: str) -> None:
    assert send(fork(), "POST", collection, encode(sample(collection))) == 201


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "application/json", 400),
        (b'{"metadata":{"name":"' + b"x" * 50_000_000 + b'"}}', "application/json", 413),
        (b"\xff\xfe\x00", "application/json", 400),
        (b"", "application/json", 400),
        (b"null", "application/json", 422),
        (b"a: &a [x,x,x,x,x,x,x,x,x]\n", "application/yaml", 422),
        (b"a: [\n" * 5000, "application/yaml", 400),
        (b"<pod/>", "application/xml", 415),
    ],
)
def test_bodies_that_are_no_objects_are_refused(body: bytes, media: str, code: int) -> None:
    assert send(fork(), "POST", "/api/v1/namespaces/default/pods", body, media) == code


def test_a_yaml_bomb_does_not_explode() -> None:
    levels = "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    body = f"a0: &a0 [x]\n{levels}".encode()
    assert send(fork(), "POST", "/api/v1/namespaces/default/pods", body, "application/yaml") < 500
