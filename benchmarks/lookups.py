"""Draws docs/lookups.svg: how many rules a real kernel would walk for a new connection, by mode and number of Services.

Run: python benchmarks/lookups.py. The figures do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path

from proxy import measured

MODES = ("iptables", "nftables", "ipvs")
SIZES = (10, 30, 100, 300, 1000, 3000)
TARGET = Path(__file__).resolve().parent.parent / "docs" / "lookups.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 70, 50, 50, 110
#: Height of a line of text.
LETTERS = 15
COLOURS = {"iptables": "#cf222e", "nftables": "#0969da", "ipvs": "#1a7f37"}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: bold; font-size: 14px }
.grid { stroke: #d0d7de } .line { fill: none; stroke-width: 2.5 }
"""

Points = Sequence[tuple[float, float]]


def place(x: float, y: float) -> tuple[float, float]:
    """A point on both logarithmic scales: 10 to 10,000 Services, 1 to 10,000 rules."""
    across, up = (log10(x) - 1) / 3, log10(max(y, 1)) / 4
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)


def grid() -> Iterator[str]:
    for power in range(1, 5):
        x, low = place(10**power, 1)
        yield f'<line class="grid" x1="{x:.0f}" y1="{low:.0f}" x2="{x:.0f}" y2="{TOP}"/>'
        yield f'<text x="{x:.0f}" y="{HEIGHT - 28}" text-anchor="middle">{10**power:,}</text>'
    for power in range(5):
        left, y = place(10, 10**power)
        yield f'<line class="grid" x1="{left:.0f}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{10**power:,}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">Services in the cluster</text>'


def curve(mode: str, points: Points) -> str:
    """The line of one mode."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    return f'<polyline class="line" stroke="{COLOURS[mode]}" points="{path}"/>'


def names(lines: Mapping[str, Points]) -> Iterator[str]:
    """The modes' names at the ends of their lines, from the top down, none over another."""
    free = 0.0
    for mode, points in sorted(lines.items(), key=lambda line: -line[1][-1][1]):
        x, y = place(*points[-1])
        y = max(y, free)
        free = y + LETTERS
        yield f'<text x="{x + 8:.0f}" y="{y + 4:.0f}">{escape(mode)}: {points[-1][1]:,.0f}</text>'


def svg(lines: Mapping[str, Points]) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text class="title" x="{LEFT}" y="24">Rules walked for a Pod\'s first packet to the last Service</text>',
        *grid(),
        *[curve(mode, points) for mode, points in lines.items()],
        *names(lines),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    lines = {mode: [(size, measured(mode, size).rules_walked) for size in SIZES] for mode in MODES}
    TARGET.write_text(svg(lines))
    for mode, points in lines.items():
        print(mode, *[f"{size:g}: {walked:g}" for size, walked in points], sep="  ")


if __name__ == "__main__":
    main()
