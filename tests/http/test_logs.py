"""`pods/log` over HTTP: what a container has printed, as the kubelet would give it."""

import threading

import pytest
from http_connection import Connection

from fakecluster import Cluster

LOG = "/api/v1/namespaces/default/pods/web-1/log"


@pytest.fixture
def asked(shop: Cluster) -> Cluster:
    """web-1 was asked three times, seven seconds apart."""
    client, web = shop.pod("client"), shop.pod("web-1")
    for number in range(3):
        client.connect(web.ip, 8080).request(b"x" * (number + 1))
        shop.advance(7)
    return shop


def lines(connection: Connection, query: str = "") -> list[str]:
    with connection.ask("GET", f"{LOG}?{query}") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        return [line.partition("tcp ")[2] for line in answer.read().decode().splitlines()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["1 bytes", "2 bytes", "3 bytes"]),
        ("tailLines=2", ["2 bytes", "3 bytes"]),
        ("tailLines=0", []),
        ("sinceSeconds=15", ["2 bytes", "3 bytes"]),
        ("sinceTime=2026-01-01T00:00:14Z", ["3 bytes"]),
        ("container=web&stream=Stderr", []),
    ],
)
def test_the_part_of_a_log_that_is_asked_for(
    asked: Cluster, connection: Connection, query: str, expected: list[str]
) -> None:
    assert lines(connection, query) == expected


def test_times_stand_before_the_lines(asked: Cluster, connection: Connection) -> None:
    text = connection.ask("GET", f"{LOG}?timestamps=true&tailLines=1").read().decode()
    assert text.startswith("2026-01-01T00:00:14.000000000Z 10.244.")


def test_a_log_is_cut_at_the_limit_of_bytes(asked: Cluster, connection: Connection) -> None:
    assert len(connection.ask("GET", f"{LOG}?limitBytes=20").read()) == 20


def test_http_requests_are_lines_in_the_manner_of_web_servers(shop: Cluster, connection: Connection) -> None:
    request = b"GET /cake HTTP/1.1\r\nUser-Agent: test/1\r\n\r\n"
    reached = shop.pod("client").connect("web", 80).request(request).server
    text = connection.ask("GET", LOG.replace("web-1", reached)).read().decode()
    assert text.endswith(' "GET /cake HTTP/1.1" 200 "test/1"\n')


def test_probes_are_in_the_log(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}})
    cluster.advance(6)
    with cluster.clients.httpx() as http:
        found = http.get("/api/v1/namespaces/default/pods/p/log").text.splitlines()
    assert [line.partition(" ")[2] for line in found] == ['"GET /ready HTTP/1.1" 200 "kube-probe/1.36"'] * 2


def test_a_log_is_followed_until_the_program_ends(asked: Cluster, connection: Connection) -> None:
    answer = connection.ask("GET", f"{LOG}?follow=true&tailLines=1")
    assert answer.readline().endswith(b"3 bytes\n")
    asked.pod("client").connect(asked.pod("web-1").ip, 8080).request(b"more")
    assert answer.readline().endswith(b"4 bytes\n")
    timer = threading.Timer(0.05, lambda: asked.pod("web-1").exit(3))
    timer.start()
    timer.join()
    asked.settle()
    assert answer.read() == b""


def test_the_log_of_the_start_before_is_kept(asked: Cluster, connection: Connection) -> None:
    asked.pod("web-1").exit(1)
    asked.settle()
    assert lines(connection) == []
    assert lines(connection, "previous=true") == ["1 bytes", "2 bytes", "3 bytes"]


REFUSED = {
    ("web-1", "previous=true"): (400, 'previous terminated container "web" in pod "web-1" not found'),
    ("web-1", "container=x"): (400, "container x is not valid for pod web-1"),
    ("none", ""): (404, 'pods "none" not found'),
    ("web-1", "tailLines=-1"): (
        422,
        'PodLogOptions "web-1" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    ),
    ("web-1", "limitBytes=0"): (
        422,
        'PodLogOptions "web-1" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
    ),
    ("web-1", "tailLines=x"): (400, 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("web-1", "stream=stdout"): (
        422,
        'PodLogOptions "web-1" is invalid: stream: Unsupported value: "stdout": '
        'supported values: "All", "Stderr", "Stdout"',
    ),
    ("two", ""): (400, "a container name must be specified for pod two, choose one of: [one other]"),
    ("late", ""): (400, 'container "c" in pod "late" is waiting to start: CreateContainerConfigError'),
}


@pytest.mark.parametrize("asked_for", REFUSED, ids=[" ".join(key) for key in REFUSED])
def test_what_makes_no_sense_is_refused(shop: Cluster, connection: Connection, asked_for: tuple[str, str]) -> None:
    two = {"containers": [{"name": "one", "image": "i"}, {"name": "other", "image": "i"}]}
    late = {"containers": [{"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "missing"}}]}]}
    for name, spec in (("two", two), ("late", late)):
        shop.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    pod, query = asked_for
    answer = connection.json("GET", f"{LOG.replace('web-1', pod)}?{query}")
    assert (answer["code"], answer["message"]) == REFUSED[asked_for]


def test_copies_of_a_cluster_print_into_logs_of_their_own(asked: Cluster) -> None:
    copy = asked.fork()
    for cluster, size in ((asked, 10), (copy, 20)):
        cluster.pod("client").connect(cluster.pod("web-1").ip, 8080).request(b"x" * size)
        cluster.pod("client").outcomes("tcp://web:80")  # what is only tried out is not printed
    for cluster, expected in ((asked, "10 bytes"), (copy, "20 bytes")):
        with cluster.clients.httpx() as http:
            found = http.get(LOG).text.splitlines()
        assert [line.partition("tcp ")[2] for line in found] == ["1 bytes", "2 bytes", "3 bytes", expected]
