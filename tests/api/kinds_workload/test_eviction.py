from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.client import ApiError, Client
from fakecluster.api.kinds_workload.eviction import BUDGETS, evict
from fakecluster.api.kinds_workload.pod_binding import bind
from fakecluster.api.server import ApiServer
from fakecluster.api.strategy import Request
from fakecluster.sim import Clock, Seeded

Json = dict[str, Any]


@pytest.fixture
def client() -> Client:
    client = Client(ApiServer(Clock(), Seeded(0)))
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    client.create("pods", {"metadata": {"name": "p", "namespace": "default", "labels": {"a": "b"}}, "spec": spec})
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    client.patch("pods", "p", ready, "default", subresource="status")
    return client


def request(client: Client, name: str = "p") -> Request:
    resource = client.server.registry.by_key("pods")
    return Request(client.server, resource, "create", "default", name)


def budget(client: Client, allowed: int) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    client.create(BUDGETS, {"metadata": {"name": "pdb", "namespace": "default"}, "spec": spec})
    numbers = {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    client.patch(BUDGETS, "pdb", {"status": {**numbers, "observedGeneration": 1}}, "default", subresource="status")


def test_an_eviction_marks_the_pod_and_says_why(client: Client) -> None:
    evict(request(client), {"metadata": {"name": "p"}})
    pod = client.get("pods", "p", "default")
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 30
    last = pod["status"]["conditions"][-1]
    assert (last["type"], last["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")


def test_a_budget_without_room_refuses(client: Client) -> None:
    budget(client, allowed=0)
    with pytest.raises(ApiError) as caught:
        evict(request(client), {"metadata": {"name": "p"}})
    assert (caught.value.code, caught.value.reason) == (429, "TooManyRequests")
    assert caught.value.status["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget pdb needs 1 healthy pods and has 1 currently",
        }
    ]
    assert "deletionTimestamp" not in client.get("pods", "p", "default")["metadata"]


def test_a_budget_with_room_is_spent(client: Client) -> None:
    budget(client, allowed=1)
    evict(request(client), {"metadata": {"name": "p"}})
    state = client.get(BUDGETS, "pdb", "default")["status"]
    assert state["disruptionsAllowed"] == 0
    assert list(state["disruptedPods"]) == ["p"]


def test_a_dry_eviction_leaves_the_pod(client: Client) -> None:
    evict(request(client), {"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}})
    assert "deletionTimestamp" not in client.get("pods", "p", "default")["metadata"]


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        (
            {"kind": "Pod", "name": "x"},
            500,
            'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"',
        ),
        ({"kind": "Node"}, 500, "target.name: Required value"),
        (
            {"name": "m"},
            409,
            'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"',
        ),
    ],
)
def test_a_binding_is_refused(client: Client, target: Json, code: int, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        bind(request(client), {"metadata": {"name": "p"}, "target": target})
    assert (caught.value.code, caught.value.message) == (code, words)
