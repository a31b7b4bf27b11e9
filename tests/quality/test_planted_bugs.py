"""Plant a bug; the strategies must find it and shrink it to one node, one Service, few Pods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from properties.test_endpoints import wrong_destinations

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.proxy.iptables import service as iptables_service

SEARCH = settings(
    max_examples=200,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def test_an_endpoint_that_is_left_out_of_the_rules_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = iptables_service._Rendering._spread

    def forgets_the_last(rendering: Any, chain: str, endpoints: Sequence[Any]) -> None:
        real(rendering, chain, endpoints[:-1] if len(endpoints) > 1 else endpoints)

    monkeypatch.setattr(iptables_service._Rendering, "_spread", forgets_the_last)
    found: Cluster = find(kube.clusters(), lambda cluster: bool(wrong_destinations(cluster)), settings=SEARCH)
    assert len(found.nodes) == 1
    assert len(found.services) == 1
    assert len(found.services[0].ready_pods) == 2  # one endpoint cannot be forgotten: two is the least
