"""Whole requests: what the server answers on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.rest import Response
from fakecluster.api.rest.users import User
from fakecluster.api.server import ApiServer

Call = Callable[..., Response]
SERVICES = "/api/v1/namespaces/default/services"
WEB = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}


def message(response: Response) -> tuple[int, str]:
    return response.status, response.value["message"]


def test_a_created_object_says_who_manages_it(call: Call) -> None:
    made = call("POST", SERVICES, WEB)
    assert made.status == 201
    (line,) = made.value["metadata"]["managedFields"]
    assert line["manager"] == "test" and line["operation"] == "Update"
    assert line["fieldsV1"] == {
        "f:spec": {
            "f:internalTrafficPolicy": {},
            "f:ports": {
                ".": {},
                'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}},
            },
            "f:sessionAffinity": {},
            "f:type": {},
        }
    }


def test_the_body_is_one_line_of_json(call: Call) -> None:
    body = call("GET", "/api/v1/namespaces/default").body
    assert body.endswith(b"\n") and body.count(b"\n") == 1
    assert json.loads(body)["kind"] == "Namespace"


def test_items_of_a_list_have_no_kind_of_their_own(call: Call) -> None:
    items = call("GET", "/api/v1/namespaces").value["items"]
    assert [item["metadata"]["name"] for item in items] == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert all("kind" not in item and "apiVersion" not in item for item in items)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/namespaces/default/bogus", 404),
        ("GET", "/api/v1/services/web", 404),
        ("GET", "/api/v1/namespaces/default/services/web/bogus", 404),
        ("PUT", SERVICES, 405),
        ("POST", "/api/v1/services", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("PROPFIND", SERVICES, 405),
        ("DELETE", f"{SERVICES}/web/status", 405),
    ],
)
def test_what_is_not_there_and_what_is_not_allowed(call: Call, method: str, path: str, status: int) -> None:
    response = call(method, path)
    assert (response.status, response.value["kind"]) == (status, "Status")


@pytest.mark.parametrize("path", ["/nope", "/apis/bogus.io/v1", "/apis/bogus.io/v1/things", "/healthz/nope"])
def test_outside_the_api_there_is_plain_text(call: Call, path: str) -> None:
    response = call("GET", path)
    assert (response.status, response.content_type, response.body) == (
        404,
        "text/plain; charset=utf-8",
        b"404 page not found\n",
    )


def test_head_has_no_body(call: Call) -> None:
    response = call("HEAD", SERVICES)
    assert (response.status, response.body) == (405, b"")


def test_a_body_of_another_kind_is_refused(call: Call) -> None:
    assert message(call("POST", SERVICES, {"apiVersion": "v1", "kind": "Pod"})) == (
        400,
        'Pod in version "v1" cannot be handled as a Service: converting (v1.Pod) to (core.Service): unknown conversion',
    )
    assert message(call("POST", SERVICES, {"apiVersion": "v2", "kind": "Service"})) == (
        400,
        'Service in version "v2" cannot be handled as a Service: no kind "Service" is registered for version "v2" in '
        'scheme "pkg/api/legacyscheme/scheme.go:30"',
    )


def test_bodies_have_a_bound(call: Call) -> None:
    response = call("POST", SERVICES, b" " * (3 * 1024 * 1024 + 1))
    assert message(response) == (413, "Request entity too large: limit is 3145728")


def test_yaml_goes_in_and_out(call: Call) -> None:
    body = b"metadata:\n  name: web-y\nspec:\n  ports:\n  - port: 80\n"
    response = call("POST", SERVICES, body, type="application/yaml", accept="application/yaml")
    assert response.status == 201
    assert response.content_type == "application/yaml"
    assert response.body.startswith(b"apiVersion: v1\nkind: Service\n")


def test_put_creates_a_service_that_is_not_there(call: Call) -> None:
    assert call("PUT", f"{SERVICES}/web", WEB).status == 201
    assert call("PUT", f"{SERVICES}/web", WEB).status == 200


def test_protobuf_is_refused_for_objects_and_spoken_for_errors(call: Call) -> None:
    protobuf = "application/vnd.kubernetes.protobuf"
    assert call("GET", "/api/v1/namespaces/default", accept=protobuf).status == 406
    assert call("GET", "/api/v1/namespaces/default", accept=f"{protobuf},application/json").status == 200
    missing = call("GET", f"{SERVICES}/nope", accept=protobuf)
    assert missing.body.startswith(b"k8s\x00") and b'services "nope" not found' in missing.body


def test_warnings_come_once(call: Call) -> None:
    body = {**WEB, "bogus": 1}
    assert call("POST", SERVICES, body).warnings == ['unknown field "bogus"']
    assert call("GET", "/api/v1/namespaces/default/endpoints").warnings == [
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    ]


def test_delete_collection_takes_what_is_selected(call: Call) -> None:
    for name in ("a", "b"):
        call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": name, "labels": {"n": name}}})
    gone = call("DELETE", "/api/v1/namespaces/default/secrets", query="labelSelector=n%3Da")
    assert [item["metadata"]["name"] for item in gone.value["items"]] == ["a"]
    left = call("GET", "/api/v1/namespaces/default/secrets", query="labelSelector=n").value["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]


def test_tokens_name_users_and_rbac_decides(server: ApiServer, call: Call) -> None:
    server.tokens["secret"] = User("viewer", ("dev",))
    path = "/api/v1/namespaces/default/pods"
    assert message(call("GET", path, authorization="Bearer wrong")) == (401, "Unauthorized")
    assert message(call("GET", path, authorization="Bearer secret")) == (
        403,
        'pods is forbidden: User "viewer" cannot list resource "pods" in API group "" in the namespace "default"',
    )
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    call("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    group = {"kind": "Group", "name": "dev", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}
    call("POST", f"{rbac}/rolebindings", {"metadata": {"name": "b"}, "subjects": [group], "roleRef": role})
    assert call("GET", path, authorization="Bearer secret").status == 200
    assert call("DELETE", path, authorization="Bearer secret").status == 403


def test_an_admin_may_act_as_somebody_else(call: Call) -> None:
    refused = call("GET", "/api/v1/nodes", Impersonate_User="bob")
    assert message(refused) == (
        403,
        'nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope',
    )


def test_access_reviews_say_what_would_be_decided(call: Call) -> None:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    asked = {"verb": "list", "resource": "pods"}
    denied = call("POST", path, {"spec": {"user": "bob", "resourceAttributes": asked}})
    assert (denied.status, denied.value["status"]) == (201, {"allowed": False})
    allowed = call("POST", path, {"spec": {"user": "x", "groups": ["system:masters"], "resourceAttributes": asked}})
    assert allowed.value["status"] == {"allowed": True}


def events(response: Response) -> list[tuple[str, str]]:
    assert response.stream is not None
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in response.stream.take()]


def test_a_watch_replays_the_present_and_follows_the_changes(call: Call) -> None:
    call("POST", SERVICES, WEB)
    watch = call("GET", SERVICES, query="watch=1&fieldSelector=metadata.name!%3Dkubernetes")
    assert events(watch) == [("ADDED", "web")]
    call("DELETE", f"{SERVICES}/web")
    assert events(watch) == [("DELETED", "web")]


def test_a_selective_watch_shows_entering_and_leaving(call: Call) -> None:
    call("POST", SERVICES, WEB)
    watch = call("GET", SERVICES, query="watch=1&labelSelector=tier%3Da")
    merge = "application/merge-patch+json"
    for tier in ("a", "b", "a"):
        call("PATCH", f"{SERVICES}/web", {"metadata": {"labels": {"tier": tier}}}, type=merge)
    assert [kind for kind, _ in events(watch)] == ["ADDED", "DELETED", "ADDED"]


def test_a_watch_from_a_version_misses_and_repeats_nothing(server: ApiServer, call: Call) -> None:
    version = call("GET", SERVICES).value["metadata"]["resourceVersion"]
    call("POST", SERVICES, WEB)
    assert events(call("GET", SERVICES, query=f"watch=1&resourceVersion={version}")) == [("ADDED", "web")]
    server.store.compact(server.store.revision)
    late = call("GET", SERVICES, query=f"watch=1&resourceVersion={version}")
    assert late.stream is not None
    (event,) = late.stream.take()
    assert (event["type"], event["object"]["code"], late.stream.closed) == ("ERROR", 410, True)


def test_initial_events_end_with_a_bookmark(call: Call) -> None:
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    watch = call("GET", SERVICES, query=query)
    assert watch.stream is not None
    *objects, end = watch.stream.take()
    assert [event["type"] for event in objects] == ["ADDED"]
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_discovery_lists_subresources_with_their_kinds(call: Call) -> None:
    rows: list[dict[str, Any]] = call("GET", "/apis/apps/v1").value["resources"]
    scale = next(row for row in rows if row["name"] == "deployments/scale")
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    deployment = next(row for row in rows if row["name"] == "deployments")
    assert deployment["storageVersionHash"] == "8aSe+NMegvE="


def test_openapi_documents_are_addressed_by_their_hash(call: Call) -> None:
    index = call("GET", "/openapi/v3").value["paths"]
    url = index["apis/apps/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/apps/v1?hash=")
    document = call("GET", url.partition("?")[0]).value
    assert "io.k8s.api.apps.v1.Deployment" in document["components"]["schemas"]
    assert "io.k8s.api.core.v1.PodSpec" in document["components"]["schemas"]


def test_version_and_health(call: Call) -> None:
    assert call("GET", "/version").value["gitVersion"] == "v1.36.2"
    assert call("GET", "/readyz").body == b"ok"
    assert call("GET", "/livez", query="verbose").body.endswith(b"livez check passed\n")


def test_scale_reads_and_writes_replicas(call: Call) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/deployments"
    call("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    scaled = call("PATCH", f"{path}/web/scale", {"spec": {"replicas": 3}}, type="application/merge-patch+json")
    assert (scaled.value["kind"], scaled.value["spec"], scaled.value["status"]["selector"]) == (
        "Scale",
        {"replicas": 3},
        "a=b",
    )
    assert call("GET", f"{path}/web").value["spec"]["replicas"] == 3
    negative = call("PATCH", f"{path}/web/scale", {"spec": {"replicas": -1}}, type="application/merge-patch+json")
    assert negative.status == 422


def test_custom_kinds_are_served_and_described_at_once(call: Call) -> None:
    spec = {"type": "object", "properties": {"size": {"type": "integer"}}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    definition = {
        "metadata": {"name": "widgets.acme.io"},
        "spec": {"group": "acme.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).status == 201
    widgets = "/apis/acme.io/v1/namespaces/default/widgets"
    made = call(
        "POST", widgets, {"kind": "Widget", "apiVersion": "acme.io/v1", "metadata": {"name": "a"}, "spec": {"size": 1}}
    )
    assert (made.status, made.value["metadata"]["generation"]) == (201, 1)
    listed = call("GET", widgets).value
    assert (listed["kind"], listed["metadata"]["continue"], listed["items"][0]["kind"]) == ("WidgetList", "", "Widget")
    document = call("GET", "/openapi/v3/apis/acme.io/v1").value
    described = document["components"]["schemas"]["io.acme.v1.Widget"]
    assert described["x-kubernetes-group-version-kind"] == [{"group": "acme.io", "kind": "Widget", "version": "v1"}]
    assert described["properties"]["spec"] == spec


def test_paths_in_openapi_say_that_patches_are_validated(call: Call) -> None:
    paths = call("GET", "/openapi/v3/apis/apps/v1").value["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
