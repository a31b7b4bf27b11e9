from __future__ import annotations

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

CONFIG_MAP = {"metadata": {"name": "web"}, "data": {"a": "1"}}


def test_what_is_created_has_identity_and_version(client: Client) -> None:
    made = client.create("configmaps", CONFIG_MAP, "default")
    meta = made["metadata"]
    assert (meta["namespace"], meta["creationTimestamp"]) == ("default", "2026-01-01T00:00:00Z")
    assert len(meta["uid"]) == 36 and meta["resourceVersion"].isdigit()
    assert client.get("configmaps", "web", "default") == made


def test_the_object_that_was_given_stays_as_it_was(client: Client) -> None:
    given = {"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {"ports": [{"port": 80}]}}
    client.create("services", given, "default")
    assert given == {"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {"ports": [{"port": 80}]}}


def test_a_missing_object_is_a_404_with_the_servers_words(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.get("deployments.apps", "web", "default")
    assert caught.value.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_a_name_can_be_taken_only_once(client: Client) -> None:
    client.create("configmaps", CONFIG_MAP, "default")
    with pytest.raises(ApiError, match='configmaps "web" already exists'):
        client.create("configmaps", CONFIG_MAP, "default")


def test_nothing_is_made_in_a_namespace_that_is_missing(client: Client) -> None:
    with pytest.raises(ApiError, match='namespaces "nowhere" not found'):
        client.create("configmaps", CONFIG_MAP, "nowhere")


def test_generated_names_differ(client: Client) -> None:
    names = {
        client.create("configmaps", {"metadata": {"generateName": "a-"}}, "default")["metadata"]["name"]
        for _ in range(50)
    }
    assert len(names) == 50
    assert all(name.startswith("a-") and len(name) == 7 for name in names)


def test_a_stale_update_conflicts(client: Client) -> None:
    first = client.create("configmaps", CONFIG_MAP, "default")
    client.patch("configmaps", "web", {"data": {"a": "2"}}, "default")
    with pytest.raises(ApiError) as caught:
        client.update("configmaps", {**first, "data": {"a": "3"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert client.get("configmaps", "web", "default")["data"] == {"a": "2"}


def test_an_update_that_changes_nothing_is_not_written(client: Client) -> None:
    made = client.create("configmaps", CONFIG_MAP, "default")
    again = client.update("configmaps", made)
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_dry_run_leaves_no_trace(client: Client) -> None:
    revision = client.server.store.revision
    answered = client.create(
        "services", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}, "default", dry_run=True
    )
    assert answered["metadata"]["name"] == "a" and "resourceVersion" not in answered["metadata"]
    assert client.server.store.revision == revision


def test_the_four_kinds_of_patch(client: Client) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    client.create("services", {"metadata": {"name": "web"}, "spec": {"ports": ports}}, "default")
    merged = client.patch("services", "web", {"metadata": {"labels": {"x": "1"}}}, "default")
    assert merged["metadata"]["labels"] == {"x": "1"}
    strategic = client.patch(
        "services", "web", {"spec": {"ports": [{"port": 81, "name": "c"}]}}, "default", kind="strategic"
    )
    assert [(p["port"], p["name"]) for p in strategic["spec"]["ports"]] == [(80, "a"), (81, "c")]
    operations = [{"op": "remove", "path": "/spec/ports/0"}]
    patched = client.patch("services", "web", operations, "default", kind="json")
    assert [p["port"] for p in patched["spec"]["ports"]] == [81]
    config = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"y": "2"}}}
    applied = client.patch("services", "web", config, "default", kind="apply", field_manager="me")
    assert applied["metadata"]["labels"] == {"x": "1", "y": "2"}


def test_an_unknown_kind_of_patch_is_the_callers_mistake(client: Client) -> None:
    client.create("configmaps", CONFIG_MAP, "default")
    with pytest.raises(ValueError, match="merge, strategic, json"):
        client.patch("configmaps", "web", {}, "default", kind="magic")


def test_lists_are_selected_by_labels_and_fields(client: Client) -> None:
    for name, tier in (("a", "web"), ("b", "db"), ("c", "web")):
        client.create("configmaps", {"metadata": {"name": name, "labels": {"tier": tier}}}, "default")
    by_label = client.list("configmaps", "default", label_selector="tier in (web)")
    assert [o["metadata"]["name"] for o in by_label] == ["a", "c"]
    by_field = client.list("configmaps", "default", label_selector="tier", field_selector="metadata.name!=a")
    assert [o["metadata"]["name"] for o in by_field] == ["b", "c"]


def test_a_fork_does_not_show_in_the_original(server: ApiServer, client: Client) -> None:
    copy = Client(server.fork(Clock(), Seeded(1)))
    copy.create("configmaps", CONFIG_MAP, "default")
    with pytest.raises(ApiError):
        client.get("configmaps", "web", "default")


def test_finalizers_hold_an_object_until_the_last_one_goes(client: Client) -> None:
    held = {"metadata": {"name": "web", "finalizers": ["x.io/a"]}}
    client.create("configmaps", held, "default")
    marked = client.delete("configmaps", "web", "default")
    assert marked is not None and marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    client.patch("configmaps", "web", {"metadata": {"finalizers": None}}, "default")
    with pytest.raises(ApiError, match="not found"):
        client.get("configmaps", "web", "default")


def test_a_pod_without_a_node_goes_at_once_and_one_with_a_node_gets_its_grace(client: Client) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 7}
    client.create("pods", {"metadata": {"name": "loose"}, "spec": spec}, "default")
    client.create("pods", {"metadata": {"name": "bound"}, "spec": {**spec, "nodeName": "n"}}, "default")
    assert client.delete("pods", "loose", "default") is None
    marked = client.delete("pods", "bound", "default")
    assert marked is not None
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:07Z"
    assert client.delete("pods", "bound", "default", grace_period_s=0) is None


def test_a_delete_with_another_uid_is_refused(client: Client) -> None:
    client.create("configmaps", CONFIG_MAP, "default")
    with pytest.raises(ApiError, match="does not match the UID in record"):
        client.delete("configmaps", "web", "default", uid="11111111-1111-1111-1111-111111111111")
    assert client.get("configmaps", "web", "default")


def test_binding_gives_a_pod_its_node_once(client: Client) -> None:
    client.create("pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}, "default")
    client.bind("p", "default", "n1")
    assert client.get("pods", "p", "default")["spec"]["nodeName"] == "n1"
    with pytest.raises(ApiError, match='already assigned to node "n1"'):
        client.bind("p", "default", "n2")


def test_long_lists_that_stay_are_shared_with_what_was_stored(client: Client) -> None:
    endpoints = [{"addresses": [f"10.0.0.{i}"], "conditions": {"ready": True}} for i in range(20)]
    made = client.create(
        "endpointslices.discovery.k8s.io",
        {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints, "ports": []},
        "default",
    )
    changed = [*made["endpoints"]]
    changed[3] = {"addresses": ["10.0.1.3"], "conditions": {"ready": False}}
    updated = client.update("endpointslices.discovery.k8s.io", {**made, "endpoints": changed})
    assert updated["endpoints"][2] is made["endpoints"][2]
    assert updated["endpoints"][3] == {"addresses": ["10.0.1.3"], "conditions": {"ready": False}}
    assert updated["endpoints"][3] is not changed[3]
