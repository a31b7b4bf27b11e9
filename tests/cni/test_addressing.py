"""Which addresses nodes and Pods get."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from fakecluster.cni.addressing import AddressPlan, HostLocal


def test_nodes_get_kinds_addresses_and_ranges() -> None:
    plan = AddressPlan(families=(4, 6))
    assert plan.node(0).ips == ("172.18.0.2", "fc00:f853:ccd:e793::2")
    assert plan.node(2).pod_cidrs == ("10.244.2.0/24", "fd00:10:244:2::/64")
    assert plan.gateway(4) == "172.18.0.1"


def test_the_pod_range_ends_after_256_nodes() -> None:
    with pytest.raises(ValueError, match="only 256 node ranges"):
        AddressPlan().node(256)


def test_addresses_are_given_in_turn_and_used_again_only_after_a_round() -> None:
    pool = HostLocal(ip_network("10.0.0.0/29"))  # .2 to .6
    assert [pool.allocate(f"p{n}") for n in range(2)] == ["10.0.0.2", "10.0.0.3"]
    pool.release("p0")
    assert [pool.allocate(f"q{n}") for n in range(4)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]
    with pytest.raises(ValueError, match=r"no IP addresses available in range set: 10\.0\.0\.1-10\.0\.0\.6"):
        pool.allocate("one too many")


def test_a_fork_allocates_for_itself() -> None:
    pool = HostLocal(ip_network("fd00::/64"))
    copy = pool.fork()
    assert copy.allocate("a") == pool.allocate("b") == "fd00::2"
