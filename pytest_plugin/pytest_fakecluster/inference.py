"""Hypothesis' entry point: lets `st.from_type(fakecluster.Cluster)` give settled clusters with Services in them.

Hypothesis loads this whenever it is imported, so it must cost nothing where fakecluster is not in use.
"""

from __future__ import annotations

import sys


def register() -> None:
    """Register the strategies of fakecluster's types, when the package has been imported."""
    if "fakecluster.cluster" not in sys.modules:
        return
    from hypothesis import strategies as st

    from fakecluster import Cluster
    from fakecluster.strategies import clusters

    st.register_type_strategy(Cluster, lambda kind: clusters())
