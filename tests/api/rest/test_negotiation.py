from __future__ import annotations

import pytest

from fakecluster.api.rest.negotiation import Accepted, negotiate, wants_aggregated
from fakecluster.api.status import ApiError

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", Accepted("application/json")),
        ("*/*", Accepted("application/json")),
        ("application/yaml", Accepted("application/yaml")),
        ("application/xml, application/json;q=0.1", Accepted("application/json")),
        ("application/json;q=0.5, application/yaml", Accepted("application/yaml")),
        (f"{TABLE},application/json", Accepted("application/json", "Table", "v1")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Accepted("application/json")),
    ],
)
def test_the_most_wanted_representation_that_is_offered_is_chosen(accept: str, chosen: Accepted) -> None:
    assert negotiate(accept) == chosen


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "application/json;as=Bogus;v=v1;g=meta.k8s.io"])
def test_nothing_acceptable_is_406(accept: str) -> None:
    with pytest.raises(ApiError) as caught:
        negotiate(accept)
    assert caught.value.code == 406


def test_aggregated_discovery_must_be_wanted_more_than_plain_json() -> None:
    assert wants_aggregated(f"{AGGREGATED},application/json") == AGGREGATED
    assert wants_aggregated(f"application/json,{AGGREGATED}") == ""
    assert wants_aggregated("application/json") == ""
