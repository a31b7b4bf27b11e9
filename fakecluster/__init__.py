"""A Kubernetes cluster's network inside one Python process."""

from typing import TYPE_CHECKING, Any

from fakecluster.cluster import Cluster

if TYPE_CHECKING:
    from fakecluster.campaigns import campaign

__all__ = ["Cluster", "campaign"]


def __getattr__(name: str) -> Any:
    """`campaign` is imported when it is first asked for: most programs run none."""
    if name != "campaign":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fakecluster.campaigns import campaign

    return campaign
