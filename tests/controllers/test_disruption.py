"""PodDisruptionBudgets count the Pods that may be disturbed."""

import pytest
from workshop import Workshop, workload

from fakecluster.api.client import ApiError
from fakecluster.api.kinds_workload.eviction import BUDGETS, evict
from fakecluster.api.strategy import Request


def counted(shop: Workshop) -> tuple[int, int, int, int]:
    """(expected, desired, healthy, allowed)"""
    status = shop.client.get(BUDGETS, "pdb", "default")["status"]
    return tuple(status[name] for name in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"))


def budget(shop: Workshop, **spec: object) -> None:
    spec.setdefault("selector", {"matchLabels": {"app": "web"}})
    shop.client.create(BUDGETS, {"metadata": {"name": "pdb", "namespace": "default"}, "spec": spec})
    shop.clock.settle()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"minAvailable": 1}, (3, 1, 3, 2)),
        ({"minAvailable": "50%"}, (3, 2, 3, 1)),
        ({"maxUnavailable": 1}, (3, 2, 3, 1)),
        ({"maxUnavailable": "0%"}, (3, 3, 3, 0)),
        ({"minAvailable": 5}, (3, 5, 3, 0)),
    ],
)
def test_a_budget_counts_the_pods_of_a_deployment(spec: dict, wanted: tuple[int, ...]) -> None:
    shop = Workshop("a")
    shop.create(workload("Deployment", "web", replicas=3))
    budget(shop, **spec)
    assert counted(shop) == wanted


def test_a_budget_without_pods_allows_nothing() -> None:
    shop = Workshop("a")
    budget(shop, minAvailable=0)
    assert counted(shop) == (0, 0, 0, 0)
    (condition,) = shop.client.get(BUDGETS, "pdb", "default")["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "InsufficientPods")


def test_evictions_stop_when_the_budget_is_spent_and_go_on_when_pods_are_back() -> None:
    shop = Workshop("a")
    shop.create(workload("ReplicaSet", "web", replicas=2))
    budget(shop, minAvailable=1)
    first, second = (one["metadata"]["name"] for one in shop.pods)

    def try_to_evict(name: str) -> None:
        request = Request(shop.server, shop.server.registry.by_key("pods"), "create", "default", name)
        evict(request, {"metadata": {"name": name}})

    try_to_evict(first)
    with pytest.raises(ApiError) as caught:
        try_to_evict(second)
    assert caught.value.code == 429
    shop.clock.settle()
    shop.clock.advance(60)
    assert counted(shop) == (2, 1, 2, 1)
    try_to_evict(second)
