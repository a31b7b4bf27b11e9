"""What the campaigns of the tests run: importable, so that other processes find it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from fakecluster import Cluster
from fakecluster.cluster.faults import FaultOptions


def doubled(seed: int) -> int:
    return 2 * seed


def odd_ones_fail(seed: int) -> str:
    if seed % 2:
        raise ValueError(f"{seed} is odd")
    return f"{seed}"


def no_json(seed: int) -> object:
    return object()


@settings(max_examples=200)
@given(st.integers(0, 1000), st.text(max_size=5))
def small_numbers(number: int, text: str) -> None:
    assert number < 77


class Counting(RuleBasedStateMachine):
    """Breaks when it has counted to three."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @rule(step=st.integers(1, 3))
    def go(self, step: int) -> None:
        self.count += 1
        assert self.count < 3


def a_rough_hour(seed: int) -> list[Any]:
    """A cluster under faults made by the seed: what happened, and how many Pods are ready in the end."""
    cluster = Cluster(nodes=2, seed=seed)
    container = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
    }
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    cluster.faults.run(FaultOptions(seed=seed, count=3, within_s=600))
    cluster.advance(3600)
    return [*cluster.faults.log, sum(pod.ready for pod in cluster.pods)]


def kills_its_worker_once(item: list[Any]) -> int:
    """`item` is (number, folder): in the folder a file says that it has happened."""
    number, folder = item
    mark = Path(folder) / f"{number}.killed"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def kills_every_worker(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
