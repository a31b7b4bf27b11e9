"""The deployment controller: ReplicaSets, one per revision of the template, scaled from the old to the new."""

from fakecluster.controllers.deployments.controller import DUTY

__all__ = ["DUTY"]
