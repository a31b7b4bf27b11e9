"""Over random clusters the four modes lead to the same endpoints; what differs by design is declared, one by one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.checks.finding import ERROR, WARNING
from fakecluster.checks.modes import KNOWN_DIFFERENCES, modes_agree

FOUR = ("iptables", "nftables", "ipvs", "userspace")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cluster=kube.clusters(nodes=st.integers(1, 2), objects=kube.manifests(max_services=2)))
def test_the_four_modes_lead_to_the_same_endpoints(cluster: Cluster) -> None:
    assert [str(one) for one in modes_agree(cluster, FOUR) if one.severity == ERROR] == []


def _without_local_endpoints() -> Cluster:
    """A Service whose traffic stays on a node, with its only Pod on the other."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
    }
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], "type": "NodePort", "internalTrafficPolicy": "Local"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    cluster = Cluster(nodes=2)
    cluster.apply([pod, service])
    return cluster


@pytest.mark.parametrize("mode", ["ipvs", "userspace"])
def test_a_declared_difference_is_there_and_only_a_warning(mode: str) -> None:
    cluster = _without_local_endpoints()
    (found,) = modes_agree(cluster, [mode])
    (declared,) = [one.words for one in KNOWN_DIFFERENCES if one.mode == mode]
    assert found.severity == WARNING
    assert found.problem == f"from a Pod on node b: no one in iptables mode, web in {mode} ({declared})"


@pytest.mark.parametrize("mode", ["ipvs", "userspace"])
def test_a_difference_that_nobody_declared_is_an_error(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(one for one in KNOWN_DIFFERENCES if one.mode != mode)
    monkeypatch.setattr("fakecluster.checks.modes.KNOWN_DIFFERENCES", others)
    assert [one.severity for one in modes_agree(_without_local_endpoints(), [mode])] == [ERROR]
