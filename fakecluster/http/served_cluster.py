"""A whole Cluster behind a door: its own methods, the server's threads and in-process clients take turns."""

from __future__ import annotations

from fakecluster.cluster import Cluster
from fakecluster.http.behind import Behind
from fakecluster.http.door import Door
from fakecluster.http.pace import Pace
from fakecluster.http.serving import Served


def door_of(cluster: Cluster) -> Door:
    """The cluster's door, which is its `guard` from the first time on."""
    if not isinstance(cluster.guard, Door):
        door = cluster.guard = Door(cluster.parts)
        door.behind = Behind(cluster, door)
    return cluster.guard


class ServedCluster(Served):
    """A running server of a cluster."""

    def __init__(self, cluster: Cluster, *, port: int, tls: bool, clock: str) -> None:
        super().__init__(door_of(cluster), port=port, tls=tls, pace=Pace.of(clock))
