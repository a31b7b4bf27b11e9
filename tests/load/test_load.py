"""Load: what is asked when, over which connections, what is counted, and how it is shown."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.api.client import ApiError
from fakecluster.cluster.faults import Fault, FaultPlan
from fakecluster.load import Exchange, Load, LoadResult, plot


def _pod(name: str, app: str = "", node: str = "a", **spec: Any) -> dict[str, Any]:
    ports = {"ports": [{"containerPort": 80}]} if app else {}
    container = {"name": "main", "image": "example.com/x:1", **ports}
    metadata = {"name": name, "labels": {"app": app} if app else {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "nodeName": node, **spec},
    }


@pytest.fixture
def cluster() -> Cluster:
    """A client on node a; `web` with a Pod on each of two nodes."""
    cluster = Cluster(nodes=2)
    service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    web = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service}
    cluster.apply([_pod("client"), _pod("web-1", "web"), _pod("web-2", "web", "b"), web])
    return cluster


def test_an_open_loop_asks_at_its_rate_whatever_comes_of_it(cluster: Cluster) -> None:
    run = cluster.run_load(Load(rate_per_s=10, duration_s=3, keep_alive=False, timeout_s=1), "web:80")
    cluster.pod("web-2").stop_listening()
    cluster.advance(1)
    cluster.faults.link("pod/web-1", loss=1)
    cluster.advance(5)
    outcomes = run.result.outcomes
    assert sum(outcomes.values()) == 30
    assert set(outcomes) == {"answered", "refused", "timed out"}
    assert set(run.result.servers) == {"web-1"}
    assert next(one.start_s for one in run.result.exchanges if one.outcome == "timed out") >= 1


def test_random_arrivals_are_the_same_for_the_same_seed() -> None:
    def starts(seed: int) -> list[float]:
        cluster = Cluster(seed=seed)
        cluster.apply([_pod("client"), _pod("web-1", "web")])
        load = Load(rate_per_s=20, duration_s=20, arrivals="random")
        run = cluster.run_load(load, f"{cluster.pod('web-1').ip}:80")
        cluster.advance(21)
        return [one.start_s for one in run.result.exchanges]

    assert starts(1) == starts(1) != starts(2)
    assert 330 < len(starts(1)) < 470  # 400, give or take three and a half standard deviations


def test_a_closed_loop_has_one_request_a_user_and_thinks_in_between(cluster: Cluster) -> None:
    run = cluster.run_load(Load(users=3, think_s=2, duration_s=10), "web:80")
    cluster.advance(11)
    assert run.result.outcomes == {"answered": 15}
    assert {one.start_s for one in run.result.exchanges} == {0, 2, 4, 6, 8}


def test_a_connection_is_kept_and_with_it_the_server(cluster: Cluster) -> None:
    kept = cluster.run_load(Load(rate_per_s=5, duration_s=10), "web:80")
    cluster.advance(11)
    assert len(kept.result.servers) == 1
    turns = cluster.run_load(Load(rate_per_s=5, duration_s=10, requests_per_connection=1), "web:80")
    cluster.advance(11)
    assert set(turns.result.servers) == {"web-1", "web-2"}


def test_retries_hide_a_refusal_over_another_connection(cluster: Cluster) -> None:
    cluster.pod("web-2").stop_listening()
    load = Load(rate_per_s=10, duration_s=3, keep_alive=False, retries=9, retry_delay_s=0.01)
    run = cluster.run_load(load, "web:80")
    cluster.advance(5)
    assert run.result.outcomes == {"answered": 30}
    assert max(one.attempts for one in run.result.exchanges) > 1


def test_a_lost_packet_is_sent_again_by_tcp_and_only_takes_longer(cluster: Cluster) -> None:
    run = cluster.run_load(Load(users=1, think_s=1, duration_s=4), "web:80")
    cluster.advance(0.5)
    cluster.faults.run(FaultPlan((Fault("loss", "pod/client", amount=1, for_s=1),)))
    cluster.advance(6)
    assert run.result.outcomes == {"answered": 3}
    slow = [one.took_s for one in run.result.exchanges]
    assert [round(took_s, 1) for took_s in slow] == [0, 1, 0]


def test_a_server_that_hangs_up_or_dies_is_told_apart_from_one_that_refuses(cluster: Cluster) -> None:
    cluster.delete("pods", "web-2")
    run = cluster.run_load(Load(users=1, duration_s=20, think_s=1, timeout_s=3), "web:80")
    cluster.advance(0.5)
    cluster.faults.hang("web-1")
    cluster.advance(1)
    cluster.faults.crash_pod("web-1")
    cluster.advance(2)
    assert [one.outcome for one in run.result.exchanges[:3]] == ["answered", "closed", "answered"]


def test_a_client_without_free_ports_is_told_by_its_kernel(cluster: Cluster) -> None:
    cluster.faults.ephemeral_ports("pod/client", 2)
    run = cluster.run_load(Load(rate_per_s=10, duration_s=1, keep_alive=False), "web:80")
    cluster.advance(2)
    assert run.result.outcomes == {"answered": 2, "EADDRNOTAVAIL": 8}


def test_a_fork_goes_on_with_the_load_by_itself(cluster: Cluster) -> None:
    run = cluster.run_load(Load(users=2, think_s=0.5, duration_s=10), "web:80")
    cluster.advance(3)
    copy = cluster.fork()
    before = run.result
    copy.advance(10)
    assert run.result == before
    cluster.advance(10)
    assert copy.loads[0].result == run.result
    assert run.result.outcomes == {"answered": 40}


RESULT = LoadResult(
    (
        Exchange(0.0, 0.25, "pod/client", "answered", "web-1", 200),
        Exchange(0.5, 1.0, "pod/client", "answered", "web-2", 200),
        Exchange(0.5, 3.5, "pod/client", "timed out"),
        Exchange(3.5, 3.5, "pod/client", "EADDRNOTAVAIL", attempts=2),
    )
)


def test_the_table_counts_what_ended_when() -> None:
    assert RESULT.table() == (
        "time, s  answered  refused  reset  timed out  EADDRNOTAVAIL  slowest, s  web-1  web-2\n"
        "      0         1        .      .          .              .       0.250      1      .\n"
        "      1         1        .      .          .              .       0.500      .      1\n"
        "      2         .        .      .          .              .       0.000      .      .\n"
        "      3         .        .      .          1              1       0.000      .      ."
    )
    assert [(row.answered, row.failed) for row in RESULT.rows(2)] == [(2, 0), (0, 2)]


def test_a_plot_is_the_same_bytes_for_the_same_result(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = (plot(RESULT, tmp_path / name, marks={3: "the end"}).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second
    text = first.decode()
    assert all(word in text for word in ("web-1", "web-2", "timed out", "EADDRNOTAVAIL", "the end", "virtual time, s"))
    with pytest.raises(ValueError, match="nothing to draw"):
        plot(LoadResult(()), tmp_path / "c.svg")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either rate_per_s .* or users"),
        ({"rate_per_s": 1, "users": 1}, "either rate_per_s .* or users"),
        ({"users": 1, "think_s": -1}, "think_s=-1: expected 0 or more"),
        ({"users": 1, "timeout_s": 0}, "timeout_s=0"),
        ({"users": 1, "arrivals": "bursty"}, "expected regular or random"),
        ({"rate_per_s": inf}, "rate_per_s=inf: expected a finite number"),
        ({"users": 1, "duration_s": nan}, "duration_s=nan: expected a finite number"),
        ({"users": 1.5}, "users=1.5: expected a whole number"),
        ({"users": 1, "retries": 0.5}, "retries=0.5: expected a whole number"),
        ({"users": 1, "path": 3}, "expected one like /index.html"),
        ({"users": 1, "path": "index"}, "expected one like /index.html"),
    ],
)
def test_what_makes_no_load_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Load(**options)


def test_a_load_needs_a_client_and_a_tcp_target(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="a load needs a client"):
        cluster.run_load(Load(users=1), "web:80", clients=[])
    with pytest.raises(ApiError, match='pods "nobody" not found'):
        cluster.run_load(Load(users=1), "web:80", clients="nobody")
    with pytest.raises(TypeError, match="rate_per_s='x': expected a number, not str"):
        Load(rate_per_s="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="HTTP over TCP"):
        cluster.run_load(Load(users=1), "udp://web:80")
    with pytest.raises(ValueError, match="expected more than 0"):
        RESULT.rows(0)
