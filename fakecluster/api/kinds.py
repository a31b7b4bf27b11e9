"""Every kind that has behaviour of its own; all others are stored as their schema says."""

from __future__ import annotations

from fakecluster.api import kinds_network, kinds_workload
from fakecluster.api.resources import Resource
from fakecluster.api.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {**kinds_network.STRATEGIES, **kinds_workload.STRATEGIES}
GENERIC = Strategy()


def strategy_of(resource: Resource) -> Strategy:
    """The behaviour of a resource; a custom one brings its own."""
    strategy: Strategy = STRATEGIES.get(resource.key, GENERIC) if resource.custom is None else resource.custom.strategy
    return strategy


def strategy_for(resource: str) -> Strategy:
    """The behaviour of a resource such as ``services`` or ``deployments.apps``."""
    return STRATEGIES.get(resource, GENERIC)
