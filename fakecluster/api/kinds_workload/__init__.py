"""The workload kinds: Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, Job and their neighbours."""

from __future__ import annotations

from fakecluster.api.kinds_workload.strategies import STRATEGIES

__all__ = ["STRATEGIES"]
