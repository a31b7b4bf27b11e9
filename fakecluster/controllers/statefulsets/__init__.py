"""The StatefulSet controller: Pods with ordinals, made, replaced and removed in order."""

from fakecluster.controllers.statefulsets.controller import DUTY

__all__ = ["DUTY"]
