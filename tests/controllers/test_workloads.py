"""Deployments, ReplicaSets, StatefulSets and DaemonSets, with Pods that really start."""

import pytest
from workshop import Workshop, container, pod, workload

HTTP = {"httpGet": {"port": 80}}


def status(shop: Workshop, resource: str, name: str) -> dict:
    return shop.client.get(resource, name, "default")["status"]


def scale(shop: Workshop, resource: str, name: str, replicas: int) -> None:
    shop.client.patch(resource, name, {"spec": {"replicas": replicas}}, "default")
    shop.clock.settle()


def relabel(shop: Workshop, resource: str, name: str, version: str) -> None:
    """Change the template."""
    patch = {"spec": {"template": {"metadata": {"labels": {"version": version}}}}}
    shop.client.patch(resource, name, patch, "default")


def versions(shop: Workshop) -> list[str]:
    return sorted(one["metadata"]["labels"].get("version", "1") for one in shop.pods)


# --- ReplicaSets


def test_a_replica_set_keeps_as_many_pods_as_asked():
    shop = Workshop("a", "b")
    shop.create(workload("ReplicaSet", "web", replicas=3))
    assert list(shop.phases().values()) == ["Running"] * 3
    victim = shop.pods[0]["metadata"]["name"]
    shop.client.delete("pods", victim, "default")
    shop.clock.settle()
    assert len(shop.pods) == 3
    assert victim not in shop.phases()


def test_a_replica_set_adopts_matching_pods_and_lets_go_of_others():
    shop = Workshop("a")
    shop.create(pod("orphan", labels={"app": "web"}))
    shop.create(workload("ReplicaSet", "web", replicas=2))
    assert len(shop.pods) == 2
    assert shop.pod("orphan")["metadata"]["ownerReferences"][0]["name"] == "web"
    shop.client.patch("pods", "orphan", {"metadata": {"labels": {"app": "other"}}}, "default")
    shop.clock.settle()
    assert len(shop.pods) == 3
    assert "ownerReferences" not in shop.pod("orphan")["metadata"]


def test_a_scale_down_takes_unready_pods_then_crowded_nodes_first():
    shop = Workshop("a", "b")
    shop.create(workload("ReplicaSet", "web", replicas=3))
    by_node = {one["metadata"]["name"]: one["spec"]["nodeName"] for one in shop.pods}
    alone = next(name for name, node in by_node.items() if list(by_node.values()).count(node) == 1)
    scale(shop, "replicasets.apps", "web", 2)
    assert alone in shop.phases()
    assert sorted(one["spec"]["nodeName"] for one in shop.pods) == ["a", "b"]


def test_a_pod_that_costs_less_goes_first():
    shop = Workshop("a", "b")
    shop.create(workload("ReplicaSet", "web", replicas=2))
    cheap, dear = (one["metadata"]["name"] for one in shop.pods)
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    shop.client.patch("pods", cheap, {"metadata": {"annotations": annotations}}, "default")
    scale(shop, "replicasets.apps", "web", 1)
    assert list(shop.phases()) == [dear]


def test_pods_count_as_available_only_after_min_ready_seconds():
    shop = Workshop("a")
    shop.create(workload("ReplicaSet", "web", replicas=2, minReadySeconds=20))
    assert status(shop, "replicasets.apps", "web")["readyReplicas"] == 2
    assert "availableReplicas" not in status(shop, "replicasets.apps", "web")
    shop.clock.advance(20)
    assert status(shop, "replicasets.apps", "web")["availableReplicas"] == 2


# --- Deployments


def test_a_deployment_rolls_from_one_template_to_the_next_without_gaps():
    shop = Workshop("a", "b")
    shop.create(workload("Deployment", "web", replicas=4))
    relabel(shop, "deployments.apps", "web", "2")
    available = set()
    while shop.clock.step() is not None:
        ready = [p for p in shop.pods if p["status"]["phase"] == "Running" and "deletionTimestamp" not in p["metadata"]]
        available.add(len(ready))
    assert versions(shop) == ["2"] * 4
    assert min(available) >= 3
    assert max(available) <= 5
    replica_sets = shop.client.list("replicasets.apps", "default")
    assert sorted(one["spec"]["replicas"] for one in replica_sets) == [0, 4]
    revision = "deployment.kubernetes.io/revision"
    assert sorted(one["metadata"]["annotations"][revision] for one in replica_sets) == ["1", "2"]


