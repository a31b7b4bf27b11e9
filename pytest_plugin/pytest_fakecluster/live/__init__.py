"""Tests of the portable part of fakecluster, run against a real cluster (`--fakecluster-live`)."""

from pytest_fakecluster.live.cluster import LiveCluster
from pytest_fakecluster.live.kubectl import Kubectl, LiveError

__all__ = ["Kubectl", "LiveCluster", "LiveError"]
