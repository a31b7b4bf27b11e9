"""Placing Pods on nodes."""

from workshop import Workshop, container, pod

from fakecluster.controllers.conditions import condition


def node_of(shop: Workshop, name: str) -> str | None:
    return shop.pod(name)["spec"].get("nodeName")


def why_not(shop: Workshop, name: str) -> str:
    found = condition(shop.pod(name), "PodScheduled")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    return str(found["message"])


def test_pods_go_to_the_node_with_the_fewest_and_then_by_name():
    shop = Workshop("b", "a")
    for name in ("p1", "p2", "p3"):
        shop.create(pod(name))
    assert [node_of(shop, name) for name in ("p1", "p2", "p3")] == ["a", "b", "a"]


def test_a_node_selector_chooses_by_label():
    shop = Workshop("a", "b")
    shop.create(pod("p", nodeSelector={"kubernetes.io/hostname": "b"}))
    assert node_of(shop, "p") == "b"


def test_a_pod_that_fits_nowhere_waits_and_says_why():
    shop = Workshop("a", "b")
    shop.create(pod("p", nodeSelector={"disk": "ssd"}))
    assert node_of(shop, "p") is None
    assert why_not(shop, "p") == (
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )


def test_a_waiting_pod_is_placed_when_a_node_gets_the_label():
    shop = Workshop("a", "b")
    shop.create(pod("p", nodeSelector={"disk": "ssd"}))
    shop.client.patch("nodes", "b", {"metadata": {"labels": {"disk": "ssd"}}})
    shop.clock.settle()
    assert node_of(shop, "p") == "b"


def test_without_nodes_nothing_is_placed():
    shop = Workshop()
    shop.create(pod("p"))
    assert why_not(shop, "p") == "no nodes available to schedule pods"


def test_a_taint_keeps_pods_away_unless_they_tolerate_it():
    shop = Workshop()
    shop.add_node("a", taints=[{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}])
    shop.create(pod("plain"))
    shop.create(pod("gpu", tolerations=[{"key": "dedicated", "operator": "Equal", "value": "gpu"}]))
    assert node_of(shop, "plain") is None
    assert "1 node(s) had untolerated taint(s)" in why_not(shop, "plain")
    assert node_of(shop, "gpu") == "a"


def test_a_cordoned_node_takes_no_new_pods():
    shop = Workshop("a", "b")
    shop.client.patch("nodes", "a", {"spec": {"unschedulable": True}})
    shop.clock.settle()
    for name in ("p1", "p2"):
        shop.create(pod(name))
    assert [node_of(shop, name) for name in ("p1", "p2")] == ["b", "b"]


def test_two_pods_cannot_have_the_same_host_port():
    shop = Workshop("a")
    web = [container(ports=[{"containerPort": 80, "hostPort": 8080}])]
    shop.create(pod("first", containers=web))
    shop.create(pod("second", containers=web))
    assert node_of(shop, "first") == "a"
    assert "1 node(s) didn't have free ports for the requested pod ports" in why_not(shop, "second")
    shop.client.delete("pods", "first", "default")
    shop.clock.settle()
    assert node_of(shop, "second") == "a"


def test_requests_must_fit_into_what_the_node_has():
    shop = Workshop("a")
    shop.create(pod("big", containers=[container(resources={"requests": {"cpu": "3"}})]))
    shop.create(pod("small", containers=[container(resources={"requests": {"cpu": "1500m"}})]))
    assert why_not(shop, "small") == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_anti_affinity_keeps_pods_of_a_kind_on_different_nodes():
    shop = Workshop("a", "b")
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for name in ("db-0", "db-1", "db-2"):
        shop.create(pod(name, labels={"app": "db"}, affinity=apart))
    assert {node_of(shop, "db-0"), node_of(shop, "db-1")} == {"a", "b"}
    assert "2 node(s) didn't match pod anti-affinity rules" in why_not(shop, "db-2")


