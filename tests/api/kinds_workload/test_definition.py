from __future__ import annotations

import json
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

Json = dict[str, Any]
RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"
SPEC = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(Clock(), Seeded(0))


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(server)


def definition(name: str = "widgets.acme.test", **version: Any) -> Json:
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}}
    only = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {"group": "acme.test", "scope": "Namespaced", "names": names, "versions": [only]}
    return {"metadata": {"name": name}, "spec": spec}


def widget(name: str, **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_a_definition_is_served_at_once(client: Client) -> None:
    client.create(RESOURCE, definition())
    stored = client.get(RESOURCE, "widgets.acme.test")
    assert stored["spec"]["names"] == {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    assert [c["type"] for c in stored["status"]["conditions"]] == ["NamesAccepted", "Established"]
    assert client.create("widgets.acme.test", widget("a", size=3))["spec"] == {"size": 3}


def test_objects_are_pruned_and_checked(client: Client) -> None:
    client.create(RESOURCE, definition())
    assert client.create("widgets.acme.test", widget("a", size=3, other=1))["spec"] == {"size": 3}
    with pytest.raises(ApiError, match="should be less than or equal to 9"):
        client.create("widgets.acme.test", widget("b", size=10))


def test_a_definition_takes_its_objects_along(client: Client) -> None:
    client.create(RESOURCE, definition())
    client.create("widgets.acme.test", widget("a", size=3))
    client.delete(RESOURCE, "widgets.acme.test")
    with pytest.raises(ApiError, match="not found"):
        client.get(RESOURCE, "widgets.acme.test")
    with pytest.raises(ApiError, match="could not find the requested resource"):
        client.list("widgets.acme.test")


def test_an_object_with_a_finalizer_holds_its_definition(client: Client) -> None:
    client.create(RESOURCE, definition())
    held = widget("a", size=3)
    held["metadata"]["finalizers"] = ["x.io/hold"]
    client.create("widgets.acme.test", held)
    client.delete(RESOURCE, "widgets.acme.test")
    conditions = client.get(RESOURCE, "widgets.acme.test")["status"]["conditions"]
    assert [c["type"] for c in conditions] == ["NamesAccepted", "Established", "Terminating"]
    client.patch("widgets.acme.test", "a", {"metadata": {"finalizers": None}}, "default")
    with pytest.raises(ApiError, match="not found"):
        client.get(RESOURCE, "widgets.acme.test")


def test_a_fork_serves_its_own_definitions(server: ApiServer, client: Client) -> None:
    copy = Client(server.fork(Clock(), Seeded(0)))
    copy.create(RESOURCE, definition())
    assert copy.list("widgets.acme.test") == []
    with pytest.raises(ApiError, match="could not find the requested resource"):
        client.list("widgets.acme.test")


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        (definition("wrong"), 'metadata.name: Invalid value: "wrong": must be spec.names.plural+"."+spec.group'),
        (definition(schema=None), "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            definition(schema={"openAPIV3Schema": {"type": "string"}}),
            'spec.validation.openAPIV3Schema.type: Invalid value: "string": must be object at the root',
        ),
        (
            definition(subresources={"scale": {"specReplicasPath": ".x", "statusReplicasPath": ".status.n"}}),
            'spec.subresources.scale.specReplicasPath: Invalid value: ".x": should be a json path under .spec',
        ),
    ],
)
def test_a_definition_is_refused_in_the_servers_words(client: Client, obj: Json, wanted: str) -> None:
    with pytest.raises(ApiError) as caught:
        client.create(RESOURCE, obj)
    assert [f"{c['field']}: {c['message']}" for c in caught.value.status["details"]["causes"]] == [wanted]


FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def scaled_definition() -> Json:
    scale = {
        "specReplicasPath": ".spec.pool.size",
        "statusReplicasPath": ".status.ready",
        "labelSelectorPath": ".status.selector",
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": FREE, "status": FREE}}}
    return definition(schema=schema, subresources={"scale": scale, "status": {}})


def test_a_scale_reads_and_writes_the_fields_that_the_definition_names(server: ApiServer, client: Client) -> None:
    client.create(RESOURCE, scaled_definition())
    client.create("widgets.acme.test", widget("a", pool={"size": 2}, other=1))
    live = client.get("widgets.acme.test", "a", "default")
    client.update_status("widgets.acme.test", live | {"status": {"ready": 1, "selector": "app=a"}})
    path = "/apis/acme.test/v1/namespaces/default/widgets/a/scale"
    found = json.loads(server.request("GET", path, "", {}, b"", "admin").body)
    assert (found["spec"], found["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    patch = {"Content-Type": "application/merge-patch+json"}
    changed = server.request("PATCH", path, "", patch, b'{"spec": {"replicas": 5}}', "admin")
    assert json.loads(changed.body)["spec"] == {"replicas": 5}
    assert client.get("widgets.acme.test", "a", "default")["spec"] == {"pool": {"size": 5}, "other": 1}


def test_a_scale_needs_the_field_that_counts(server: ApiServer, client: Client) -> None:
    client.create(RESOURCE, scaled_definition())
    client.create("widgets.acme.test", widget("a"))
    path = "/apis/acme.test/v1/namespaces/default/widgets/a/scale"
    answer = server.request("GET", path, "", {}, b"", "admin")
    assert answer.status == 500
    assert 'the spec replicas field \\".spec.pool.size\\" does not exist' in answer.body.decode()
