"""Requests and commands that the API server passes on to programs in Pods."""

import shutil
import subprocess

import pytest
from http_connection import Connection

from fakecluster.http import Served

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


EXECS = {
    ("cat", "/etc/hostname"): (0, "client\n"),
    ("curl", "-s", "web/x"): (0, "GET /x HTTP/1.1"),
    ("nslookup", "web"): (0, "Server:\t\t10.96.0.10"),
    ("nc", "-z", "web", "80"): (0, ""),
    ("env",): (0, ""),
    ("false",): (1, ""),
    ("curl", "nowhere"): (6, ""),
}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("words", EXECS, ids=lambda words: words[0])
def test_kubectl_exec_runs_a_command_in_a_pod(fakecluster_shop: Served, words: tuple[str, ...]) -> None:
    command = ["kubectl", "--kubeconfig", str(fakecluster_shop.kubeconfig), "exec", "client", "--", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    code, begin = EXECS[words]
    assert (done.returncode, done.stdout[: len(begin)]) == (code, begin), done.stderr


@pytest.fixture
def fakecluster_shop(shop: object, fakecluster_api: Served) -> Served:
    return fakecluster_api