def test_affinity_brings_pods_together():
    shop = Workshop("a", "b")
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    together = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    shop.create(pod("filler", nodeName="a"))
    shop.create(pod("db", labels={"app": "db"}))
    shop.create(pod("web", affinity=together))
    assert (node_of(shop, "db"), node_of(shop, "web")) == ("b", "b")


def test_a_spread_constraint_bounds_the_difference_between_domains():
    shop = Workshop("a", "b")
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    shop.client.patch("nodes", "b", {"spec": {"unschedulable": True}})
    shop.clock.settle()
    for name in ("w1", "w2"):
        shop.create(pod(name, labels={"app": "web"}, topologySpreadConstraints=[constraint]))
    assert node_of(shop, "w1") == "a"
    assert "1 node(s) didn't match pod topology spread constraints" in why_not(shop, "w2")


def test_the_higher_priority_is_placed_first():
    shop = Workshop("a")
    shop.clock.hold("scheduler")
    shop.client.patch("nodes", "a", {"status": {"allocatable": {"pods": "1"}}}, subresource="status")
    shop.client.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "urgent"}, "value": 1000})
    shop.create(pod("plain"))
    shop.create(pod("urgent", priorityClassName="urgent"))
    shop.clock.release("scheduler")
    shop.clock.settle()
    assert (node_of(shop, "urgent"), node_of(shop, "plain")) == ("a", None)


def test_a_more_important_pod_takes_the_place_of_a_less_important_one():
    shop = Workshop("a")
    shop.client.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "urgent"}, "value": 1000})
    half = [container(resources={"requests": {"cpu": "1500m"}})]
    slow = [{**half[0], "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}]
    shop.create(pod("first", containers=slow))
    shop.create(pod("second", containers=half, priorityClassName="urgent"))
    shop.create(pod("third", containers=half, priorityClassName="urgent"))
    assert why_not(shop, "third") == "0/1 nodes are available: 1 Insufficient cpu."
    assert shop.pod("third")["status"]["nominatedNodeName"] == "a"
    assert "deletionTimestamp" in shop.pod("first")["metadata"]
    disrupted = condition(shop.pod("first"), "DisruptionTarget")
    assert disrupted is not None
    assert disrupted["reason"] == "PreemptionByScheduler"
    shop.clock.advance(5)
    assert (node_of(shop, "second"), node_of(shop, "third")) == ("a", "a")


def test_room_made_for_one_pod_is_not_given_to_another():
    shop = Workshop("a")
    shop.client.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "urgent"}, "value": 1000})
    whole = container(resources={"requests": {"cpu": "4"}})
    shop.create(pod("old", containers=[{**whole, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}]))
    shop.create(pod("urgent", containers=[whole], priorityClassName="urgent"))
    shop.create(pod("late", containers=[whole]))
    shop.clock.advance(5)
    assert (node_of(shop, "urgent"), node_of(shop, "late")) == ("a", None)


def test_a_pod_that_never_preempts_waits():
    shop = Workshop("a")
    urgent = {"metadata": {"name": "patient"}, "value": 1000, "preemptionPolicy": "Never"}
    shop.client.create("priorityclasses.scheduling.k8s.io", urgent)
    whole = [container(resources={"requests": {"cpu": "4"}})]
    shop.create(pod("old", containers=whole))
    shop.create(pod("patient", containers=whole, priorityClassName="patient"))
    assert why_not(shop, "patient").endswith("preemption: not eligible due to preemptionPolicy=Never.")
    assert shop.phases()["old"] == "Running"


def test_a_fork_schedules_on_its_own():
    shop = Workshop("a", "b")
    shop.create(pod("p1"))
    copy = shop.fork()
    copy.create(pod("p2"))
    assert node_of(copy, "p2") == "b"
    assert [one["metadata"]["name"] for one in shop.pods] == ["p1"]


def test_placing_a_pod_is_told_as_an_event():
    shop = Workshop("a")
    shop.create(pod("p"))
    assert shop.events("Pod")[0] == "Scheduled: Successfully assigned default/p to a"
