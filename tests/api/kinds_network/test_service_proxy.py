from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.kinds_network.service_proxy import locate

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def web(client: Client, service: Create) -> Client:
    """A Service `web` with two ports and one ready endpoint."""
    service("web", ports=[{"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53}])
    subset = {"addresses": [{"ip": "10.244.0.5"}], "ports": [{"name": "http", "port": 8080}]}
    client.create("endpoints", {"metadata": {"name": "web"}, "subsets": [subset]}, "default")
    return client


@pytest.mark.parametrize("target", ["web:http", "web:80", "http:web:http"])
def test_a_port_is_found_by_name_and_by_number(web: Client, target: str) -> None:
    assert locate(web.server.store, "default", target) == ("10.244.0.5", 8080)


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("web:dns", 503, 'no endpoints available for service "web"'),
        ("web:81", 503, 'no service port 81 found for service "web"'),
        ("none", 404, 'services "none" not found'),
        ("a:b:c:d", 400, 'invalid service request "a:b:c:d"'),
    ],
)
def test_a_request_that_goes_nowhere(web: Client, target: str, code: int, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        locate(web.server.store, "default", target)
    assert (refused.value.code, refused.value.message) == (code, words)
