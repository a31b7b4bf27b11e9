"""kube-scheduler: which node each Pod runs on."""

from fakecluster.controllers.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
