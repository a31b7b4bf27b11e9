"""What a failing test prints about its cluster: seed and choices, the last packets' traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster import Cluster

#: Packets whose traces a failure report shows, the newest last.
TRACES_SHOWN = 3


def sections(cluster: Cluster) -> list[tuple[str, str]]:
    """(title, text) pairs to append to a pytest report."""
    choices = "\n".join(
        f"{choice.index} of {len(choice.weights)} (p = {choice.probability}): {choice.why}"
        for choice in cluster.choices.taken
    )
    found = [("fakecluster seed and choices", f"{cluster.choices!r}\n{choices or 'no choice was made'}")]
    for trace in cluster.traces[-TRACES_SHOWN:]:
        found.append(("fakecluster trace", str(trace)))
    return found
