"""Who answers whom in one cluster and in another."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.explaining.connections import ChangedConnection, Connection, changed, connections, shares_text
from fakecluster.handles import TargetError

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop.yaml"


@pytest.fixture(scope="module")
def shop() -> Cluster:
    cluster = Cluster(nodes=1)
    cluster.apply(SHOP)
    return cluster


def test_modes_answer_alike_and_a_lost_endpoint_shows(shop: Cluster) -> None:
    before = dict(connections(shop, ["pod/client"]))
    assert {str(one) for one in before} == {"pod/client to svc/web:80"}
    assert changed(before, dict(connections(shop.fork(proxy="nftables"), ["pod/client"]))) == []
    fewer = shop.fork()
    fewer.delete("pods", "web-2")
    (found,) = changed(before, dict(connections(fewer, ["pod/client"])))
    assert str(found) == "pod/client to svc/web:80: web-1 1/3, web-2 1/3, web-3 1/3 -> web-1 1/2, web-3 1/2"


def test_the_outside_asks_node_ports(shop: Cluster) -> None:
    opened = shop.fork()
    service = deepcopy(opened.service("web").object)
    service["spec"] |= {"type": "NodePort", "ports": [{**service["spec"]["ports"][0], "nodePort": 30080}]}
    opened.api.update("services", service)
    opened.settle()
    assert dict(connections(shop, ["outside"])) == {}
    ((asked, shares),) = connections(opened, ["outside"])
    assert (str(asked), set(shares)) == ("outside to node/a:30080", {"web-1", "web-2", "web-3"})


def test_what_is_new_and_what_is_gone_is_named() -> None:
    one = Connection("pod/a", "svc/b:1")
    found = changed({}, {one: {"b": Fraction(1)}})
    assert found == [ChangedConnection(one, {}, {"b": Fraction(1)})]
    assert str(found[0]) == "pod/a to svc/b:1: nothing -> b always"
    assert shares_text({"x": Fraction(715827883, 2147483648), "y": Fraction(1, 7)}) == "x 1/3, y 1/7"


def test_a_source_that_does_not_exist_is_refused(shop: Cluster) -> None:
    with pytest.raises(TargetError, match="'pod/nobody': no such host"):
        list(connections(shop, ["pod/nobody"]))
