"""Node addresses and the node port filter."""

from proxy_node_stub import StubNode

from fakecluster.proxy.node_addresses import node_addresses, node_port_addresses


def test_addresses_are_read_from_the_node_in_interface_order():
    node = StubNode()
    node.answers["ip address show"] = (
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n    inet6 ::1/128 scope host\n"
        "2: eth0: <BROADCAST,UP,LOWER_UP> mtu 1500\n    inet 192.168.1.10/24 brd 192.168.1.255 scope global eth0\n"
    )
    assert node_addresses(node, "IPv4") == ("127.0.0.1", "192.168.1.10")


def test_no_filter_matches_every_address():
    wanted = node_port_addresses((), "IPv4", "192.168.1.10")
    assert wanted.match_all
    assert wanted.contains_ipv4_loopback


def test_a_filter_of_the_other_family_does_not_count():
    assert node_port_addresses(("fd00::/8",), "IPv4", "192.168.1.10").match_all


def test_primary_is_the_node_ip():
    wanted = node_port_addresses(("primary",), "IPv4", "192.168.1.10")
    assert wanted.matching(["127.0.0.1", "192.168.1.10", "192.168.1.11"]) == ("192.168.1.10",)
    assert not wanted.contains_ipv4_loopback


def test_primary_filters_nothing_where_the_node_has_no_ip_of_the_family():
    assert node_port_addresses(("primary",), "IPv6", "::1").match_all


def test_cidrs_choose_addresses():
    wanted = node_port_addresses(("127.0.0.0/8", "192.168.1.0/24"), "IPv4", "192.168.1.10")
    assert wanted.matching(["127.0.0.1", "192.168.1.10", "10.0.0.1"]) == ("127.0.0.1", "192.168.1.10")
    assert wanted.contains_ipv4_loopback
