"""What the design page promises that a test reads like, as tests: its examples as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[2]
PREAMBLE = """
from pathlib import Path

import pytest
from hypothesis import given, settings, HealthCheck
from scapy.layers.inet import IP, TCP

from fakecluster import checks
from fakecluster import strategies as kube

settings.register_profile("short", max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("short")
"""


def test_the_examples_of_the_design_pass(pytester: pytest.Pytester) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    from fakecluster import Cluster

    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "design.md").read_text(), re.M | re.S)
    (pytester.path / "shop.yaml").write_text((ROOT / "examples" / "shop.yaml").read_text())
    node = Cluster(nodes=1).node("a")
    (pytester.path / "node-a.rules").write_text(node.run("iptables-save"))
    frame = Ether() / IP(src="172.18.0.1", dst=node.ip) / TCP(sport=4000, dport=10256, flags="S")
    wrpcap(str(pytester.path / "node-a-eth0.pcap"), [frame])
    pytester.makepyfile(test_design=PREAMBLE + code)
    result = pytester.runpytest_subprocess("-q", "-p", "no:randomly")
    result.assert_outcomes(passed=3 + 4)  # one of the four runs in four modes
