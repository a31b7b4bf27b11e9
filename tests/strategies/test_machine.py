"""The stateful machine holds on the model itself, in every mode."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import invariant, run_state_machine_as_test

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
        ({"proxy": "ebpf"}, "Wrong.proxy = 'ebpf': expected one of iptables"),
        ({"fault_kinds": ("explosion",)}, "Wrong.fault_kinds: no fault is called explosion; there are"),
    ],
)
def test_settings_that_make_no_machine_are_refused(settings_of_it: dict[str, Any], words: str) -> None:
    wrong = type("Wrong", (ClusterMachine,), settings_of_it)
    with pytest.raises(InvalidArgument, match=re.escape(words)):
        run_state_machine_as_test(wrong, settings=settings(FEW, max_examples=1))


class Forgetful(ClusterMachine):
    """A machine with an invariant that does not hold."""

    policies = False

    @invariant()
    def there_is_no_service(self) -> None:
        assert not self.cluster.services


def test_a_run_that_fails_prints_the_clusters_script(capsys: pytest.CaptureFixture[str]) -> None:
    few = settings(FEW, max_examples=10, stateful_step_count=8, database=None, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError) as failed:
        run_state_machine_as_test(Forgetful, settings=few)
    notes = "\n".join(failed.value.__notes__)
    assert "cluster = Cluster(nodes=['a', 'b'], choices=Scripted([" in notes
    assert "kind: Service" in notes and "state = Forgetful()" in notes
