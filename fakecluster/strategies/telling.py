"""What a failing example prints of a cluster: its manifests and all that was done to it, as a script."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hypothesis.control import cleanup, current_build_context, currently_in_test_context
from hypothesis.reporting import report

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

#: The attribute of a failing example's exception that lists its clusters, for the reports of test runners.
CLUSTERS = "fakecluster_clusters"


def tell_at_the_end(cluster: Cluster) -> None:
    """Let the running example print the cluster's script when it fails in Hypothesis' last replay, the smallest."""
    if currently_in_test_context() and current_build_context().is_final:
        cleanup(lambda: _tell(cluster))


def _tell(cluster: Cluster) -> None:
    error = sys.exc_info()[1]
    if error is not None:
        error.__dict__.setdefault(CLUSTERS, []).append(cluster)
        report(cluster.script())
