"""The endpoints and EndpointSlice controllers on a running server: what they notice, when, and what they undo."""

import pytest
from endpoint_objects import SLICES, ControlPlane

BOTH = ("endpoints-controller", "endpointslice-controller")


@pytest.fixture
def plane():
    plane = ControlPlane(*BOTH)
    plane.add_node("node-a", "zone-a")
    plane.add_service()
    plane.run_pod("a", "10.244.0.3")
    plane.run_pod("b", "10.244.0.4", ready=False)
    plane.settle()
    return plane


def addresses(plane, field="addresses"):
    return [one["ip"] for subset in plane.get("endpoints", "web").get("subsets", ()) for one in subset.get(field, ())]


def test_both_say_the_same_of_every_pod(plane):
    assert (addresses(plane), addresses(plane, "notReadyAddresses")) == (["10.244.0.3"], ["10.244.0.4"])
    assert plane.endpoints_of() == {"a": True, "b": False}


def test_readiness_is_followed(plane):
    plane.set_ready("b", True)
    plane.set_ready("a", False)
    plane.settle()
    assert (addresses(plane), addresses(plane, "notReadyAddresses")) == (["10.244.0.4"], ["10.244.0.3"])
    assert plane.endpoints_of() == {"a": False, "b": True}


def test_a_held_controller_lags_behind_while_the_other_goes_on(plane):
    plane.clock.hold("endpointslice-controller")
    plane.set_ready("a", False)
    plane.settle()
    assert addresses(plane) == []
    assert plane.endpoints_of() == {"a": True, "b": False}
    plane.clock.release("endpointslice-controller")
    plane.settle()
    assert plane.endpoints_of() == {"a": False, "b": False}


def test_services_are_worked_on_one_by_one(plane):
    plane.add_service("other", selector={"app": "web"})
    plane.settle()
    plane.clock.hold("endpoints-controller")
    plane.set_ready("b", True)
    states = []
    while plane.clock.step():
        states.append((plane.endpoints_of("web")["b"], plane.endpoints_of("other")["b"]))
    assert (False, False) in states and (True, True) in states
    assert (True, False) in states or (False, True) in states


def test_a_deleted_pod_that_terminates_leaves_endpoints_but_serves_on_in_slices(plane):
    plane.client.delete("pods", "a", "shop")
    plane.settle()
    assert addresses(plane) == []
    (one,) = plane.slices()
    conditions = {e["targetRef"]["name"]: e["conditions"] for e in one["endpoints"]}
    assert conditions["a"] == {"ready": False, "serving": True, "terminating": True}


def test_endpoints_go_with_their_service(plane):
    plane.client.delete("services", "web", "shop")
    plane.settle()
    assert plane.get("endpoints", "web") is None


def test_deleted_endpoints_come_back_but_edited_ones_stay_until_the_next_change(plane):
    plane.client.delete("endpoints", "web", "shop")
    plane.settle()
    assert addresses(plane) == ["10.244.0.3"]
    plane.client.patch("endpoints", "web", {"subsets": None, "metadata": {"annotations": {"mine": "y"}}}, "shop")
    plane.settle(5.0)
    assert addresses(plane) == []
    plane.set_ready("b", True)
    plane.settle()
    assert addresses(plane) == ["10.244.0.3", "10.244.0.4"]
    assert plane.get("endpoints", "web")["metadata"]["annotations"] == {"mine": "y"}


def test_edited_and_deleted_slices_are_put_right_a_second_later(plane):
    (one,) = plane.slices()
    name = one["metadata"]["name"]
    plane.client.patch(SLICES, name, {"endpoints": [{"addresses": ["9.9.9.9"]}]}, "shop")
    plane.settle(0.9)
    assert [e["addresses"] for e in plane.slices()[0]["endpoints"]] == [["9.9.9.9"]]
    plane.settle(0.2)
    assert plane.endpoints_of() == {"a": True, "b": False}
    plane.client.delete(SLICES, plane.slices()[0]["metadata"]["name"], "shop")
    plane.settle(1.0)
    assert plane.endpoints_of() == {"a": True, "b": False}


def test_own_writes_cause_no_further_work(plane):
    revision = plane.api.store.revision
    plane.set_ready("b", True)
    plane.settle(10.0)
    assert plane.api.store.revision == revision + 3  # the Pod, the Endpoints, the slice


