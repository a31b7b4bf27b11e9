"""Ready-made properties of a cluster's network: `assert not checks.run(cluster)`, or `fakecluster check`."""

from fakecluster.checks.finding import Finding
from fakecluster.checks.recovery import recovers
from fakecluster.checks.run import CHECKS, run

__all__ = ["CHECKS", "Finding", "recovers", "run"]
