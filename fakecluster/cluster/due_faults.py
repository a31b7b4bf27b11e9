"""Faults of plans that are due: every cluster's clock knows where they go; what they do is imported with the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

TARGET = "faults"


def bind(cluster: Cluster) -> None:
    """Let the clock of a cluster begin and end its faults."""
    cluster.clock.bind(TARGET, lambda payload: _due(cluster, payload))


def _due(cluster: Cluster, payload: tuple[Any, ...]) -> None:
    from fakecluster.cluster.faults.schedule import STEPS

    STEPS[payload[0]](cluster, *payload[1:])
