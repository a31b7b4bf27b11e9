from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api import tables
from fakecluster.api.resources import built_in
from fakecluster.api.status import ApiError
from fakecluster.api.tables.cells import human_duration
from fakecluster.api.tables.custom import look_up

NOW = 1_767_225_600 + 3600
META = {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ],
)
def test_ages_have_two_units_while_the_finer_one_matters(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def row(resource: str, obj: dict[str, Any]) -> list[Any]:
    table = tables.for_resource(built_in().by_key(resource))
    rendered = table.render([{"metadata": META, **obj}], {}, "", NOW)
    cells: list[Any] = rendered["rows"][0]["cells"]
    assert len(cells) == len(rendered["columnDefinitions"])
    return cells


def container(state: dict[str, Any], *, ready: bool = False, restarts: int = 0) -> dict[str, Any]:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": state}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, ["0/1", "Pending", "0"]),
        ({"phase": "Running", "containerStatuses": [container({"running": {}}, ready=True)]}, ["1/1", "Running", "0"]),
        (
            {
                "phase": "Running",
                "containerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=4)],
            },
            ["0/1", "CrashLoopBackOff", "4"],
        ),
        ({"phase": "Failed", "reason": "Evicted"}, ["0/1", "Evicted", "0"]),
        (
            {"phase": "Failed", "containerStatuses": [container({"terminated": {"exitCode": 3}})]},
            ["0/1", "ExitCode:3", "0"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [container({"waiting": {"reason": "PodInitializing"}})]},
            ["0/1", "Init:0/1", "0"],
        ),
    ],
)
def test_pods_show_why_they_do_not_run(status: dict[str, Any], shown: list[str]) -> None:
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": "c"}]}
    assert row("pods", {"spec": spec, "status": status})[1:4] == shown


def test_restarts_tell_how_long_ago_the_last_one_was() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:55:00Z"}}
    status = {"phase": "Running", "containerStatuses": [{**container({"running": {}}, restarts=2), "lastState": ended}]}
    assert row("pods", {"spec": {"containers": [{"name": "c"}]}, "status": status})[3] == "2 (5m ago)"


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"]}, {}, ["ClusterIP", "10.0.0.1", "<none>", "<none>"]),
        ({"type": "ExternalName", "externalName": "a.b"}, {}, ["ExternalName", "<none>", "a.b", "<none>"]),
        (
            {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30080}]},
            {},
            ["LoadBalancer", "10.0.0.1", "<pending>", "80:30080/TCP"],
        ),
        (
            {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "externalIPs": ["9.9.9.9"]},
            {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}, {"hostname": "h"}]}},
            ["LoadBalancer", "10.0.0.1", "1.2.3.4,h,9.9.9.9", "<none>"],
        ),
    ],
)
def test_services_show_where_they_are_reached(spec: dict[str, Any], status: dict[str, Any], shown: list[str]) -> None:
    assert row("services", {"spec": spec, "status": status})[1:5] == shown


def test_long_lists_are_cut_after_three() -> None:
    endpoints = [{"addresses": [f"10.0.0.{n}"]} for n in range(1, 6)]
    cells = row("endpointslices.discovery.k8s.io", {"addressType": "IPv4", "endpoints": endpoints, "ports": []})
    assert cells[1:4] == ["IPv4", "<unset>", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."]


def test_a_node_shows_roles_and_whether_it_takes_pods() -> None:
    meta = {**META, "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}}
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "1.1.1.1"}],
    }
    cells = row("nodes", {"metadata": meta, "spec": {"unschedulable": True}, "status": status})
    assert cells[1:6] == ["Ready,SchedulingDisabled", "edge,worker", "60m", "", "1.1.1.1"]


def test_kinds_without_columns_show_name_and_time() -> None:
    assert row("storageclasses.storage.k8s.io", {}) == ["x", "2026-01-01T00:00:00Z"]


def test_how_much_of_the_object_goes_along() -> None:
    table = tables.for_resource(built_in().by_key("configmaps"))
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": META, "data": {"a": "b"}}
    assert table.render([obj], {}, "None", NOW)["rows"][0]["object"] is None
    assert table.render([obj], {}, "Object", NOW)["rows"][0]["object"] == obj
    assert table.render([obj], {}, "", NOW)["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    with pytest.raises(ApiError, match="includeObject: Invalid value"):
        table.render([obj], {}, "Bogus", NOW)


def test_json_paths_of_custom_columns() -> None:
    obj = {"spec": {"a": [{"b": 1}, {"b": 2}], "c-d": "x"}}
    assert look_up(obj, ".spec.a[1].b") == [2]
    assert look_up(obj, ".spec.a[*].b") == [1, 2]
    assert look_up(obj, ".spec['c-d']") == ["x"]
    assert look_up(obj, ".spec.nope") == []
