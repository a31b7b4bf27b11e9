"""Hypothesis' entry point: lets `st.from_type(fakecluster.Cluster)` give settled clusters with Services in them.

Hypothesis loads this whenever it is imported, so it must cost nothing where fakecluster is not in use.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from fakecluster import Cluster


def register() -> None:
    """Register the strategies of fakecluster's types, when the package has been imported before Hypothesis.

    It may be that the package is importing Hypothesis right now: its strategies are looked at when they are used.
    """
    if "fakecluster.cluster" not in sys.modules:
        return
    from hypothesis import strategies as st

    from fakecluster import Cluster

    st.register_type_strategy(Cluster, _clusters)


def _clusters(kind: type[Cluster]) -> SearchStrategy[Cluster]:
    from fakecluster.strategies import clusters

    return clusters()
