"""A whole cluster in one object: `Cluster`."""

from fakecluster.cluster.applying import Applied
from fakecluster.cluster.cluster import Cluster
from fakecluster.cluster.spec import ClusterSpec, NodeSpec

__all__ = ["Applied", "Cluster", "ClusterSpec", "NodeSpec"]
