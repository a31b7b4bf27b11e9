"""A whole Cluster served: while it is, its own methods and the server's threads take turns."""

from __future__ import annotations

from contextlib import nullcontext

from fakecluster.cluster import Cluster
from fakecluster.http.door import Door
from fakecluster.http.pace import Pace
from fakecluster.http.serving import Served


class ServedCluster(Served):
    """A running server of a cluster, whose `guard` is the server's door until it stops."""

    def __init__(self, cluster: Cluster, *, port: int, tls: bool, clock: str) -> None:
        self._cluster = cluster
        door = Door(cluster.parts)
        super().__init__(door, port=port, tls=tls, pace=Pace.of(clock))
        cluster.guard = door

    def stop(self) -> None:
        super().stop()
        self._cluster.guard = nullcontext()
