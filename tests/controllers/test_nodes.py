"""Nodes that come, fall silent, are tainted and go; and the Pods on them."""

from workshop import Workshop, pod, workload

from fakecluster.controllers.conditions import condition
from fakecluster.controllers.nodes.ipam import first_free


def taints(shop: Workshop, name: str) -> set[tuple[str, str]]:
    found = shop.client.get("nodes", name)["spec"].get("taints") or []
    return {(one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in found}


def ready(shop: Workshop, name: str) -> str:
    found = condition(shop.client.get("nodes", name), "Ready")
    assert found is not None
    return str(found["status"])


def test_every_node_gets_the_next_free_range_for_its_pods():
    shop = Workshop("a", "b")
    assert shop.client.get("nodes", "a")["spec"]["podCIDR"] == "10.244.0.0/24"
    assert shop.client.get("nodes", "b")["spec"]["podCIDRs"] == ["10.244.1.0/24"]
    shop.client.delete("nodes", "a")
    shop.add_node("c")
    shop.clock.settle()
    assert shop.client.get("nodes", "c")["spec"]["podCIDR"] == "10.244.0.0/24"


def test_a_node_that_brings_its_range_keeps_it():
    shop = Workshop()
    shop.add_node("a", podCIDR="10.244.7.0/24")
    shop.clock.settle()
    assert shop.client.get("nodes", "a")["spec"]["podCIDRs"] == ["10.244.7.0/24"]


def test_ranges_run_out():
    assert first_free("10.0.0.0/23", {"10.0.0.0/24"}) == "10.0.1.0/24"
    assert first_free("10.0.0.0/23", {"10.0.0.0/24", "10.0.1.0/24"}) is None
    assert first_free("fd00:10:244::/56", {"fd00:10:244::/64"}) == "fd00:10:244:1::/64"


def test_a_new_node_is_tainted_until_it_is_ready():
    shop = Workshop()
    shop.client.create("nodes", {"metadata": {"name": "a"}})
    shop.clock.settle()
    assert taints(shop, "a") == {("not-ready", "NoSchedule")}
    well = {"conditions": [{"type": "Ready", "status": "True"}]}
    shop.client.patch("nodes", "a", {"status": well}, subresource="status")
    shop.clock.settle()
    assert taints(shop, "a") == set()


def test_a_cordoned_node_carries_its_taint():
    shop = Workshop("a")
    shop.client.patch("nodes", "a", {"spec": {"unschedulable": True}})
    shop.clock.settle()
    assert taints(shop, "a") == {("unschedulable", "NoSchedule")}
    shop.client.patch("nodes", "a", {"spec": {"unschedulable": None}})
    shop.clock.settle()
    assert taints(shop, "a") == set()


def test_a_silent_node_becomes_unknown_and_its_pods_unready():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.kubelets["a"].stop()
    shop.clock.advance(49)
    assert ready(shop, "a") == "True"
    shop.clock.advance(1)
    assert ready(shop, "a") == "Unknown"
    assert taints(shop, "a") == {("unreachable", "NoExecute"), ("unreachable", "NoSchedule")}
    found = condition(shop.pod("p"), "Ready")
    assert found is not None
    assert found["status"] == "False"


def test_a_silent_node_loses_its_pods_after_five_minutes():
    shop = Workshop("a", "b")
    shop.client.patch("nodes", "b", {"spec": {"unschedulable": True}})
    shop.create(workload("Deployment", "web", replicas=1))
    shop.client.patch("nodes", "b", {"spec": {"unschedulable": None}})
    shop.kubelets["a"].stop()
    shop.clock.advance(50 + 299)
    assert [one["spec"]["nodeName"] for one in shop.pods] == ["a"]
    shop.clock.advance(1)
    by_node = {one["spec"]["nodeName"]: one for one in shop.pods}
    assert sorted(by_node) == ["a", "b"]
    assert "deletionTimestamp" in by_node["a"]["metadata"]
    gone = condition(by_node["a"], "DisruptionTarget")
    assert gone is not None
    assert gone["reason"] == "DeletionByTaintManager"


def test_a_kubelet_that_comes_back_makes_its_node_ready_and_catches_up():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.kubelets["a"].stop()
    shop.client.delete("pods", "p", "default")
    shop.clock.advance(60)
    assert "deletionTimestamp" in shop.pod("p")["metadata"]
    shop.kubelets["a"].start()
    shop.clock.settle()
    assert (ready(shop, "a"), taints(shop, "a"), shop.pods) == ("True", set(), [])


def test_a_kubelet_that_comes_back_in_time_is_never_missed():
    shop = Workshop("a")
    shop.kubelets["a"].stop()
    shop.clock.advance(40)
    shop.kubelets["a"].start()
    shop.clock.advance(60)
    assert ready(shop, "a") == "True"


def test_a_no_execute_taint_sends_away_at_once_those_who_do_not_tolerate_it():
    shop = Workshop("a")
    shop.create(pod("plain"))
    shop.create(pod("tough", tolerations=[{"key": "fire", "operator": "Exists"}]))
    bounded = {"key": "fire", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
    shop.create(pod("brief", tolerations=[bounded]))
    shop.client.patch("nodes", "a", {"spec": {"taints": [{"key": "fire", "effect": "NoExecute"}]}})
    shop.clock.settle()
    assert sorted(shop.phases()) == ["brief", "tough"]
    shop.clock.advance(60)
    assert sorted(shop.phases()) == ["tough"]


def test_pods_of_a_node_that_is_gone_are_deleted_after_a_while():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.kubelets["a"].stop()
    shop.client.delete("nodes", "a")
    shop.clock.advance(59)
    assert list(shop.phases()) == ["p"]
    shop.clock.advance(1)
    assert shop.pods == []


def test_a_kubelet_has_a_lease():
    shop = Workshop("a")
    lease = shop.client.get("leases.coordination.k8s.io", "a", "kube-node-lease")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("a", 40)
    assert lease["metadata"]["ownerReferences"][0]["kind"] == "Node"


def test_a_kubelet_that_is_closed_does_nothing_any_more():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.kubelets["a"].close()
    shop.client.delete("pods", "p", "default")
    shop.clock.settle()
    assert shop.runtime.log == ["sandbox p", "start main"]
    assert "kubelet@a" not in shop.clock.targets
