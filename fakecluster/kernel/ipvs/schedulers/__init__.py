"""IPVS's schedulers, by the names that ipvsadm knows them by."""

from fakecluster.kernel.ipvs.schedulers.failover import Failover, Overflow, PowerOfTwos
from fakecluster.kernel.ipvs.schedulers.hashing import DestinationHashing, SourceHashing
from fakecluster.kernel.ipvs.schedulers.leastconn import (
    LeastConnection,
    NeverQueue,
    ShortestExpectedDelay,
    WeightedLeastConnection,
)
from fakecluster.kernel.ipvs.schedulers.locality import LocalityLeastConnection, ReplicatedLocalityLeastConnection
from fakecluster.kernel.ipvs.schedulers.maglev import MaglevHashing
from fakecluster.kernel.ipvs.schedulers.roundrobin import RoundRobin, WeightedRoundRobin
from fakecluster.kernel.ipvs.schedulers.scheduler import Request, Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {
    "rr": RoundRobin,
    "wrr": WeightedRoundRobin,
    "lc": LeastConnection,
    "wlc": WeightedLeastConnection,
    "lblc": LocalityLeastConnection,
    "lblcr": ReplicatedLocalityLeastConnection,
    "dh": DestinationHashing,
    "sh": SourceHashing,
    "sed": ShortestExpectedDelay,
    "nq": NeverQueue,
    "fo": Failover,
    "ovf": Overflow,
    "mh": MaglevHashing,
    "twos": PowerOfTwos,
}

__all__ = ["SCHEDULERS", "Request", "Scheduler"]
