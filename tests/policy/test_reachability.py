"""The matrix says what packets do, and why."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fakecluster import strategies as kube
from fakecluster.cli.main import app

from .grid import PODS, SPACES, Grid, namespace, pod

Json = dict[str, Any]
POLICIES = st.lists(kube.network_policies(namespaces=SPACES, port_names=("serve-80-tcp",)), min_size=3, max_size=6)


def policy(name: str, space: str, **spec: Any) -> Json:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


ONLY_Y = policy(
    "only-y", "x", podSelector={}, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(policies=POLICIES)
def test_the_matrix_is_what_packets_do(policies: list[Json]) -> None:
    grid = Grid.of(*policies)
    matrix = grid.cluster.reachability("TCP", 80)
    seen = {(a, b): "allowed" if grid.arrives(a, b, "TCP", 80) else "denied" for a in PODS for b in PODS}
    assert {(a, b): matrix[a, b].verdict for a in PODS for b in PODS} == seen


def test_a_cell_names_the_policies_that_decided() -> None:
    matrix = Grid.of(ONLY_Y).cluster.reachability("TCP", 80)
    assert (matrix["z/a", "x/a"].verdict, matrix["z/a", "x/a"].policies) == ("denied", ("ingress x/only-y",))
    assert (matrix["y/a", "x/a"].verdict, matrix["y/a", "z/a"].policies) == ("allowed", ())
    assert matrix["outside", "x/b"].verdict == "denied"


def test_a_port_that_nobody_serves_is_allowed_without_a_listener() -> None:
    assert Grid.of().cluster.reachability("TCP", 443)["x/a", "y/a"].verdict == "no listener"


def test_the_views_show_the_same_verdicts() -> None:
    matrix = Grid.of(ONLY_Y).cluster.reachability("UDP", 81)
    assert str(matrix).splitlines()[7] == "z/a      . . . X X X X X X X"
    assert list(csv.reader(StringIO(matrix.csv())))[1][:5] == ["x/a", "allowed", "denied", "denied", "allowed"]
    assert json.loads(matrix.json())["cells"][1]["verdict"] == "denied"
    assert matrix.svg().count("<rect ") == 100


def test_two_matrices_differ_in_the_pairs_that_changed() -> None:
    old, new = Grid.of().cluster.reachability("TCP", 80), Grid.of(ONLY_Y).cluster.reachability("TCP", 80)
    assert len(old.differences(new)) == 18  # x/a, x/b, x/c from z's three Pods, from the outside and from each other
    assert ("z/a", "x/b", "allowed", "denied") in old.differences(new)


def test_the_commands_print_the_matrix_and_what_changes(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    objects = [namespace("x"), namespace("z"), pod("x", "a"), pod("z", "a")]
    old.write_text(yaml.safe_dump_all(objects))
    new.write_text(yaml.safe_dump_all([*objects, ONLY_Y]))
    runner = CliRunner()
    shown = runner.invoke(app, ["reachability", str(new), "--port", "80", "-o", "csv"])
    assert shown.output.splitlines()[2] == "z/a,denied,allowed,allowed"
    changed = runner.invoke(app, ["diff", "--reachability", str(old), str(new), "--nodes", "2"])
    assert changed.exit_code == 1
    assert changed.output.splitlines() == [
        "z/a -> x/a TCP 80: allowed -> denied",
        "outside -> x/a TCP 80: allowed -> denied",
        "2 of 9 pairs differ",
    ]
