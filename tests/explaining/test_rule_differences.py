"""A real node's rules beside the model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.rule_differences import differences, service_of

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"
DUMPS = {
    "iptables": {"iptables-save": "iptables-save"},
    "nftables": {"nft": "nft list ruleset"},
    "ipvs": {"ipset": "ipset save", "iptables-save": "iptables-save", "ipvsadm": "ipvsadm -Sn"},
}


@pytest.fixture(scope="module", params=sorted(DUMPS))
def cluster(request: pytest.FixtureRequest) -> Cluster:
    made = Cluster(nodes=1, proxy=request.param)
    made.apply(SHOP)
    return made


def dumps(cluster: Cluster) -> dict[str, str]:
    return {kind: cluster.node("a").run(command) for kind, command in DUMPS[cluster.spec.proxy].items()}


def compare(cluster: Cluster, texts: dict[str, str]) -> list[str]:
    real = node_from_dumps({kind: (text, kind) for kind, text in texts.items()})
    return [str(one) for one in differences(real, cluster.node("a").netns, kinds=texts)]


def test_a_nodes_own_dump_is_no_difference(cluster: Cluster) -> None:
    assert compare(cluster, dumps(cluster)) == []


def test_what_a_node_lacks_is_named(cluster: Cluster) -> None:
    without = cluster.fork()
    without.delete("services", "web")
    found = compare(cluster, dumps(without))
    assert found
    assert all(text.startswith("missing in ") for text in found), found
    assert any(cluster.service("web").cluster_ip in text for text in found)


def test_what_a_node_has_too_much_is_named(cluster: Cluster) -> None:
    without = cluster.fork()
    without.delete("services", "web")
    found = compare(without, dumps(cluster))
    assert found
    assert all(text.startswith("extra in ") for text in found), found


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ('-d 10.0.0.1/32 -m comment --comment "default/web:http cluster IP" -j X', "default/web:http"),
        ("-m comment --comment default/web -j X", "default/web"),
        ("10.96.0.1 . tcp . 80 : goto service-ABCDEFGH-default/web/tcp/http", "default/web"),
        ("-j ACCEPT", ""),
    ],
)
def test_services_are_found_in_rules(rule: str, name: str) -> None:
    assert service_of(rule) == name
