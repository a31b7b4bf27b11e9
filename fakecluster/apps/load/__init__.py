"""Clients that ask on and on: `Load` says how, a `LoadRun` does it on the virtual clock, a `LoadResult` tells."""

from fakecluster.apps.load.options import Load
from fakecluster.apps.load.result import Exchange, LoadResult, Row
from fakecluster.apps.load.run import LoadRun, Place

__all__ = ["Exchange", "Load", "LoadResult", "LoadRun", "Place", "Row"]
