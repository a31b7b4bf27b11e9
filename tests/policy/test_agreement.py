"""Whatever policies there are, packets arrive exactly where the policies' meaning says that they may."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import strategies as kube

from .grid import KINDS, PODS, PROBES, SPACES, Grid, pod
from .semantics import is_allowed

Json = dict[str, Any]
PORT_NAMES = ("serve-80-tcp", "serve-81-udp")
POLICIES = st.lists(kube.network_policies(namespaces=SPACES, port_names=PORT_NAMES), min_size=3, max_size=6)
ANY = st.one_of(
    kube.admin_network_policies(port_names=PORT_NAMES),
    kube.baseline_admin_network_policies(port_names=PORT_NAMES),
    kube.cluster_network_policies(port_names=PORT_NAMES),
    kube.network_policies(namespaces=SPACES, port_names=PORT_NAMES),
)
MIXED = st.lists(ANY, min_size=3, max_size=7)
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def disagreements(grid: Grid) -> list[str]:
    """The pairs of Pods, protocol and port where the packets say otherwise than the objects."""
    pods = {f"{p['metadata']['namespace']}/{p['metadata']['name']}": p for p in grid.objects if p["kind"] == "Pod"}
    found, objects = [], grid.objects
    for number, (source, target) in enumerate(product(PODS, PODS)):
        protocol, port = PROBES[number % len(PROBES)]  # every Pod is asked for all four, from different Pods
        wanted = is_allowed(objects, pods[source], pods[target], protocol, port, family=grid.family)
        if grid.arrives(source, target, protocol, port) != wanted:
            found.append(f"{source} to {target} {protocol} {port} should be {'allowed' if wanted else 'denied'}")
    return found


@pytest.mark.parametrize(
    ("cni", "ip_family"), [("iptables", "ipv4"), ("nftables", "ipv4"), ("iptables", "ipv6"), ("nftables", "ipv6")]
)
def test_packets_agree_with_the_meaning_of_the_policies(cni: str, ip_family: str) -> None:
    @SETTINGS
    @given(policies=POLICIES)
    def agree(policies: list[Json]) -> None:
        assert disagreements(Grid.of(*policies, cni=cni, ip_family=ip_family)) == []

    agree()


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("policy"), ANY),
        st.tuples(st.just("no policy"), st.integers(0, 9)),
        st.tuples(st.just("agent"), st.sampled_from(("a", "b"))),
        st.tuples(st.just("pod label"), st.tuples(st.sampled_from(PODS), st.sampled_from(("web", "db")))),
        st.tuples(st.just("namespace label"), st.tuples(st.sampled_from(SPACES), st.sampled_from(("x", "y", "w")))),
        st.tuples(st.just("new pod"), st.sampled_from(PODS)),
    ),
    min_size=3,
    max_size=8,
)


def change(grid: Grid, what: str, arguments: Any) -> None:
    """Make one change to the cluster; settling is left to the caller."""
    cluster = grid.cluster
    if what == "policy":
        cluster.apply(arguments, settle=False)
    elif what == "no policy":
        found = [one for one in grid.objects if one["kind"].endswith("NetworkPolicy")]
        for one in found[arguments : arguments + 1]:
            meta = one["metadata"]
            cluster.delete(KINDS[one["kind"]], meta["name"], meta.get("namespace", ""), settle=False)
    elif what == "agent":
        cluster.faults.restart(f"network-policy@{arguments}")
    elif what == "new pod":
        space, name = arguments.split("/")
        cluster.api.delete("pods", name, space, grace_period_s=0)
        cluster.settle()
        cluster.apply(pod(space, name, app="web"), settle=False)
    else:
        space, _, name = arguments[0].partition("/")
        resource, key = ("pods", "app") if name else ("namespaces", "ns")
        patch = {"metadata": {"labels": {key: arguments[1]}}}
        cluster.api.patch(resource, name or space, patch, space if name else "")


@pytest.mark.parametrize(("cni", "ip_family"), [("iptables", "ipv4"), ("nftables", "ipv4"), ("nftables", "ipv6")])
def test_they_agree_with_administrators_policies_among_them(cni: str, ip_family: str) -> None:
    @SETTINGS
    @given(policies=MIXED)
    def agree(policies: list[Json]) -> None:
        assert disagreements(Grid.of(*policies, cni=cni, ip_family=ip_family)) == []

    agree()


@pytest.mark.parametrize("cni", ["iptables", "nftables"])
def test_they_still_agree_after_any_changes(cni: str) -> None:
    @SETTINGS
    @given(policies=MIXED, changes=CHANGES, at_once=st.booleans())
    def agree(policies: list[Json], changes: list[tuple[str, Any]], at_once: bool) -> None:
        grid = Grid.of(*policies, cni=cni)
        for what, arguments in changes:
            change(grid, what, arguments)
            if not at_once:
                grid.cluster.settle()
        grid.cluster.settle()
        assert disagreements(grid) == []

    agree()
