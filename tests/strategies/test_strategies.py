"""What strategies give is valid by construction, what the `invalid_*` ones give is refused as predicted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.errors import ManifestError

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JsonObject = dict[str, Any]


@SOME
@given(data=st.data())
def test_objects_are_accepted(data: st.DataObject) -> None:
    strategies = {
        "pods": kube.pods(),
        "services": kube.services(),
        "deployments": kube.deployments(),
        "slices": kube.endpoint_slices(service="web"),
    }
    name = data.draw(st.sampled_from(sorted(strategies)))
    Cluster(nodes=1).apply(data.draw(strategies[name]))


@SOME
@given(wrong=kube.invalid_services() | kube.invalid_pods())
def test_wrong_objects_are_refused_in_the_predicted_words(wrong: tuple[JsonObject, str]) -> None:
    obj, words = wrong
    with pytest.raises(ManifestError) as refused:
        Cluster(nodes=1).apply(obj)
    assert words in str(refused.value)


@SOME
@given(data=st.data())
def test_selectors_match_or_do_not_as_asked(data: st.DataObject) -> None:
    labels = data.draw(kube.labels(min_size=1))
    matching = data.draw(kube.selectors(matching=labels))
    other = data.draw(kube.selectors(matching=labels, matches=False))
    assert matching.items() <= labels.items()
    assert not other.items() <= labels.items()


def test_contradictory_arguments_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="no non-empty selector matches"):
        kube.selectors(matching={})
    with pytest.raises(InvalidArgument, match="min_size=3 is larger than max_size=2"):
        kube.labels(min_size=3, max_size=2)
    with pytest.raises(InvalidArgument, match="min_services=2 is larger"):
        kube.manifests(min_services=2, max_services=1).example()
    with pytest.raises(InvalidArgument, match="offers nothing"):
        kube.packets(towards=Cluster(nodes=1, dns=False)).example()


def test_clusters_shrink_to_one_node_one_service_one_pod() -> None:
    few = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    found = find(kube.clusters(), lambda cluster: any(one.ready_pods for one in cluster.services), settings=few)
    assert (len(found.nodes), len(found.services), len(found.pods)) == (1, 1, 2)  # one, and the client


def test_hypothesis_decides_what_chance_would() -> None:
    """Every endpoint can be reached by a choice that Hypothesis finds."""
    from hypothesis.errors import NoSuchExample

    manifest = "examples/shop.yaml"

    def server(choices: Any) -> str:
        cluster = Cluster(nodes=1, choices=choices)
        cluster.apply(manifest)
        return cluster.pod("client").connect("svc/web:80").request(b"x").server

    few = settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    for wanted in ("web-1", "web-2", "web-3"):
        found = find(kube.choices(), lambda choices, wanted=wanted: server(choices) == wanted, settings=few)
        assert found.taken
    with pytest.raises(NoSuchExample):
        find(kube.choices(), lambda choices: server(choices) == "web-4", settings=few)
