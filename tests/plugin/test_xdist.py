"""A user's suite runs under pytest-xdist as it is: every worker makes its own clusters, with the same results."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]
SUITE = """
import pytest

POD = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [
    {"name": "m", "image": "x", "ports": [{"containerPort": 80}]}
]}}


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_pod_answers_in_every_mode(cluster, proxy_mode, name):
    service = {"selector": {"app": name}, "ports": [{"port": 80}]}
    cluster.apply([
        {**POD, "metadata": {"name": name, "labels": {"app": name}}},
        {**POD, "metadata": {"name": "client"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ])
    assert cluster.spec.proxy == proxy_mode
    assert cluster.pod("client").connect(name, 80).request(b"hi").server == name


@pytest.mark.fakecluster(nodes=2)
def test_a_failure_is_told_with_its_trace(cluster):
    cluster.apply([{**POD, "metadata": {"name": "client"}}])
    cluster.pod("client").connect("10.96.9.9", 80)
"""


def test_a_suite_under_xdist_has_the_results_that_it_has_alone(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(SUITE)
    alone = pytester.runpytest_subprocess("-q", "-p", "no:randomly", "-p", "no:xdist")
    outcomes = alone.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["passed"] >= 9
    spread = pytester.runpytest_subprocess("-q", "-p", "no:randomly", "-n", "2")
    found = spread.parseoutcomes()
    assert (found["passed"], found["failed"]) == (outcomes["passed"], outcomes["failed"])
    spread.stdout.fnmatch_lines(["*10.96.9.9:80: *"])
