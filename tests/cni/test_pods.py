"""What a Pod's spec means for its namespace: ports, host ports, host network, probes."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.cni.probing import http_request, probe_address
from fakecluster.handles import ConnectFailed


def pod(name: str, *, spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    whole = {"containers": [{"name": "main", "image": "example.com/x:1", **container}], **(spec or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def test_a_host_port_leads_from_the_node_to_the_pod_and_goes_with_it() -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(pod("web", spec={"nodeName": "b"}, ports=[{"containerPort": 80, "hostPort": 8080}]))
    assert cluster.outside.connect(cluster.node("b"), 8080).request(b"hi").server == "web"
    assert "CNI-HOSTPORT-DNAT" in cluster.node("b").run("iptables-save -t nat")
    cluster.delete("pods", "web")
    cluster.advance(60)
    with pytest.raises(ConnectFailed):
        cluster.outside.connect(cluster.node("b"), 8080)


def test_a_pod_on_the_host_network_listens_on_its_node() -> None:
    cluster = Cluster(nodes=1)
    cluster.apply(pod("agent", spec={"hostNetwork": True}, ports=[{"containerPort": 9000, "hostPort": 9000}]))
    assert cluster.pod("agent").ip == cluster.node("a").ip
    assert cluster.outside.connect(cluster.node("a"), 9000).request(b"hi").server == "agent"


def test_readiness_follows_a_real_http_probe() -> None:
    cluster = Cluster(nodes=1)
    probe = {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    cluster.apply(pod("web", readinessProbe=probe))
    web = cluster.pod("web")
    assert web.ready  # programs listen on the ports that their probes name
    web.stop_listening(8080)
    cluster.advance(3)
    assert not web.ready


def test_a_liveness_probe_restarts_what_hangs() -> None:
    cluster = Cluster(nodes=1)
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 2}
    cluster.apply(pod("web", ports=[{"containerPort": 80}], livenessProbe=probe))
    cluster.pod("web").stop_listening(80)
    cluster.advance(60)
    (status,) = cluster.pod("web").object["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    assert cluster.node("a").connect(cluster.pod("web"), 80).request(b"hi").server == "web"


def test_two_containers_that_want_one_port_do_not_both_run() -> None:
    cluster = Cluster(nodes=1)
    clash = pod("clash", ports=[{"containerPort": 80}])
    clash["spec"]["containers"].append({"name": "other", "image": "example.com/y:1", "ports": [{"containerPort": 80}]})
    cluster.apply(clash)
    states = {entry["name"]: entry["ready"] for entry in cluster.pod("clash").object["status"]["containerStatuses"]}
    assert states == {"main": True, "other": False}


def test_a_named_probe_port_is_looked_up_in_its_container() -> None:
    obj = pod("web", ports=[{"containerPort": 8080, "name": "http"}])
    assert probe_address(obj, "main", {"httpGet": {"port": "http"}}, "10.0.0.1") == ("10.0.0.1", 8080)
    with pytest.raises(ValueError, match="couldn't find named port 'nope' in container 'main'"):
        probe_address(obj, "main", {"httpGet": {"port": "nope"}}, "10.0.0.1")


def test_the_bytes_of_an_http_probe() -> None:
    get = {"path": "ready", "httpHeaders": [{"name": "Host", "value": "web.example"}]}
    assert http_request(get, "fd00::1", 80) == (
        b"GET /ready HTTP/1.1\r\nHost: web.example\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n"
    )
