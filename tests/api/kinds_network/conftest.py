from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded


@pytest.fixture
def client() -> Client:
    """A client of a fresh dual-stack server."""
    return Client(ApiServer(Clock(), Seeded(1), service_cidrs=("10.96.0.0/16", "fd00:10:96::/112")))


@pytest.fixture
def refusal() -> Callable[[Callable[[], Any]], str]:
    """What the server says about a write that it must refuse, without the object's name."""

    def text_of(write: Callable[[], Any]) -> str:
        with pytest.raises(ApiError) as caught:
            write()
        return caught.value.message.partition(" is invalid: ")[2] or caught.value.message

    return text_of


@pytest.fixture
def service(client: Client) -> Callable[..., dict[str, Any]]:
    """Create a Service from its spec's fields and return what was stored."""

    def create(name: str = "web", **spec: Any) -> dict[str, Any]:
        spec.setdefault("ports", [{"port": 80}])
        obj = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        return client.create("services", obj, "default")

    return create
