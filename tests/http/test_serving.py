import gzip
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest
from http_connection import Connection

from fakecluster import Cluster
from fakecluster.http import Served

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "data": data}


def test_a_tls_server_knows_its_token_and_refuses_others(shop: Cluster) -> None:
    with shop.serve() as api:
        connection = Connection(api)
        assert connection.json("GET", PODS)["kind"] == "PodList"
        refused = connection.json("GET", PODS, Authorization="Bearer wrong")
        assert (refused["code"], refused["reason"]) == (401, "Unauthorized")
        anonymous = connection.json("GET", PODS, Authorization="")
        assert anonymous["code"] == 403
        assert anonymous["message"].startswith('pods is forbidden: User "system:anonymous" cannot list resource "pods"')


def test_impersonation_asks_with_the_rights_of_the_other(connection: Connection) -> None:
    refused = connection.json("GET", PODS, Impersonate_User="bob", Impersonate_Group="dev")
    assert refused["message"].startswith('pods is forbidden: User "bob" cannot list resource "pods"')
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    review = connection.json("POST", path, body, Impersonate_User="bob", Impersonate_Group="dev")
    assert review["status"]["userInfo"] == {"username": "bob", "groups": ["dev", "system:authenticated"]}


def test_a_write_over_http_is_seen_by_packets(shop: Cluster, connection: Connection) -> None:
    port = {"port": 81, "targetPort": 8080}
    service = {"metadata": {"name": "second"}, "spec": {"selector": {"app": "web"}, "ports": [port]}}
    assert connection.ask("POST", "/api/v1/namespaces/default/services", service).status == 201
    assert shop.pod("client").connect("second", 81).request(b"x").body == b"x"


def test_every_answer_has_an_audit_id_and_the_clients_own_is_kept(connection: Connection) -> None:
    ids = []
    for headers in ({}, {}, {"Audit_ID": "mine-1"}):
        with connection.ask("GET", "/version", **headers) as response:
            ids.append(response.headers["Audit-Id"])
            response.read()
    assert len(ids[0]) == 36 and ids[0] != ids[1] and ids[2] == "mine-1"


def test_warnings_are_headers(connection: Connection) -> None:
    with connection.ask("GET", "/api/v1/namespaces/default/endpoints") as response:
        assert response.headers.get_all("Warning") == [
            '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
        ]


def test_big_answers_are_compressed_for_those_who_can_read_it(connection: Connection) -> None:
    path = "/openapi/v3/api/v1"
    with connection.ask("GET", path) as plain:
        text = plain.read()
    with connection.ask("GET", path, Accept_Encoding="gzip") as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.read()) == text
    with connection.ask("GET", "/version", Accept_Encoding="gzip") as small:
        assert small.headers["Content-Encoding"] is None


@pytest.mark.parametrize("path", ["/openapi/v3", "/openapi/v3/apis/apps/v1"])
def test_documents_that_a_client_has_are_not_sent_again(connection: Connection, path: str) -> None:
    with connection.ask("GET", path) as first:
        tag = first.headers["ETag"]
        first.read()
    with connection.ask("GET", path, If_None_Match=tag) as again:
        assert (again.status, again.read()) == (304, b"")


def test_fields_stand_in_the_order_of_the_real_server(connection: Connection) -> None:
    with connection.ask("GET", f"{PODS}/web-1") as response:
        pod = json.loads(response.read())
    assert list(pod) == ["kind", "apiVersion", "metadata", "spec", "status"]
    order = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "labels",
        "managedFields",
    ]
    assert list(pod["metadata"]) == order


def test_a_body_over_three_megabytes_is_refused_in_the_real_servers_words(connection: Connection) -> None:
    body = b'{"data":{"a":"' + b"x" * 3 * 1024 * 1024 + b'"}}'
    answer = connection.json("POST", MAPS, body, Content_Type="application/json")
    assert (answer["code"], answer["reason"]) == (413, "RequestEntityTooLarge")
    assert answer["message"] == "Request entity too large: limit is 3145728"


def test_a_watch_streams_what_happens_and_ends_at_its_timeout(api: Served) -> None:
    writer, watcher = Connection(api), Connection(api)
    response = watcher.ask("GET", f"{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Da")
    writer.ask("POST", MAPS, config_map("a", k="1")).read()
    writer.ask("PATCH", f"{MAPS}/a", {"data": {"k": "2"}}, Content_Type="application/merge-patch+json").read()
    writer.ask("DELETE", f"{MAPS}/a").read()
    events = [json.loads(line) for line in response.read().splitlines()]
    assert [(event["type"], event["object"]["data"]) for event in events] == [
        ("ADDED", {"k": "1"}),
        ("MODIFIED", {"k": "2"}),
        ("DELETED", {"k": "2"}),
    ]


def test_a_watch_from_a_forgotten_version_is_told_so(shop: Cluster, connection: Connection) -> None:
    store = shop.parts.server.store
    store.compact(store.revision)
    with connection.ask("GET", f"{PODS}?watch=1&resourceVersion=5") as response:
        event = json.loads(response.read())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_stopping_ends_open_watches_and_frees_the_port(shop: Cluster) -> None:
    api = shop.serve(tls=False)
    watching = Connection(api).ask("GET", f"{PODS}?watch=1")
    ended = threading.Event()
    threading.Thread(target=lambda: (watching.read(), ended.set()), daemon=True).start()
    start = time.monotonic()
    api.stop()
    assert ended.wait(2) and time.monotonic() - start < 2
    with socket.create_server(("127.0.0.1", api.port)):
        pass


def test_real_time_lets_timers_run_and_virtual_time_does_not(shop: Cluster) -> None:
    with shop.serve(tls=False, clock="virtual"):
        before = shop.clock.now_ns
        time.sleep(0.1)
        assert shop.clock.now_ns == before
    with shop.serve(tls=False, clock="accelerated"):
        time.sleep(0.3)
    assert shop.clock.now_s > 5


def test_an_unknown_pace_is_refused(shop: Cluster) -> None:
    with pytest.raises(ValueError, match="a clock is one of virtual, real, accelerated, not 'fast'"):
        shop.serve(clock="fast")


def test_the_fixture_gives_a_kubeconfig_that_kubectl_takes(fakecluster_api: Served) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "--kubeconfig", str(fakecluster_api.kubeconfig), "get", "nodes", "-o", "name"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "node/a\n"
