"""Whatever bytes arrive: an HTTP answer or a closed connection, never a traceback, and the server lives on."""

import re
import socket

import pytest
from http_connection import Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster.http import Served
from fakecluster.http.direct import Direct
from fakecluster.http.served_cluster import door_of

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ")
HEAD = b"Host: x\r\nAuthorization: Bearer fakecluster-admin\r\n"


def exchange(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        found = b""
        try:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(65536):
                found += part
        except OSError as closed:  # the server has heard enough
            assert not isinstance(closed, TimeoutError)
        return found


def check(answer: bytes) -> None:
    assert b"Traceback" not in answer
    assert not answer or STATUS_LINE.match(answer), answer[:200]


CASES = {
    b"\r\n\r\n": {b"", b"400"},
    b"GET\r\n\r\n": {b"400"},
    b"GET /version HTTP/9.9\r\n\r\n": {b"400", b"200", b"505"},
    b"GET /version HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n": {b"400"},
    b"GET /version HTTP/1.1\r\n" + HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n": {b"400", b"431", b""},
    b"GET /api/v1/../../etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n": {b"404"},
    b"GET /api/v1/namespaces/%2e%2e/pods HTTP/1.1\r\n" + HEAD + b"\r\n": {b"200", b"404"},
    b"GET /api/v1/pods%00 HTTP/1.1\r\n" + HEAD + b"\r\n": {b"404"},
    b"GET /\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n": {b"400", b"404"},
    b"BREW /api/v1/pods HTTP/1.1\r\n" + HEAD + b"\r\n": {b"405"},
    b"GET /api/v1/pods?limit=x HTTP/1.1\r\n" + HEAD + b"\r\n": {b"400"},
    b"GET /api/v1/pods HTTP/1.1\r\n" + HEAD + b"Upgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n": {b"200"},
}


@pytest.mark.parametrize("sent", CASES, ids=[str(number) for number in range(len(CASES))])
def test_odd_requests_are_answered(api: Served, connection: Connection, sent: bytes) -> None:
    answer = exchange(api.port, sent)
    check(answer)
    assert answer[9:12] in CASES[sent], answer[:300]
    assert connection.ask("GET", "/version").status == 200


def test_wrong_content_types_are_refused(connection: Connection) -> None:
    answer = connection.json("POST", "/api/v1/namespaces/default/configmaps", b"a=b", Content_Type="text/plain")
    assert (answer["code"], answer["reason"]) == (415, "UnsupportedMediaType")


def test_clients_that_leave_in_the_middle_leave_nothing_behind(api: Served, shop: Cluster) -> None:
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", api.port)) as raw:
            raw.sendall(
                b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\n" + HEAD + b"Content-Length: 99\r\n\r\n{"
            )
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", api.port)) as raw:
            raw.sendall(b"GET /api/v1/pods?watch=1 HTTP/1.1\r\n" + HEAD + b"\r\n")
            raw.recv(100)
    shop.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after"}})
    assert Connection(api).ask("GET", "/api/v1/namespaces/default/configmaps/after").status == 200


REQUESTS = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            (
                b"GET ",
                b"POST ",
                b"/api/v1/pods",
                b" HTTP/1.1\r\n",
                HEAD,
                b"\r\n",
                b"Content-Length: 5\r\n",
                b"%2f",
                b"?watch=",
            )
        ),
    ),
    max_size=12,
).map(b"".join)


@pytest.fixture(scope="module")
def fuzzed_port() -> int:
    api = Cluster(nodes=1).serve(tls=False)
    return api.port


@given(sent=REQUESTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_raw_bytes_never_break_the_server(fuzzed_port: int, sent: bytes) -> None:
    check(exchange(fuzzed_port, sent))
    assert exchange(fuzzed_port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"ok")


TEXT = st.text(max_size=12)
PATHS = st.lists(
    st.one_of(
        TEXT,
        st.sampled_from(
            ("api", "apis", "v1", "apps", "namespaces", "default", "pods", "client", "status", "log", "scale")
        ),
    ),
    max_size=9,
).map(lambda parts: "/" + "/".join(parts))
HEADERS = st.dictionaries(
    st.sampled_from(("Accept", "Content-Type", "If-None-Match", "Impersonate-User", "Audit-ID", "Authorization")), TEXT
)


@pytest.fixture(scope="module")
def direct() -> Direct:
    return Direct(door_of(Cluster(nodes=1)))


@given(
    method=st.sampled_from(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")),
    path=PATHS,
    headers=HEADERS,
    body=st.one_of(st.binary(max_size=40), st.just(b"{}")),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_gets_a_status(
    direct: Direct, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    reply = direct.send(method, path.replace("?", "%3F").replace("#", "%23"), headers, body)
    assert 200 <= reply.status < 600 and reply.status != 500
