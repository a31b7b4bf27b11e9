"""The matrix says what packets do, and why."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from fakecluster.cli.main import app

from .grid import PODS, Grid, namespace, pod
from .test_agreement import MIXED
from .test_definitions import admin

Json = dict[str, Any]


def policy(name: str, space: str, **spec: Any) -> Json:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


ONLY_Y = policy(
    "only-y", "x", podSelector={}, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"ns": "y"}}}]}]
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(policies=MIXED)
def test_the_matrix_is_what_packets_do(policies: list[Json]) -> None:
    grid = Grid.of(*policies)
    matrix = grid.cluster.reachability("TCP", 80)
    seen = {(a, b): "allowed" if grid.arrives(a, b, "TCP", 80) else "denied" for a in PODS for b in PODS}
    assert {(a, b): matrix[a, b].verdict for a in PODS for b in PODS} == seen


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(policies=MIXED)
def test_a_services_column_is_where_connections_to_it_can_end(policies: list[Json]) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "x"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": 81}]},
    }  # fmt: skip
    behind = [pod("x", "web-1", app="web"), pod("x", "web-2", node="b", app="web")]
    cluster = Grid.of(*policies, service, *behind).cluster
    address, matrix = cluster.service("web", "x").cluster_ip, cluster.reachability("TCP", 8080)
    for source in ("x/a", "y/b", "x/web-1"):
        ends = cluster.pod(*reversed(source.split("/"))).outcomes(f"tcp://{address}:8080").destinations
        wanted = "denied" if ends == {"no answer"} else "partly" if "no answer" in ends else "allowed"
        assert (source, matrix[source, "service/x/web"].verdict) == (source, wanted)


def test_a_service_with_nobody_behind_it_has_no_listener() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    matrix = Grid.of(service).cluster.reachability("TCP", 80)
    assert matrix["x/a", "service/default/web"].verdict == "no listener"
    assert Grid.of(service).cluster.reachability("TCP", 81).services == ()


def test_a_cell_names_the_administrators_policy_that_decided() -> None:
    rules = [{"action": "Pass", "from": [{"namespaces": {"matchLabels": {"ns": "y"}}}]},
             {"action": "Deny", "from": [{"namespaces": {}}]}]  # fmt: skip
    matrix = Grid.of(admin({"priority": 1, "ingress": rules}), ONLY_Y).cluster.reachability("TCP", 80)
    assert matrix["y/a", "x/a"].policies == ("ingress x/only-y",)
    assert matrix["z/a", "x/a"].policies == ("ingress AdminNetworkPolicy p",)
    assert matrix["z/a", "z/b"].verdict == "denied"


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
    assert matrix.svg().count("<title>") == 100


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
    shown = runner.invoke(app, ["reachability", str(new), "--port", "80", "--output", "csv"])
    assert shown.output.splitlines()[2] == "z/a,denied,allowed,allowed"
    changed = runner.invoke(app, ["diff", "--reachability", str(old), str(new), "--nodes", "2"])
    assert changed.exit_code == 1
    assert changed.output.splitlines() == [
        "z/a -> x/a TCP 80: allowed -> denied",
        "outside -> x/a TCP 80: allowed -> denied",
        "2 of 9 pairs differ",
    ]
