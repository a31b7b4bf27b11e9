"""Which Services a changed Pod concerns, which Pods a Service selects."""

import pytest
from endpoint_objects import pod, service

from fakecluster.api.store import Store
from fakecluster.controllers.selection import Selection
from fakecluster.sim import Clock


class World:
    """A store whose every change the index sees."""

    def __init__(self):
        self.store = Store(Clock())
        self.index = Selection(self.store)

    def put(self, resource, obj):
        copy = {**obj, "metadata": dict(obj["metadata"])}
        return {name for _, name in self.index.note(self.store.put(resource, copy))}

    def remove(self, resource, name):
        return {found for _, found in self.index.note(self.store.remove(resource, "shop", name))}

    def pods(self, name="web"):
        found = self.index.pods(self.store.get("services", "shop", name))
        return [one["metadata"]["name"] for one in found]


@pytest.fixture
def world():
    world = World()
    world.put("services", service("web"))
    world.put("services", service("blue", selector={"app": "web", "tier": "blue"}))
    world.put("services", service("manual", selector={}))
    world.put("pods", pod("a", "10.244.0.3"))
    world.put("pods", pod("b", "10.244.0.4", labels={"app": "web", "tier": "blue"}))
    world.put("pods", pod("c", "10.244.0.5", labels={"app": "db"}))
    return world


def test_a_service_selects_pods_by_all_its_labels(world):
    assert (world.pods("web"), world.pods("blue"), world.pods("manual")) == (["a", "b"], ["b"], [])


def test_pods_are_found_for_a_service_that_comes_later(world):
    assert world.put("services", service("late", selector={"app": "db"})) == {"late"}
    assert world.pods("late") == ["c"]


def test_a_selector_that_changes_selects_anew(world):
    world.put("services", service("web", selector={"app": "db"}))
    assert world.pods("web") == ["c"]
    assert world.put("pods", pod("a", "10.244.0.3", ready=False)) == set()
    assert world.put("pods", pod("c", "10.244.0.5", ready=False, labels={"app": "db"})) == {"web"}


def test_readiness_concerns_every_service_of_the_pod(world):
    changed = pod("b", "10.244.0.4", ready=False, labels={"app": "web", "tier": "blue"})
    assert world.put("pods", changed) == {"web", "blue"}


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        (pod("a", "10.244.0.3"), set()),
        (pod("a", "10.244.0.3", phase="Unknown"), set()),
        (pod("a", "10.244.0.3", ready=False), {"web"}),
        (pod("a", "10.244.0.3", "fd00::3"), {"web"}),
        (pod("a", "10.244.0.3", deleted=True), {"web"}),
        (pod("a", "10.244.0.3", labels={"app": "web", "tier": "blue"}), {"blue"}),
        (pod("a", "10.244.0.3", labels={"app": "db"}), {"web"}),
        (pod("a", "10.244.0.3", labels={"app": "web", "tier": "blue"}, ready=False), {"web", "blue"}),
    ],
    ids=["nothing", "phase", "readiness", "address", "deletion", "joins", "leaves", "joins and changes"],
)
def test_only_services_whose_endpoints_may_differ_are_concerned(world, changed, concerned):
    assert world.put("pods", changed) == concerned


def test_a_pod_that_changes_its_labels_moves(world):
    world.put("pods", pod("a", "10.244.0.3", labels={"app": "db"}))
    assert world.pods("web") == ["b"]
    world.put("services", service("data", selector={"app": "db"}))
    assert world.pods("data") == ["a", "c"]


def test_a_deleted_pod_concerns_its_services_and_is_gone(world):
    assert world.remove("pods", "b") == {"web", "blue"}
    assert (world.pods("web"), world.pods("blue")) == (["a"], [])


def test_a_deleted_service_is_concerned_a_last_time(world):
    assert world.remove("services", "web") == {"web"}
    assert world.put("pods", pod("a", "10.244.0.3", ready=False)) == set()


def test_the_services_concerned_come_in_the_order_of_their_names(world):
    for name in ("zoo", "ant", "mouse"):
        world.put("services", service(name))
    changed = pod("a", "10.244.0.3", ready=False)
    concerned = world.index.note(world.store.put("pods", changed))
    assert [name for _, name in concerned] == ["ant", "mouse", "web", "zoo"]


def test_other_namespaces_do_not_matter(world):
    far = pod("far", "10.244.0.9")
    far["metadata"]["namespace"] = "elsewhere"
    assert world.put("pods", far) == set()
    assert world.pods("web") == ["a", "b"]


def test_a_fork_and_its_origin_do_not_see_each_other(world):
    copy = World()
    copy.store = world.store.fork(Clock())
    copy.index = world.index.fork(copy.store)
    copy.remove("pods", "a")
    world.put("pods", pod("d", "10.244.0.6"))
    assert (world.pods("web"), copy.pods("web")) == (["a", "b", "d"], ["b"])
