from __future__ import annotations

import pytest

from fakecluster.api import reads
from fakecluster.api.client import Client
from fakecluster.api.reads import ListRequest, list_page
from fakecluster.api.resources import built_in
from fakecluster.api.status import ApiError

RESOURCE = built_in().by_key("leases.coordination.k8s.io")


def names(page: reads.Page) -> list[str]:
    return [stored.object["metadata"]["name"] for stored in page.items]


@pytest.fixture
def five(client: Client) -> Client:
    for name in "abcde":
        client.create(
            "leases.coordination.k8s.io", {"metadata": {"name": name, "labels": {"odd": str(name in "ace")}}}, "default"
        )
    return client


def test_pages_follow_each_other_and_know_what_is_left(five: Client) -> None:
    store = five.server.store
    first = list_page(store, ListRequest(RESOURCE, "default", limit=2))
    second = list_page(store, ListRequest(RESOURCE, "default", limit=2, continue_=first.continue_))
    third = list_page(store, ListRequest(RESOURCE, "default", limit=2, continue_=second.continue_))
    assert [names(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page.remaining for page in (first, second, third)] == [3, 1, None]
    assert third.continue_ == ""


def test_later_pages_show_the_state_of_the_first(five: Client) -> None:
    store = five.server.store
    first = list_page(store, ListRequest(RESOURCE, "default", limit=2))
    five.delete(RESOURCE.key, "c", "default")
    five.create(RESOURCE.key, {"metadata": {"name": "bb"}}, "default")
    second = list_page(store, ListRequest(RESOURCE, "default", limit=2, continue_=first.continue_))
    assert names(second) == ["c", "d"]
    assert second.revision == first.revision


def test_a_selection_does_not_say_how_much_is_left(five: Client) -> None:
    page = list_page(five.server.store, ListRequest(RESOURCE, "default", "odd=True", limit=1))
    assert (names(page), page.remaining, bool(page.continue_)) == (["a"], None, True)


def test_a_token_from_before_the_compaction_is_expired_but_shows_a_way_on(five: Client) -> None:
    store = five.server.store
    first = list_page(store, ListRequest(RESOURCE, "default", limit=2))
    five.delete(RESOURCE.key, "c", "default")
    store.compact(store.revision)
    with pytest.raises(ApiError) as caught:
        list_page(store, ListRequest(RESOURCE, "default", limit=2, continue_=first.continue_))
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    token = caught.value.status["metadata"]["continue"]
    assert names(list_page(store, ListRequest(RESOURCE, "default", limit=2, continue_=token))) == ["d", "e"]


def test_an_exact_version_shows_the_past(five: Client) -> None:
    store = five.server.store
    revision = str(store.revision)
    five.delete(RESOURCE.key, "a", "default")
    past = list_page(store, ListRequest(RESOURCE, "default", resource_version=revision, match="Exact"))
    assert names(past) == ["a", "b", "c", "d", "e"]
    assert past.revision == int(revision)


def test_the_future_is_a_timeout_to_be_tried_again(five: Client) -> None:
    with pytest.raises(ApiError) as caught:
        list_page(five.server.store, ListRequest(RESOURCE, resource_version="999999"))
    assert (caught.value.code, caught.value.headers) == (504, (("Retry-After", "1"),))


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("spec.x=1", '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("bogus", "invalid selector: 'bogus'; can't understand 'bogus'"),
    ],
)
def test_fields_that_cannot_be_selected_are_refused(selector: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        reads.matcher(RESOURCE, "", selector)
    assert (caught.value.code, caught.value.message) == (400, words)


def test_pods_are_selected_by_node_and_phase() -> None:
    matches = reads.matcher(
        built_in().by_key("pods"), "", "spec.nodeName=n,status.phase!=Running,spec.hostNetwork=false"
    )
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}
    assert matches(pod)
    assert not matches({**pod, "status": {"phase": "Running"}})
    assert not matches({**pod, "spec": {"nodeName": "n", "hostNetwork": True}})
