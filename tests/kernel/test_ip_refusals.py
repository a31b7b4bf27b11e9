"""What ip(8) has and the model has not is refused as such, not taken for a mistake of the user."""

from __future__ import annotations

import pytest

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.netns import Netns


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("ip route get 10.0.0.5", "ip route get"),
        ("ip route show table all", "ip route: all tables at once"),
        ("ip route add 1.0.0.0/8 nexthop via 10.0.0.2 nexthop via 10.0.0.3", "ip route add: nexthop"),
        ("ip route add 5.0.0.0/8 via 10.0.0.2 tos 0x10", "ip route add: tos"),
        ("ip tunnel add x mode ipip remote 1.1.1.1", "ip tunnel"),
    ],
)
def test_what_is_not_modelled_is_called_that(command: str, what: str) -> None:
    with pytest.raises(Unsupported) as gap:
        Netns().run(command)
    assert gap.value.what == what


def test_a_mistake_is_still_a_mistake() -> None:
    with pytest.raises(CommandError, match='Command "foo" is unknown'):
        Netns().run("ip route foo")


def test_a_route_of_the_same_metric_is_there_already_unless_it_is_appended() -> None:
    node = Netns()
    node.run("ip -6 route add blackhole fd00::/64")
    with pytest.raises(CommandError, match="File exists"):
        node.run("ip -6 route add unreachable fd00::/64")
    node.run("ip -6 route append unreachable fd00::/64")


def test_forwarding_of_all_is_that_of_every_device() -> None:
    node = Netns()
    node.run("sysctl -w net.ipv4.conf.eth0.forwarding=1")
    node.run("sysctl -w net.ipv4.ip_forward=0")
    assert node.sysctls["net.ipv4.conf.eth0.forwarding"] == "0"
    node.run("sysctl -w net.ipv4.conf.all.forwarding=1")
    assert (node.sysctls["net.ipv4.ip_forward"], node.sysctls["net.ipv4.conf.eth0.forwarding"]) == ("1", "1")
