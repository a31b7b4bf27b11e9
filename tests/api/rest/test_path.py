from __future__ import annotations

import pytest

from fakecluster.api.rest.path import parse


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "", "v1", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", {}, ("list", "", "v1", "pods", "a", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", {"watch": ["1"]}, ("watch", "", "v1", "pods", "a", "", "")),
        ("GET", "/api/v1/namespaces/a/pods", {"watch": ["false"]}, ("list", "", "v1", "pods", "a", "", "")),
        ("GET", "/api/v1/watch/namespaces/a/pods", {}, ("watch", "", "v1", "pods", "a", "", "")),
        ("GET", "/api/v1/namespaces/a/pods/p", {}, ("get", "", "v1", "pods", "a", "p", "")),
        ("PATCH", "/api/v1/namespaces/a/pods/p/status", {}, ("patch", "", "v1", "pods", "a", "p", "status")),
        ("GET", "/api/v1/namespaces", {}, ("list", "", "v1", "namespaces", "", "", "")),
        ("DELETE", "/api/v1/namespaces/a", {}, ("delete", "", "v1", "namespaces", "a", "a", "")),
        ("PUT", "/api/v1/namespaces/a/finalize", {}, ("update", "", "v1", "namespaces", "a", "a", "finalize")),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            {},
            ("deletecollection", "apps", "v1", "deployments", "a", "", ""),
        ),
        ("POST", "/apis/x.io/v2/things", {}, ("create", "x.io", "v2", "things", "", "", "")),
        ("GET", "/api/v1/nodes/a%2Fb", {}, ("get", "", "v1", "nodes", "", "a/b", "")),
    ],
)
def test_paths_name_verb_resource_and_object(
    method: str, path: str, query: dict[str, list[str]], expected: tuple[str, ...]
) -> None:
    t = parse(method, path, query)
    assert t.is_resource
    assert (t.verb, t.group, t.version, t.resource, t.namespace, t.name, t.subresource) == expected


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/healthz/ping", ""])
def test_other_paths_are_no_resources(path: str) -> None:
    assert not parse("GET", path, {}).is_resource
