"""The stateful machine holds on the model itself, in every mode."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import initialize, invariant, run_state_machine_as_test

from fakecluster.strategies import ClusterMachine

FEW = settings(max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))


class Iptables(ClusterMachine):
    proxy = "iptables"


class Nftables(ClusterMachine):
    proxy = "nftables"


class Ipvs(ClusterMachine):
    proxy = "ipvs"


TestIptables = Iptables.TestCase
TestIptables.settings = FEW
TestNftables = Nftables.TestCase
TestNftables.settings = FEW
TestIpvs = Ipvs.TestCase
TestIpvs.settings = FEW


@pytest.mark.parametrize(
    ("settings_of_it", "words"),
    [
        ({"nodes": 0}, "Wrong.nodes = 0: the machine's client needs a node"),
        ({"nodes": "2"}, "Wrong.nodes = '2': the machine's client needs a node"),
        ({"proxy": "ebpf"}, "Wrong.proxy = 'ebpf': expected one of iptables"),
        ({"fault_kinds": ("explosion",)}, "Wrong.fault_kinds: no fault is called explosion; there are"),
    ],
)
def test_settings_that_make_no_machine_are_refused(settings_of_it: dict[str, Any], words: str) -> None:
    wrong = type("Wrong", (ClusterMachine,), settings_of_it)
    with pytest.raises(InvalidArgument, match=re.escape(words)):
        run_state_machine_as_test(wrong, settings=settings(FEW, max_examples=1))


class Hasty(ClusterMachine):
    """A machine that takes its cluster before there is one."""

    @initialize()
    def apply(self) -> None:
        self.cluster.apply("examples/shop.yaml")

    start = None  # type: ignore[assignment]


def test_a_cluster_that_is_not_there_yet_says_where_manifests_belong() -> None:
    with pytest.raises(InvalidArgument, match=r"Hasty: there is no cluster yet; .* belongs into `def prepare\(self\)`"):
        run_state_machine_as_test(Hasty, settings=settings(FEW, max_examples=1))


class Elsewhere(ClusterMachine):
    """Manifests of a user, in a namespace of their own and with a Pod that no probe asks."""

    proxy = "nftables"

    def prepare(self) -> None:
        container = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}
        spec = {"selector": {"app": "shop"}, "ports": [{"port": 80}]}
        objects: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec},
        ]
        for number in (1, 2):
            metadata = {"name": f"shop-{number}", "namespace": "shop", "labels": {"app": "shop"}}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
            objects.append(pod)
        self.cluster.apply(objects)


TestElsewhere = Elsewhere.TestCase
TestElsewhere.settings = settings(FEW, max_examples=5)


class Forgetful(ClusterMachine):
    """A machine with an invariant that does not hold."""

    policies = False

    @invariant()
    def there_is_no_service(self) -> None:
        assert not self.cluster.services


def test_a_run_that_fails_prints_the_clusters_script(capsys: pytest.CaptureFixture[str]) -> None:
    few = settings(
        FEW, max_examples=10, stateful_step_count=8, database=None, derandomize=True, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError) as failed:
        run_state_machine_as_test(Forgetful, settings=few)
    notes = "\n".join(failed.value.__notes__)
    assert "cluster = Cluster(nodes=['a', 'b'], choices=Scripted([" in notes
    assert "kind: Service" in notes and "state = Forgetful()" in notes
