"""Requests that the API server passes on to programs in Pods, and to kubelets."""

import json

import pytest
from http_connection import Connection

NAMESPACE = "/api/v1/namespaces/default"


def test_a_service_is_asked_through_the_api(connection: Connection) -> None:
    with connection.ask(
        "POST", f"{NAMESPACE}/services/web:80/proxy/some/path", b"bread", Content_Type="text/plain"
    ) as answer:
        text = answer.read()
    assert (answer.status, answer.headers["Server-Name"]) == (200, "web-1")
    assert text.startswith(b"POST /some/path HTTP/1.1\r\n") and text.endswith(b"\r\n\r\nbread")
    assert b"fakecluster-admin" not in text


def test_a_pod_is_asked_through_the_api(connection: Connection) -> None:
    assert connection.ask("GET", f"{NAMESPACE}/pods/web-2:8080/proxy/").headers["Server-Name"] == "web-2"


def test_a_port_that_nobody_listens_on_is_said_to_be_refused(connection: Connection) -> None:
    answer = connection.json("GET", f"{NAMESPACE}/pods/web-2:81/proxy/")
    assert (answer["code"], answer["reason"]) == (503, "ServiceUnavailable")
    assert answer["message"].startswith("error trying to reach service: dial tcp 10.244.")
    assert answer["message"].endswith(":81: refused")


def test_passing_on_is_forbidden_to_those_who_may_not(connection: Connection) -> None:
    answer = connection.json("GET", f"{NAMESPACE}/services/web/proxy/", Impersonate_User="bob")
    assert answer["code"] == 403


def test_a_port_of_a_node_is_asked_over_the_network(connection: Connection) -> None:
    with connection.ask("GET", "/api/v1/nodes/a:10256/proxy/healthz") as answer:
        assert json.loads(answer.read())["healthy"] is True


def test_a_kubelet_says_which_pods_it_runs(connection: Connection) -> None:
    names = {pod["metadata"]["name"] for pod in connection.json("GET", "/api/v1/nodes/a/proxy/pods")["items"]}
    assert {"client", "web-1", "web-2", "web-3"} <= names
    assert connection.ask("GET", "/api/v1/nodes/a/proxy/healthz").read() == b"ok"


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/api/v1/nodes/a/proxy/metrics", 501, "not modelled: a kubelet's /metrics"),
        ("/api/v1/nodes/z/proxy/", 404, 'nodes "z" not found'),
        (f"{NAMESPACE}/pods/https:web-1:8080/proxy/", 501, "not modelled: proxying to programs over TLS"),
        (f"{NAMESPACE}/pods/a:b:c:d/proxy/", 400, 'invalid pod request "a:b:c:d"'),
        (f"{NAMESPACE}/pods/web-1/exec?command=env&stdout=1", 400, "Upgrade request required"),
    ],
)
def test_what_cannot_be_passed_on_is_refused(connection: Connection, path: str, code: int, words: str) -> None:
    answer = connection.json("GET", path)
    assert (answer["code"], answer["message"]) == (code, words)
