"""Plots as SVG by Matplotlib (the extra `plots`); the same data gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from io import StringIO
from typing import Any

from fakecluster.errors import FakeclusterError

#: A colour for every proxy mode, apart also for those who see few colours (Okabe and Ito).
COLOURS = {"iptables": "#0072b2", "nftables": "#009e73", "ipvs": "#d55e00", "userspace": "#cc79a7"}
BAR, INK, GRID = "#0969da", "#1f2328", "#d1d9e0"
#: What happened instead of an answer is drawn in another colour.
FAILURES = frozenset(("refused", "no answer", "dropped", "rejected", "no route", "lost"))
FAILURE = "#cf222e"


class NoPlots(FakeclusterError):
    """The plotting library is not installed."""


@contextmanager
def axes(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure of a size in inches and its axes, in this package's look; closed afterwards. Raises `NoPlots`."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise NoPlots("plots need Matplotlib: pip install 'fakecluster[plots]'") from None
    from matplotlib.figure import Figure

    look: dict[Any, Any] = {"svg.hashsalt": "fakecluster", "svg.fonttype": "none", "font.size": 10, "text.color": INK,
            "axes.labelcolor": INK, "axes.edgecolor": GRID, "xtick.color": INK, "ytick.color": INK,
            "font.family": "sans-serif", "axes.titlesize": 11, "axes.titleweight": "bold"}  # fmt: skip
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(width, height), layout="constrained")
        one = figure.subplots()
        one.spines[["top", "right"]].set_visible(False)
        one.set_axisbelow(True)
        yield figure, one


def svg_text(figure: Any) -> str:
    """A figure as SVG without a date."""
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def shares(probabilities: Mapping[str, Fraction], *, title: str = "") -> str:
    """The exact share of every endpoint (see `Outcomes.probabilities`) as bars. Raises `NoPlots`."""
    names = sorted(probabilities, reverse=True)
    values = [float(probabilities[name]) * 100 for name in names]
    with axes(7.5, 0.9 + 0.36 * len(names)) as (figure, one):
        colours = [FAILURE if name in FAILURES else BAR for name in names]
        bars = one.barh(names, values, color=colours, height=0.68)
        one.bar_label(bars, [_share(probabilities[name]) for name in names], padding=4, fontsize=9)
        one.set(xlabel="share of connections, %", xlim=(0, max(values, default=100) * 1.22), title=title or None)
        one.grid(axis="x", color=GRID, linewidth=0.6)
        one.tick_params(axis="y", length=0)
        return svg_text(figure)


def _share(value: Fraction) -> str:
    """33.3 % (1/3); fractions that nobody can read (probabilities of k/2^31) as numbers only."""
    percent = f"{float(value) * 100:.3g} %"
    return f"{percent}  ({value})" if value.denominator <= 1000 else percent


def rules_walked(measured: Mapping[str, Sequence[tuple[int, int]]], *, title: str = "") -> str:
    """Rules that the kernel walks for a packet against the number of Services, a line for each proxy mode.

    `measured` has (Services, rules) pairs by mode. Raises `NoPlots`.
    """
    with axes(7.5, 4.2) as (figure, one):
        from matplotlib.ticker import LogLocator, NullLocator

        for mode, points in measured.items():
            xs, ys = [x for x, _ in points], [y for _, y in points]
            one.plot(xs, ys, marker="o", markersize=4, linewidth=1.8, color=COLOURS.get(mode, INK), label=mode)
            if points:
                one.annotate(
                    f"{mode}: {ys[-1]}", (xs[-1], ys[-1]), xytext=(8, 0), textcoords="offset points", va="center",
                    fontsize=9, color=COLOURS.get(mode, INK),
                )  # fmt: skip
        one.set(xscale="log", yscale="log", xlabel="Services", ylabel="rules walked by a new connection's packet",
                title=title or None)  # fmt: skip
        counts = sorted({count for points in measured.values() for count, _ in points})
        one.set_xticks(counts, minor=False)
        one.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (one.xaxis, one.yaxis):
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_locator(NullLocator())
        one.grid(which="major", color=GRID, linewidth=0.6)
        one.margins(x=0.16)
        return svg_text(figure)
