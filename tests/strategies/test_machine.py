"""The stateful machine holds on the model itself, in every mode."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

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
