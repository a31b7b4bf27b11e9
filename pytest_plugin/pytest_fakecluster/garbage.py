"""Garbage collections in a session of many tests: what is loaded stays, and is no longer looked through."""

from __future__ import annotations

import gc
import sys
from typing import Any

#: The module whose templates are the first thing that a process prepares for its clusters.
COMPONENTS = "fakecluster.cluster.components"


def is_prepared() -> bool:
    """Whether a cluster has been made in this process; imports nothing."""
    components: Any = sys.modules.get(COMPONENTS)
    return components is not None and components.template.cache_info().currsize > 0


def leave_loaded_out() -> None:
    """Leave what is loaded by now (modules, mostly) out of later collections; `gc.unfreeze()` takes it back.

    A cluster is a cyclic structure, left to Python's garbage collector. Each test leaves one, so that collections are
    frequent; without this they would take a quarter of a test's time, nearly all of it for what never is garbage.
    """
    gc.collect()
    gc.freeze()
