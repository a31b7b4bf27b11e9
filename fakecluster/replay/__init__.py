"""Captures in, answers out: what would have become of recorded packets in this cluster."""

from fakecluster.replay.cluster import replay
from fakecluster.replay.fates import Fate
from fakecluster.replay.flows import Flow, FlowKey
from fakecluster.replay.matching import Difference
from fakecluster.replay.preparing import MapError
from fakecluster.replay.report import Replay
from fakecluster.replay.spreading import SpreadError, spread
from fakecluster.replay.verdicts import Verdict

__all__ = [
    "Difference",
    "Fate",
    "Flow",
    "FlowKey",
    "MapError",
    "Replay",
    "SpreadError",
    "Verdict",
    "replay",
    "spread",
]
