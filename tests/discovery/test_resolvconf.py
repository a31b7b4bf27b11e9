"""A Pod's resolv.conf by policy, dnsConfig and limits, beyond what was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster.discovery.resolvconf import ResolvConf, parse, pod_dns

NODE = "nameserver 10.0.0.2\nsearch corp.example\noptions timeout:2\n"


def pod(policy: str = "ClusterFirst", *, host_network: bool = False, **config: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"dnsPolicy": policy, "hostNetwork": host_network}
    if config:
        spec["dnsConfig"] = config
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (
            pod(),
            "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
            "nameserver 10.96.0.10\noptions ndots:5\n",
        ),
        (pod(host_network=True), "search corp.example\nnameserver 10.0.0.2\noptions timeout:2\n"),
        (
            pod("ClusterFirstWithHostNet", host_network=True),
            "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
            "nameserver 10.96.0.10\noptions ndots:5\n",
        ),
        (pod("Default"), "search corp.example\nnameserver 10.0.0.2\noptions timeout:2\n"),
        (pod("None", nameservers=["192.0.2.1"], searches=["a"]), "search a\nnameserver 192.0.2.1\n"),
        (
            pod("Default", options=[{"name": "timeout", "value": "1"}, {"name": "rotate"}], nameservers=["192.0.2.1"]),
            "search corp.example\nnameserver 10.0.0.2\nnameserver 192.0.2.1\noptions timeout:1 rotate\n",
        ),
    ],
)
def test_the_file_by_policy(made: dict[str, Any], text: str) -> None:
    assert str(pod_dns(made, node_resolv_conf=NODE).resolv_conf) == text


def test_what_does_not_fit_is_left_out_and_told() -> None:
    servers = [f"192.0.2.{number}" for number in range(1, 6)]
    searches = [f"s{number}" for number in range(40)]
    made = pod_dns(pod("None", nameservers=servers, searches=searches))
    assert made.resolv_conf.nameservers == ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert len(made.resolv_conf.searches) == 32
    assert [event.partition(",")[0] for event in made.events] == [
        "Warning DNSConfigForming Nameserver limits were exceeded",
        "Warning DNSConfigForming Search Line limits were exceeded",
    ]


def test_a_long_search_line_is_cut_to_2048_characters() -> None:
    searches = [f"{number:02}{'x' * 98}" for number in range(30)]
    kept = pod_dns(pod("None", nameservers=["192.0.2.1"], searches=searches)).resolv_conf.searches
    assert len(" ".join(kept)) <= 2048 < len(" ".join((*kept, searches[len(kept)])))


def test_without_cluster_dns_the_node_s_file_is_used_and_told() -> None:
    made = pod_dns(pod(), cluster_dns=(), node_resolv_conf=NODE)
    assert made.resolv_conf.nameservers == ("10.0.0.2",)
    assert len(made.events) == 2 and all("MissingClusterDNS" in event for event in made.events)


def test_a_file_is_read_as_the_kubelet_does() -> None:
    text = "# c\n; c\nsearch old\nsearch a. . b\nnameserver 192.0.2.1 # more\nbogus x\n"
    text += "options ndots:2 rotate\noptions ndots:3\n"
    assert parse(text) == ResolvConf(("192.0.2.1",), ("a", "b"), ("ndots:3", "rotate"))
    assert parse("") == ResolvConf()


def test_numbers_among_options() -> None:
    conf = ResolvConf(options=("ndots:2", "ndots:x", "rotate", "ndots:4"))
    assert conf.option("ndots", 1) == 4
    assert conf.option("timeout", 5) == 5
