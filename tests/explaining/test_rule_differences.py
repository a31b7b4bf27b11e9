"""A real node's rules beside the model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.rule_differences import differences
from fakecluster.kernel.netns import Netns

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


def test_the_order_of_elements_says_nothing() -> None:
    text = "table ip kube-proxy {\n set cluster-ips {\n  type ipv4_addr\n  elements = { %s }\n }\n}\n"
    one, other = (
        node_from_dumps({"nft": (text % elements, "nft")}) for elements in ("10.0.0.1, 10.0.0.2", "10.0.0.2, 10.0.0.1")
    )
    assert differences(one, other, kinds=["nft"]) == []


ONE = '-d 10.0.0.1/32 -m comment --comment "default/one" -j RETURN'
TWO = '-d 10.0.0.2/32 -m comment --comment "default/two" -j RETURN'
MORE = '-m comment --comment "default/one" -j ACCEPT'
LAST = '-m comment --comment "nodeports; NOTE: this must be the last rule in this chain" -j ACCEPT'


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([ONE, MORE, TWO, LAST], []),
        ([TWO, ONE, MORE, LAST], []),  # Services come in any order
        ([MORE, ONE, TWO, LAST], [f"order in ip nat KUBE-SERVICES (default/one): {ONE}"]),
        ([ONE, MORE, LAST, TWO], [f"order in ip nat KUBE-SERVICES: {LAST}"]),
    ],
)
def test_rules_of_one_service_and_of_none_have_an_order(wanted: list[str], found: list[str]) -> None:
    def node(rules: list[str]) -> Netns:
        text = "\n".join(
            ["*nat", ":KUBE-SERVICES - [0:0]", *(f"-A KUBE-SERVICES {rule}" for rule in rules), "COMMIT", ""]
        )
        return node_from_dumps({"iptables-save": (text, "rules")})

    there, model = node([ONE, MORE, TWO, LAST]), node(wanted)
    assert [str(one) for one in differences(there, model, kinds=["iptables-save"])] == found
