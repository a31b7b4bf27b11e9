"""The DaemonSet controller: one Pod on every node that suits."""

from fakecluster.controllers.daemonsets.controller import DUTY

__all__ = ["DUTY"]
