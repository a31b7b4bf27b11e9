"""The kube-proxies of a cluster: what makes one start anew."""

from __future__ import annotations

import copy

from fakecluster import Cluster


def test_a_kube_proxy_starts_anew_when_its_node_gets_another_address() -> None:
    cluster = Cluster(nodes=2, dns=False)
    before = {name: proxy.process for name, proxy in cluster.parts.proxies.items()}
    node = copy.deepcopy(cluster.node("a").object)
    old = node["status"]["addresses"][0]["address"]
    node["status"]["addresses"][0]["address"] = "192.168.1.77"
    cluster.api.update_status("nodes", node)
    cluster.settle()
    after = {name: proxy.process for name, proxy in cluster.parts.proxies.items()}
    assert after["a"] is not before["a"]
    assert after["b"] is before["b"]
    assert after["a"].proxiers["IPv4"].node.ip == "192.168.1.77"
    assert [line.text for line in after["a"].log] == [
        f'"NodeIPs changed for the node" node="a" newNodeIPs=["192.168.1.77"] oldNodeIPs=["{old}"]'
    ]


def test_with_node_cidr_detection_another_pod_cidr_starts_it_anew() -> None:
    cluster = Cluster(nodes=1, dns=False, proxy_config={"detectLocalMode": "NodeCIDR"})
    assert "! -s 10.244.0.0/24" in cluster.node("a").run("iptables-save")
    node = copy.deepcopy(cluster.node("a").object)
    proxy = cluster.parts.proxies["a"].process
    proxy.on_object("nodes", {**node, "spec": {**node["spec"], "podCIDRs": ["10.244.9.0/24"]}})
    assert proxy.exited
    assert proxy.log[-1].text == (
        '"Using NodeCIDR LocalDetector mode, current PodCIDRs are different than previous PodCIDRs, restarting" '
        'node="a" newPodCIDRs=["10.244.9.0/24"] oldPodCIDRs=["10.244.0.0/24"]'
    )


def test_of_a_dual_stack_service_only_one_family_has_the_health_check_port() -> None:
    cluster = Cluster(nodes=1, dns=False, ip_family="dual")
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ipFamilyPolicy": "RequireDualStack"}
    ports = [{"port": 80}]
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {**spec, "ports": ports}}
    )
    port = cluster.service("web").object["spec"]["healthCheckNodePort"]
    proxy = cluster.parts.proxies["a"].process
    assert {line.text for line in proxy.log} == {
        f'"Failed to start healthcheck" err="listen tcp 0.0.0.0:{port}: bind: address already in use" node="a" '
        f'service="default/web" port={port}'
    }
    assert [len(proxy.proxiers[family].health.servers) for family in ("IPv4", "IPv6")] == [1, 0]
    ask = b"GET / HTTP/1.1\r\n\r\n"
    answers = [cluster.node("a").connect(ip, port).request(ask) for ip in cluster.runtime.nodes["a"].ips]
    assert [(answer.status, b'"localEndpoints": 0' in answer.body) for answer in answers] == [(503, True), (503, True)]
