"""A load over time as a picture: answers stacked by server, failures above them (extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fakecluster.apps.load.result import ANSWERED, LoadResult
from fakecluster.drawing import plots

#: Colours of failures; servers have those of the palette, in the order of their names.
FAILURES = {"refused": "#d62728", "reset": "#ff7f0e", "timed out": "#7f1d1d", "closed": "#c05a9c"}
OTHER_FAILURE = "#000000"
PALETTE = ("#4e79a7", "#a0cbe8", "#59a14f", "#b6d9a0", "#b6992d", "#f1ce63", "#499894", "#86bcb6", "#79706e", "#bab0ac")
#: Servers that have a name of their own in the legend.
NAMED_SERVERS = 12


def plot(
    result: LoadResult,
    path: str | Path,
    *,
    every_s: float = 1.0,
    title: str = "",
    marks: Mapping[float, str] | None = None,
) -> Path:
    """Draw requests per stretch of `every_s` seconds; `marks` are lines at times (seconds) with a word each.

    The file's name says what is written (.svg, .png, .pdf); an SVG is the same bytes for the same result. Raises
    `NoPlots` without the extra `plots`, ValueError for a result without exchanges.
    """
    rows = result.rows(every_s)
    if not rows:
        raise ValueError("nothing has ended yet: there is nothing to draw")
    servers = sorted(result.servers)
    failures = sorted({name for row in rows for name in row.outcomes} - {ANSWERED})
    with plots.axes(11, 4.5) as (figure, axes):
        times = [row.time_s for row in rows]
        base = [0] * len(rows)
        for place, name in enumerate((*servers, *failures)):
            is_server = place < len(servers)
            counts = [(row.servers if is_server else row.outcomes).get(name, 0) for row in rows]
            colour = PALETTE[place % len(PALETTE)] if is_server else FAILURES.get(name, OTHER_FAILURE)
            label = f"_{name}" if is_server and place >= NAMED_SERVERS else name
            axes.bar(
                times, counts, every_s, base, align="edge", color=colour, label=label, edgecolor="white", linewidth=0.3
            )
            base = [below + count for below, count in zip(base, counts, strict=True)]
        for time_s, word in sorted((marks or {}).items()):
            axes.axvline(time_s, color="#444444", linewidth=0.8, linestyle=":")
            axes.annotate(word, (time_s, 1), xycoords=("data", "axes fraction"), rotation=90, va="top", fontsize=8)
        axes.set(xlabel="virtual time, s", ylabel=f"requests per {every_s:g} s", title=title or None)
        axes.set_xlim(times[0], times[-1] + every_s)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
        written = Path(path)
        figure.savefig(written, metadata={"Date": None} if written.suffix == ".svg" else None)
    return written
