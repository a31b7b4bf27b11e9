"""The real nft takes what the model prints, and lists the same: generated rule sets, recorded ones, kube-proxy's."""

from __future__ import annotations

import random
from typing import Any

import pytest
from both import comparable_lines
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from nft_files import real
from real_node import why_not
from rules.recorded_nft import recorded_texts

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.errors import CommandError
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Seeded
from fakecluster.strategies import nft_rules

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")
FEW = settings(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def compared(texts: list[str]) -> int:
    """Load texts on both sides; how many were taken. What the model prints must be valid, and what nft lists."""
    printed = {}
    for text in texts:
        netns = Netns("n", choices=Seeded(1))
        try:
            netns.run("nft -f -", text)
        except CommandError:
            continue
        printed[text] = netns.run("nft list ruleset")
    flush = ("", ("flush", "ruleset"))
    commands = [
        command for text, ours in printed.items()
        for command in ((ours, ("-c", "-f", "-")), (text, ("-f", "-")), ("", ("list", "ruleset")), flush)
    ]  # fmt: skip
    said = real(commands)
    for (text, ours), checked, loaded, theirs in zip(printed.items(), said[::4], said[1::4], said[2::4], strict=True):
        assert (checked, loaded) == ("", ""), text
        assert comparable_lines(ours) == comparable_lines(theirs), text
    return len(printed)


def test_generated_rule_sets() -> None:
    texts = []

    @seed(3)
    @settings(FEW, max_examples=60)
    @given(st.sampled_from((4, 6)).flatmap(nft_rules.files))
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    assert compared(texts) > 30


def test_recorded_rule_sets() -> None:
    assert compared(random.Random(5).sample(recorded_texts(), 60)) > 50


def test_kube_proxys_rules_of_random_clusters() -> None:
    texts = []

    @seed(4)
    @settings(FEW, max_examples=10)
    @given(kube.manifests(max_services=4), st.sampled_from(("ipv4", "ipv6", "dual")))
    def collect(objects: list[dict[str, Any]], family: str) -> None:
        cluster = Cluster(nodes=1, dns=False, proxy="nftables", ip_family=family)
        cluster.apply(objects)
        texts.append(cluster.node("a").run("nft list ruleset"))

    collect()
    assert compared(texts) >= 5