def test_a_pod_on_a_missing_node_is_published_once_the_node_comes(plane):
    plane.run_pod("ghost", "10.244.0.9", node="late")
    plane.settle()
    assert "10.244.0.9" in addresses(plane)
    assert "ghost" not in plane.endpoints_of()
    plane.add_node("late", "zone-b")
    plane.settle(3.0)
    assert plane.endpoints_of()["ghost"] is True


def test_the_change_that_triggered_an_update_is_told_with_it(plane):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z"}
    plane.set_status("b", {"conditions": [condition]})
    plane.settle()
    for one in (plane.get("endpoints", "web"), plane.slices()[0]):
        assert one["metadata"]["annotations"] == {
            "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:07Z"
        }


def test_a_service_made_again_tells_its_own_creation(plane):
    plane.client.delete("services", "web", "shop")
    plane.settle(60.0)
    plane.add_service()
    plane.settle()
    annotations = plane.get("endpoints", "web")["metadata"]["annotations"]
    assert annotations == {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:01:00Z"}


def test_a_service_made_again_before_anybody_looked_tells_its_own_creation_too(plane):
    for controller in BOTH:
        plane.clock.hold(controller)
    plane.client.delete("services", "web", "shop")
    plane.settle(60.0)
    plane.add_service(labels={"new": "x"})
    for controller in BOTH:
        plane.clock.release(controller)
    plane.settle()
    annotations = plane.get("endpoints", "web")["metadata"]["annotations"]
    assert annotations == {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:01:00Z"}


def test_more_than_a_thousand_addresses_are_cut_and_said_to_be():
    plane = ControlPlane(*BOTH)
    plane.add_node("node-a")
    for i in range(1003):
        plane.run_pod(f"p{i}", f"10.244.{i // 250}.{i % 250 + 1}")
    plane.add_service()
    plane.settle()
    endpoints = plane.get("endpoints", "web")
    assert len(endpoints["subsets"][0]["addresses"]) == 1000
    assert endpoints["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
    assert sorted(len(one["endpoints"]) for one in plane.slices())[:2] == [3, 100]
    for i in range(5):
        plane.client.delete("pods", f"p{i}", "shop", grace_period_s=0)
    plane.settle()
    assert "endpoints.kubernetes.io/over-capacity" not in plane.get("endpoints", "web")["metadata"].get(
        "annotations", {}
    )


def test_zone_hints_come_and_go_and_are_said_in_events():
    plane = ControlPlane(*BOTH)
    for number, zone in enumerate("abc"):
        plane.add_node(f"node-{zone}", f"zone-{zone}")
        plane.run_pod(f"p{number}", f"10.244.0.{number + 1}", node=f"node-{zone}")
    plane.add_service(annotations={"service.kubernetes.io/topology-mode": "Auto"})
    plane.settle()
    hints = {e["targetRef"]["name"]: e["hints"]["forZones"] for e in plane.slices()[0]["endpoints"]}
    assert hints == {f"p{i}": [{"name": f"zone-{zone}"}] for i, zone in enumerate("abc")}
    plane.client.patch("services", "web", {"metadata": {"annotations": None}}, "shop")
    plane.settle()
    assert not any("hints" in e for e in plane.slices()[0]["endpoints"])
    reasons = [one["reason"] for one in plane.client.list("events", "shop")]
    assert sorted(reasons) == ["TopologyAwareHintsDisabled", "TopologyAwareHintsEnabled"]


def test_a_fork_settles_on_its_own(plane):
    copy = plane.fork()
    copy.set_ready("b", True)
    copy.settle()
    plane.set_ready("a", False)
    plane.settle()
    assert copy.endpoints_of() == {"a": True, "b": True}
    assert plane.endpoints_of() == {"a": False, "b": False}
    assert (addresses(copy), addresses(plane)) == (["10.244.0.3", "10.244.0.4"], [])


def test_a_fork_inherits_what_has_not_been_worked_on_yet(plane):
    plane.set_ready("b", True)
    copy = plane.fork()
    copy.settle()
    assert copy.endpoints_of() == {"a": True, "b": True}
    assert plane.endpoints_of() == {"a": True, "b": False}


def test_the_work_for_one_change_does_not_grow_with_the_number_of_services(plane):
    for number in range(50):
        plane.add_service(f"other-{number}", selector={"app": f"other-{number}"})
    plane.settle()
    revision = plane.api.store.revision
    plane.set_ready("b", True)
    assert plane.clock.settle() <= 8
    assert plane.api.store.revision == revision + 3
