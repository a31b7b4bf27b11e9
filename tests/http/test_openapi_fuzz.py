"""Requests drawn from the served OpenAPI documents: every operation, with bodies that nearly fit their schemas."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.http.direct import Direct
from fakecluster.http.served_cluster import door_of

PREFIX = "#/components/schemas/"
DOCUMENTS = ("api/v1", "apis/apps/v1", "apis/networking.k8s.io/v1", "apis/discovery.k8s.io/v1", "apis/batch/v1")
NAMES = ("web", "client", "a", "default", "web-1", "kube-root-ca.crt", "x", "Not A Name", "")
WORDS = st.sampled_from(
    ("web", "80", "TCP", "http", "a/b", "-1", "10.0.0.1", "fd00::1", "1Gi", "Always", "ClusterIP", "*", "app=web", "")
)
STRINGS = WORDS | st.text(max_size=8)
JUNK = st.none() | st.booleans() | st.integers(-5, 70000) | STRINGS | st.just([]) | st.just({}) | st.just([None])
DEPTH = 7


@pytest.fixture(scope="module")
def direct() -> Direct:
    cluster = Cluster(nodes=1)
    cluster.apply("examples/shop.yaml")
    return Direct(door_of(cluster))


class Served:
    """Every operation (method, path, what it says) and all schemas; its repr is short, for Hypothesis' reports."""

    def __init__(self, operations: list[tuple[str, str, dict[str, Any]]], schemas: dict[str, Any]) -> None:
        self.operations, self.schemas = operations, schemas


@pytest.fixture(scope="module")
def served(direct: Direct) -> Served:
    operations, schemas = [], {}
    for name in DOCUMENTS:
        document = json.loads(direct.send("GET", f"/openapi/v3/{name}", {}).read())
        schemas |= document["components"]["schemas"]
        for path, item in document["paths"].items():
            operations += [(method, path, found) for method, found in item.items() if method != "parameters"]
    return Served(operations, schemas)


def drawn(data: st.DataObject, schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A value that has the schema's shape, but for a little junk."""
    if data.draw(st.integers(0, 30)) == 13:
        return data.draw(JUNK)
    reference = schema.get("$ref") or next((one.get("$ref") for one in schema.get("allOf", ())), None)
    if reference:
        return drawn(data, schemas[reference.removeprefix(PREFIX)], schemas, depth)
    if "enum" in schema:
        return data.draw(st.sampled_from(schema["enum"]))
    kind = schema.get("type")
    if kind == "array":
        count = data.draw(st.integers(0, 2)) if depth < DEPTH else 0
        return [drawn(data, schema["items"], schemas, depth + 1) for _ in range(count)]
    if kind == "object" and "properties" in schema:
        return properties(data, schema, schemas, depth)
    if kind == "object":
        inner = schema.get("additionalProperties")
        keys = data.draw(st.lists(STRINGS, max_size=2, unique=True))
        return {key: drawn(data, inner, schemas, depth + 1) if isinstance(inner, dict) else "x" for key in keys}
    simple = {"integer": st.integers(-2, 70000), "boolean": st.booleans(), "number": st.floats(-1, 1)}
    return data.draw(simple.get(kind or "", STRINGS))


def properties(data: st.DataObject, schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> dict[str, Any]:
    names = sorted(schema["properties"])
    some = data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if depth < DEPTH else []
    usual = [name for name in ("metadata", "spec", "template", "containers", "ports", "name") if name in names]
    wanted = dict.fromkeys([*schema.get("required", ()), *usual, *some])
    return {name: drawn(data, schema["properties"][name], schemas, depth + 1) for name in wanted}


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_with_an_object_or_a_status(
    direct: Direct, served: Served, data: st.DataObject
) -> None:
    schemas = served.schemas
    method, path, operation = served.operations[data.draw(st.integers(0, len(served.operations) - 1))]
    name = data.draw(st.sampled_from(NAMES))
    path = path.replace("{namespace}", "default").replace("{name}", name.replace(" ", "%20"))
    parameters = [one["name"] for one in operation["parameters"] if one["name"] not in ("watch", "timeoutSeconds")]
    chosen = data.draw(st.lists(st.sampled_from(parameters), max_size=2, unique=True)) if parameters else []
    query = "&".join(f"{one}={data.draw(STRINGS).encode().hex()}" for one in chosen if one != "dryRun")
    body, headers = b"", {}
    if "requestBody" in operation:
        media = data.draw(st.sampled_from(sorted(operation["requestBody"]["content"])))
        value = drawn(data, shape_of(operation["x-kubernetes-group-version-kind"], schemas), schemas)
        value = [{"op": "add", "path": "/spec", "value": value}] if "json-patch" in media else value
        body, headers = json.dumps(value).encode(), {"Content-Type": media.replace("*/*", "application/json")}
    reply = direct.send(method.upper(), f"{path}?dryRun=All&{query}", headers, body)
    content = reply.read() if "watch" not in path else b""
    assert reply.status not in (500, 501) or known(content), (reply.status, content)
    assert b"Traceback" not in content
    if reply.status >= 400 and content.startswith(b"{"):
        assert json.loads(content)["code"] == reply.status


def shape_of(kind: dict[str, str], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a kind; kinds of options have none."""
    fitting = (one for one in schemas.values() if kind in one.get("x-kubernetes-group-version-kind", ()))
    return next(fitting, {"type": "object"})


def known(content: bytes) -> bool:
    """Failures that the real server has as well (500), and what is said not to be modelled (501)."""
    answer = json.loads(content)
    return "not modelled" in answer["message"] or bool(answer.get("details", {}).get("causes"))
