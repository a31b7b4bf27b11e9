"""Which slices a controller manages, and which changes of them are its own."""

import pytest

from fakecluster.api.store import Store
from fakecluster.controllers.sliceindex import SliceIndex
from fakecluster.sim import Clock

SLICES = "endpointslices.discovery.k8s.io"
WEB, DB = ("shop", "web"), ("shop", "db")


def slice_(name, service="web", manager="me", **fields):
    labels = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": manager}
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}, **fields}


class World:
    def __init__(self):
        self.store = Store(Clock())
        self.index = SliceIndex(self.store, "me")

    def write_own(self, obj):
        event = self.store.put(SLICES, obj)
        self.index.wrote(event.object)
        return event

    def write_other(self, obj):
        return self.index.note(self.store.put(SLICES, obj))

    def names(self, service=WEB):
        return [one["metadata"]["name"] for one in self.index.of(service)]


@pytest.fixture
def world():
    return World()


def test_own_writes_are_known_at_once_and_no_news_later(world):
    event = world.write_own(slice_("a"))
    assert world.names() == ["a"]
    assert world.index.note(event) == []


def test_changes_by_others_concern_the_service(world):
    world.write_own(slice_("a"))
    assert world.write_other(slice_("a", endpoints=[])) == [WEB]
    assert world.write_other(slice_("b")) == [WEB]
    assert world.names() == ["a", "b"]


def test_slices_of_other_managers_do_not_matter(world):
    assert world.write_other(slice_("a", manager="somebody")) == []
    assert world.names() == []


def test_a_slice_that_moves_concerns_both_services(world):
    world.write_own(slice_("a"))
    assert world.write_other(slice_("a", service="db")) == [WEB, DB]
    assert (world.names(WEB), world.names(DB)) == ([], ["a"])


def test_a_slice_that_loses_its_manager_is_not_ours_any_more(world):
    world.write_own(slice_("a"))
    assert world.write_other(slice_("a", manager="somebody")) == [WEB]
    assert world.names() == []


def test_own_deletions_are_no_news_but_those_of_others_are(world):
    for name in ("a", "b"):
        world.write_own(slice_(name))
    world.index.deleted(world.store.get(SLICES, "shop", "a"))
    assert world.index.note(world.store.remove(SLICES, "shop", "a")) == []
    assert world.index.note(world.store.remove(SLICES, "shop", "b")) == [WEB]
    assert world.names() == []


def test_a_fork_and_its_origin_do_not_see_each_other(world):
    world.write_own(slice_("a"))
    copy = World()
    copy.store = world.store.fork(Clock())
    copy.index = world.index.fork(copy.store)
    copy.write_own(slice_("b"))
    world.write_own(slice_("c"))
    assert (world.names(), copy.names()) == (["a", "c"], ["a", "b"])
    assert copy.write_other(slice_("c")) == [WEB]
