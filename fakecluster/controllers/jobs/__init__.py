"""The Job controller: Pods that run to their end, counted once each."""

from fakecluster.controllers.jobs.controller import DUTY

__all__ = ["DUTY"]
