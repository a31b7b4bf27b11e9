"""Hints by zone: shares of CPU, how many endpoints a zone gets, when there are no hints."""

from collections import Counter

import pytest
from endpoint_objects import node

from fakecluster.controllers.endpointslices.topology import hint_by_zone, is_overloaded, zone_shares

THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


def endpoint(number, zone, *, ready=True):
    made = {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}}
    return {**made, "zone": zone} if zone else made


def draft(zones, *, ready=True):
    return {"metadata": {"name": "s"}, "endpoints": [endpoint(i, zone, ready=ready) for i, zone in enumerate(zones)]}


def hints(one):
    found = [e["hints"]["forZones"][0]["name"] for e in one["endpoints"] if "hints" in e]
    return dict(Counter(found))


def test_zones_share_by_the_cpus_of_ready_workers():
    nodes = [
        node("1", "a", cpu="4"),
        node("2", "b", cpu="3500m"),
        node("3", "b", cpu="500m"),
        node("4", "c", cpu="64", ready=False),
        node("5", "c", cpu="64", labels={"node-role.kubernetes.io/control-plane": ""}),
    ]
    assert zone_shares(nodes) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [node("1", "a"), node("2", "a")],
        [node("1", "a"), node("2", "b"), node("3")],
        [node("1", "a"), node("2", "b", cpu="0")],
    ],
    ids=["no nodes", "one zone", "a node without zone", "a node without CPU"],
)
def test_without_full_knowledge_of_two_zones_there_are_no_shares(nodes):
    assert zone_shares(nodes) is None


def test_balanced_endpoints_stay_in_their_zones():
    one = draft("aabbcc")
    assert hint_by_zone([one], [], THIRDS).by_zone == {"a": 2, "b": 2, "c": 2}
    assert [e["hints"]["forZones"][0]["name"] for e in one["endpoints"]] == list("aabbcc")


def test_a_zone_with_too_many_gives_to_one_with_too_few():
    one = draft("aaaaaabbc")
    found = hint_by_zone([one], [], THIRDS)
    assert found.by_zone == hints(one) == {"a": 3, "b": 3, "c": 3}


def test_endpoints_that_are_not_ready_get_no_hints_and_do_not_count():
    one = draft("abc")
    one["endpoints"].append(endpoint(9, "a", ready=False))
    assert hint_by_zone([one], [], THIRDS).by_zone == {"a": 1, "b": 1, "c": 1}
    assert "hints" not in one["endpoints"][3]


@pytest.mark.parametrize(
    ("zones", "shares", "problem"),
    [
        ("ab", THIRDS, "Insufficient number of endpoints (2 endpoints, 3 zones)"),
        (
            "abca",
            THIRDS,
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            "(4 endpoints, 3 zones)",
        ),
        ("abc", None, "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"),
        ("aabbc-", THIRDS, "One or more endpoints do not have a zone specified"),
    ],
)
def test_where_hints_are_not_possible_all_are_taken_away(zones, shares, problem):
    one = draft([zone if zone != "-" else "" for zone in zones])
    one["endpoints"][0]["hints"] = {"forZones": [{"name": "a"}]}
    found = hint_by_zone([one], [], shares)
    assert (found.by_zone, found.problem, hints(one)) == (None, problem, {})


def test_unchanged_slices_with_good_hints_stay_unchanged():
    one = draft("aabbcc")
    hint_by_zone([one], [], THIRDS)
    new = draft("a")
    assert hint_by_zone([new], [one], THIRDS).late == []
    assert hint_by_zone([], [draft("abc")], THIRDS).late[0]["endpoints"][1]["hints"] == {"forZones": [{"name": "b"}]}


def test_a_zone_is_overloaded_when_it_has_less_than_its_minimum():
    assert not is_overloaded({"a": 2, "b": 2, "c": 2}, THIRDS)
    assert is_overloaded({"a": 4, "b": 2, "c": 0}, THIRDS)
    assert is_overloaded({"a": 3, "b": 3}, THIRDS)
    assert is_overloaded({"a": 1, "b": 1}, None)
    assert not is_overloaded({}, None)
