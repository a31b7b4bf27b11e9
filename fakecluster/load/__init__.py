"""Load on a cluster and what came of it: `cluster.run_load`, a table, a plot."""

from fakecluster.apps.load import Exchange, Load, LoadResult, LoadRun, Row
from fakecluster.load.plot import plot

__all__ = ["Exchange", "Load", "LoadResult", "LoadRun", "Row", "plot"]
