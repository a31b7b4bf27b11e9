"""A Kubernetes cluster's network inside one Python process."""

from fakecluster.campaigns import campaign
from fakecluster.cluster import Cluster

__all__ = ["Cluster", "campaign"]
