"""Which endpoints are used: readiness, policies, hints."""

from fakecluster.proxy.topology import categorize
from fakecluster.proxy.view import Endpoint, ServicePort, ServicePortName

NAME = ServicePortName("shop", "web", "http", "TCP")
CLUSTER = ServicePort(NAME, "10.96.0.10", 80)
LOCAL = ServicePort(NAME, "10.96.0.10", 80, node_port=30080, external_local=True)


def at(ip, **kinds):
    return Endpoint(ip, 80, f"{ip}:80", **kinds)


def leaving(ip, **kinds):
    return at(ip, is_ready=False, is_serving=True, is_terminating=True, **kinds)


def ips(endpoints):
    return [endpoint.ip for endpoint in endpoints]


def test_ready_endpoints_serve_policy_cluster():
    found = categorize([at("10.0.0.1"), at("10.0.0.2", is_ready=False)], CLUSTER, "node-a", "")
    assert (ips(found.cluster), ips(found.local), found.anywhere) == (["10.0.0.1"], [], True)


def test_without_ready_endpoints_serving_terminating_ones_are_used():
    found = categorize([leaving("10.0.0.1"), at("10.0.0.2", is_ready=False, is_serving=False)], CLUSTER, "node-a", "")
    assert ips(found.cluster) == ["10.0.0.1"]


def test_the_fallbacks_of_cluster_and_local_are_independent():
    found = categorize([at("10.0.0.1"), leaving("10.0.0.2", is_local=True)], LOCAL, "node-a", "")
    assert (ips(found.cluster), ips(found.local)) == (["10.0.0.1"], ["10.0.0.2"])
    assert ips(found.reachable) == ["10.0.0.1", "10.0.0.2"]


def test_an_endpoint_that_serves_no_more_is_no_endpoint():
    found = categorize([at("10.0.0.1", is_ready=False, is_serving=False, is_terminating=True)], CLUSTER, "node-a", "")
    assert not found.anywhere


def test_zone_hints_keep_the_endpoints_of_our_zone():
    endpoints = [at("10.0.0.1", zone_hints=frozenset({"a"})), at("10.0.0.2", zone_hints=frozenset({"b"}))]
    assert ips(categorize(endpoints, CLUSTER, "node-a", "b").cluster) == ["10.0.0.2"]


def test_zone_hints_are_ignored_when_one_endpoint_has_none_or_none_is_for_us():
    hinted = at("10.0.0.1", zone_hints=frozenset({"a"}))
    assert ips(categorize([hinted, at("10.0.0.2")], CLUSTER, "node-a", "a").cluster) == ["10.0.0.1", "10.0.0.2"]
    assert ips(categorize([hinted], CLUSTER, "node-a", "c").cluster) == ["10.0.0.1"]


def test_node_hints_win_over_zone_hints():
    endpoints = [
        at("10.0.0.1", zone_hints=frozenset({"a"}), node_hints=frozenset({"node-a"})),
        at("10.0.0.2", zone_hints=frozenset({"a"}), node_hints=frozenset({"node-b"})),
    ]
    assert ips(categorize(endpoints, CLUSTER, "node-a", "a").cluster) == ["10.0.0.1"]


def test_hints_do_not_apply_to_policy_local():
    endpoints = [
        at("10.0.0.1", zone_hints=frozenset({"a"})),
        at("10.0.0.2", zone_hints=frozenset({"b"}), is_local=True),
    ]
    found = categorize(endpoints, LOCAL, "node-a", "a")
    assert (ips(found.cluster), ips(found.local), ips(found.reachable)) == (
        ["10.0.0.1"],
        ["10.0.0.2"],
        ["10.0.0.1", "10.0.0.2"],
    )


def test_internal_policy_local_uses_no_cluster_endpoints_unless_it_is_reachable_from_outside():
    inside = ServicePort(NAME, "10.96.0.10", 80, internal_local=True)
    found = categorize([at("10.0.0.1"), at("10.0.0.2", is_local=True)], inside, "node-a", "")
    assert (ips(found.cluster), ips(found.local)) == ([], ["10.0.0.2"])