def test_a_rollout_whose_pods_never_become_ready_stops_and_says_so():
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=2, progressDeadlineSeconds=60))
    shop.runtime.healthy["readiness"] = False
    containers = [container(readinessProbe=HTTP)]
    shop.client.patch(
        "deployments.apps", "web", {"spec": {"template": {"spec": {"containers": containers}}}}, "default"
    )
    shop.clock.advance(59)
    found = {one["type"]: one for one in status(shop, "deployments.apps", "web")["conditions"]}
    assert (found["Progressing"]["status"], found["Available"]["status"]) == ("True", "True")
    shop.clock.advance(1)
    found = {one["type"]: one for one in status(shop, "deployments.apps", "web")["conditions"]}
    assert (found["Progressing"]["status"], found["Progressing"]["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert len(shop.pods) == 3


def test_going_back_to_an_old_template_uses_its_replica_set_again():
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=1))
    first = shop.client.list("replicasets.apps", "default")[0]["metadata"]["name"]
    relabel(shop, "deployments.apps", "web", "2")
    shop.clock.settle()
    patch = {"spec": {"template": {"metadata": {"labels": {"version": None}}}}}
    shop.client.patch("deployments.apps", "web", patch, "default")
    shop.clock.settle()
    again = shop.client.get("replicasets.apps", first, "default")
    assert again["spec"]["replicas"] == 1
    annotations = again["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert len(shop.client.list("replicasets.apps", "default")) == 2


def test_recreate_makes_new_pods_only_when_all_old_ones_are_gone():
    shop = Workshop("a")
    lifecycle = {"preStop": {"sleep": {"seconds": 5}}}
    spec = {"containers": [container(lifecycle=lifecycle)]}
    shop.create(workload("Deployment", "web", replicas=2, strategy={"type": "Recreate"}, pod_spec=spec))
    relabel(shop, "deployments.apps", "web", "2")
    shop.clock.advance(4)
    assert versions(shop) == ["1", "1"]
    shop.clock.advance(1)
    assert versions(shop) == ["2", "2"]


def test_a_paused_deployment_scales_but_does_not_roll():
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=1))
    shop.client.patch("deployments.apps", "web", {"spec": {"paused": True}}, "default")
    relabel(shop, "deployments.apps", "web", "2")
    scale(shop, "deployments.apps", "web", 3)
    assert versions(shop) == ["1", "1", "1"]
    shop.client.patch("deployments.apps", "web", {"spec": {"paused": False}}, "default")
    shop.clock.settle()
    assert versions(shop) == ["2", "2", "2"]


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportion():
    shop = Workshop("a", "b")
    shop.create(workload("Deployment", "web", replicas=8))
    shop.runtime.healthy["readiness"] = False
    containers = [container(readinessProbe=HTTP)]
    shop.client.patch(
        "deployments.apps", "web", {"spec": {"template": {"spec": {"containers": containers}}}}, "default"
    )
    shop.clock.settle()
    sizes = sorted(one["spec"]["replicas"] for one in shop.client.list("replicasets.apps", "default"))
    assert sizes == [4, 6]
    scale(shop, "deployments.apps", "web", 16)
    sizes = sorted(one["spec"]["replicas"] for one in shop.client.list("replicasets.apps", "default"))
    assert sizes == [8, 12]


def test_old_replica_sets_beyond_the_history_limit_go():
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=1, revisionHistoryLimit=1))
    for version in ("2", "3", "4"):
        relabel(shop, "deployments.apps", "web", version)
        shop.clock.settle()
    assert len(shop.client.list("replicasets.apps", "default")) == 2


def test_a_deployment_tells_how_it_scales():
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=2))
    name = shop.client.list("replicasets.apps", "default")[0]["metadata"]["name"]
    assert shop.events("Deployment") == [f"ScalingReplicaSet: Scaled up replica set {name} from 0 to 2"]
    created = sorted(shop.events("ReplicaSet"))
    assert created == sorted(f"SuccessfulCreate: Created pod: {one['metadata']['name']}" for one in shop.pods)


# --- StatefulSets


