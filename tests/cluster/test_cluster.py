"""Time, copies, errors: what a Cluster does besides moving packets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.errors import ManifestError
from fakecluster.sim import Scripted

from .conftest import pod, service


def test_apply_says_what_it_did_and_is_idempotent(web: list[dict[str, Any]]) -> None:
    cluster = Cluster(nodes=2)
    assert [str(one) for one in cluster.apply(web[2:3])] == ["service/web created"]
    assert [str(one) for one in cluster.apply(web[2:3])] == ["service/web unchanged"]
    changed = service("web", {"app": "web"}, port=81)
    assert [str(one) for one in cluster.apply(changed)] == ["service/web configured"]
    assert [port["port"] for port in cluster.service("web").object["spec"]["ports"]] == [81]


def test_forks_are_independent_and_alike(web: list[dict[str, Any]]) -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(web)
    copy = cluster.fork()
    copy.delete("pods", "web-1")
    copy.advance(60)
    assert copy.pod("client").outcomes("tcp://svc/web:80").destinations == {"web-2"}
    assert cluster.pod("client").outcomes("tcp://svc/web:80").destinations == {"web-1", "web-2"}
    assert cluster.pod("client").connect("svc/web").request(b"x").server in ("web-1", "web-2")


@pytest.mark.parametrize("mode", ["nftables", "ipvs", "iptables"])
def test_a_fork_can_change_the_proxy_mode(web: list[dict[str, Any]], mode: str) -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(web)
    copy = cluster.fork(proxy=mode)
    assert copy.spec.proxy == mode
    client = copy.pod("client")
    assert {client.connect("svc/web").request(b"x").server for _ in range(20)} == {"web-1", "web-2"}
    rules = copy.node("a").run("iptables-save -t nat").splitlines()
    assert any(line.startswith("-A KUBE-SERVICES") and "-j KUBE-SVC" in line for line in rules) == (mode == "iptables")


def test_a_held_kube_proxy_leaves_old_rules_in_force(web: list[dict[str, Any]]) -> None:
    cluster = Cluster(nodes=2)
    cluster.apply(web)
    cluster.hold("kube-proxy@a")
    cluster.delete("pods", "web-2")
    cluster.advance(60)
    client = cluster.pod("client")
    assert "web-1" in client.outcomes("tcp://svc/web:80").destinations
    assert len(client.outcomes("tcp://svc/web:80").destinations) == 2  # the stale endpoint: nobody is there
    cluster.release("kube-proxy@a")
    cluster.settle()
    assert client.outcomes("tcp://svc/web:80").destinations == {"web-1"}


def test_the_same_seed_gives_the_same_run(web: list[dict[str, Any]]) -> None:
    def run(seed: int) -> list[str]:
        cluster = Cluster(nodes=2, seed=seed)
        cluster.apply(web)
        return [cluster.pod("client").connect("svc/web").request(b"x").server for _ in range(12)]

    assert run(3) == run(3)
    assert len({tuple(run(seed)) for seed in range(6)}) > 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("apiVersion: v1\nkind: Pod\n  bad: indent\n", "line 3"),
        ("apiVersion: v1\nkind: Gadget\nmetadata: {name: x}\n", 'no matches for kind "Gadget" in version "v1"'),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 70000}]}\n",
            "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            'apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}], selector: {a: "b c"}}\n',
            'spec.selector: Invalid value: "b c": a valid label must be an empty string or consist of',
        ),
    ],
)
def test_bad_manifests_say_file_document_field_and_the_servers_words(tmp_path: Any, text: str, words: str) -> None:
    good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: before}\n---\n"
    file = tmp_path / "bad.yaml"
    file.write_text(good + text)
    cluster = Cluster()
    with pytest.raises(ManifestError) as refused:
        cluster.apply(file)
    assert words.replace("line 3", "line 7") in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    names = [obj["metadata"]["name"] for obj in cluster.api.list("services") if obj["metadata"]["name"] == "x"]
    assert names == []


def test_what_was_applied_before_the_error_is_said_and_stays() -> None:
    cluster = Cluster()
    with pytest.raises(ManifestError) as refused:
        cluster.apply([pod("first"), service("bad", {"app": "x"}, port=70000), pod("never")])
    assert refused.value.applied == ("pod/first created",)
    assert cluster.pod("first").ready
    assert [p.name for p in cluster.pods] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"nodes": -1}, "nodes=-1: expected 0 to 4096"),
        ({"nodes": 2.5}, "nodes=2.5: expected a number or a list"),
        ({"nodes": [3]}, "node 3: expected a name or a mapping"),
        ({"nodes": ["A b"]}, "node name 'A b': a lowercase RFC 1123 subdomain"),
        ({"dns": "no"}, "dns='no': expected one of True, False"),
        ({"kubernetes": 1.36}, "kubernetes=1.36: expected text, as in kubernetes='1.36'"),
        ({"seed": "x"}, "seed='x': expected a whole number"),
        ({"choices": 3}, "choices=3: expected a source of choices"),
        ({"seed": 3, "choices": Scripted([1])}, "seed=3 and choices=Scripted([1]): only one of them can decide"),
        ({"nodes": ["a", "a"]}, "node names must differ"),
        ({"proxy": "ebpf"}, "expected one of iptables, ipvs, nftables, userspace"),
        ({"ip_family": "ipx"}, "expected one of ipv4, ipv6, dual, dual-ipv6"),
        ({"nodes": [{"name": "a", "zones": "x"}]}, "unknown keys zones"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Cluster(**arguments)


def test_kube_proxy_is_configured_per_cluster_and_per_node(web: list[dict[str, Any]]) -> None:
    own = {"name": "b", "proxy_config": {"iptables": {"masqueradeAll": True}}}
    cluster = Cluster(nodes=["a", own], proxy_config={"nodePortAddresses": ["172.18.0.0/16"]})
    cluster.apply(web)
    all_marked = '-m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    rules = {node.name: node.run("iptables-save -t nat") for node in cluster.nodes}
    assert "! -s 10.244.0.0/16" in rules["a"]
    assert "! -s 10.244.0.0/16" not in rules["b"]
    assert all_marked in rules["b"]
    for text in rules.values():
        assert "-d 172.18.0." in text  # node ports on the given addresses only