def test_a_stateful_set_starts_its_pods_in_order():
    shop = Workshop("a")
    shop.runtime.healthy["readiness"] = False
    spec = {"containers": [container(readinessProbe=HTTP)]}
    shop.create(workload("StatefulSet", "db", serviceName="db", replicas=2, pod_spec=spec))
    assert list(shop.phases()) == ["db-0"]
    shop.runtime.healthy["readiness"] = True
    shop.clock.advance(10)
    assert list(shop.phases()) == ["db-0", "db-1"]
    second = shop.pod("db-1")
    assert (second["spec"]["hostname"], second["spec"]["subdomain"]) == ("db-1", "db")
    assert second["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"


def test_a_stateful_set_in_parallel_does_not_wait():
    shop = Workshop("a")
    shop.runtime.healthy["readiness"] = False
    spec = {"containers": [container(readinessProbe=HTTP)]}
    shop.create(workload("StatefulSet", "db", podManagementPolicy="Parallel", replicas=3, pod_spec=spec))
    assert list(shop.phases()) == ["db-0", "db-1", "db-2"]


def test_a_stateful_set_replaces_a_lost_pod_under_the_same_name():
    shop = Workshop("a")
    shop.create(workload("StatefulSet", "db", replicas=2))
    before = shop.pod("db-0")["metadata"]["uid"]
    shop.client.delete("pods", "db-0", "default")
    shop.clock.settle()
    assert list(shop.phases()) == ["db-0", "db-1"]
    assert shop.pod("db-0")["metadata"]["uid"] != before


def test_a_stateful_set_updates_from_the_last_pod_down_to_the_partition():
    shop = Workshop("a")
    update = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    shop.create(workload("StatefulSet", "db", replicas=3, updateStrategy=update))
    relabel(shop, "statefulsets.apps", "db", "2")
    shop.clock.settle()
    found = [shop.pod(f"db-{number}")["metadata"]["labels"].get("version", "1") for number in range(3)]
    assert found == ["1", "2", "2"]
    counted = status(shop, "statefulsets.apps", "db")
    assert (counted["currentReplicas"], counted["updatedReplicas"]) == (1, 2)


def test_a_stateful_set_can_begin_with_another_ordinal():
    shop = Workshop("a")
    shop.create(workload("StatefulSet", "db", replicas=2, ordinals={"start": 5}))
    assert list(shop.phases()) == ["db-5", "db-6"]


def test_a_stateful_set_makes_the_claims_of_its_volumes():
    shop = Workshop("a")
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    shop.create(workload("StatefulSet", "db", replicas=1, volumeClaimTemplates=[claim]))
    assert [one["metadata"]["name"] for one in shop.client.list("persistentvolumeclaims")] == ["data-db-0"]
    volume = shop.pod("db-0")["spec"]["volumes"][0]
    assert volume == {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}


# --- DaemonSets


def test_a_daemon_set_has_one_pod_on_every_node_and_follows_new_ones():
    shop = Workshop("a", "b")
    shop.create(workload("DaemonSet", "agent"))
    assert sorted(one["spec"]["nodeName"] for one in shop.pods) == ["a", "b"]
    shop.add_node("c")
    shop.clock.settle()
    assert sorted(one["spec"]["nodeName"] for one in shop.pods) == ["a", "b", "c"]
    counted = status(shop, "daemonsets.apps", "agent")
    assert (counted["desiredNumberScheduled"], counted["numberReady"]) == (3, 3)


def test_a_daemon_set_leaves_nodes_that_it_does_not_select_any_more():
    shop = Workshop("a", "b")
    shop.client.patch("nodes", "a", {"metadata": {"labels": {"disk": "ssd"}}})
    shop.create(workload("DaemonSet", "agent", pod_spec={"nodeSelector": {"disk": "ssd"}}))
    assert [one["spec"]["nodeName"] for one in shop.pods] == ["a"]
    shop.client.patch("nodes", "a", {"metadata": {"labels": {"disk": None}}})
    shop.clock.settle()
    assert shop.pods == []


def test_a_daemon_set_runs_on_cordoned_nodes_but_not_on_tainted_ones():
    shop = Workshop("a")
    shop.add_node("b", taints=[{"key": "x", "effect": "NoSchedule"}])
    shop.client.patch("nodes", "a", {"spec": {"unschedulable": True}})
    shop.create(workload("DaemonSet", "agent"))
    assert [one["spec"]["nodeName"] for one in shop.pods] == ["a"]


@pytest.mark.parametrize("rolling", [{"maxUnavailable": 1}, {"maxUnavailable": 0, "maxSurge": 1}])
def test_a_daemon_set_replaces_its_pods_node_by_node(rolling):
    shop = Workshop("a", "b", "c")
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    shop.create(workload("DaemonSet", "agent", updateStrategy=strategy))
    relabel(shop, "daemonsets.apps", "agent", "2")
    shop.clock.settle()
    assert versions(shop) == ["2", "2", "2"]
    assert sorted(one["spec"]["nodeName"] for one in shop.pods) == ["a", "b", "c"]
    assert status(shop, "daemonsets.apps", "agent")["updatedNumberScheduled"] == 3
