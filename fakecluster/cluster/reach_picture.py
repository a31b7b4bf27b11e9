"""A reachability matrix as a picture (SVG): a square for each pair, whose title says why."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from fakecluster.cluster.reach_cells import ALLOWED, DENIED, NO_LISTENER, PARTLY

if TYPE_CHECKING:
    from fakecluster.cluster.reachability import Reachability

COLOURS = {ALLOWED: "#4c9f70", PARTLY: "#e3b448", DENIED: "#c8553d", NO_LISTENER: "#d9d9d9"}
_FONT = 'font-family="system-ui, sans-serif" font-size="10" fill="#222"'
_CELL, _HEAD, _LEGEND_STEP = 14, 30, 90
#: Where the legend begins, behind the title.
_LEGEND = 130
#: Pixels of a letter, on the wide side; between a name and its row.
_LETTER, _GAP = 6, 6


def svg(matrix: Reachability) -> str:
    """Sources from above to below, targets from left to right, a line where the namespace changes."""
    left = _GAP * 2 + _LETTER * max((len(name) for name in matrix.sources), default=0)
    top = _HEAD + _GAP * 2 + _LETTER * max((len(name) for name in matrix.targets), default=0)
    wide, high = _CELL * len(matrix.targets), _CELL * len(matrix.sources)
    width = max(left + wide, _LEGEND + _LEGEND_STEP * len(COLOURS)) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top + high + _GAP}" {_FONT}>',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_legend(matrix),
    ]
    for number, name in enumerate(matrix.sources):
        parts.append(f'<text x="{left - _GAP}" y="{top + _CELL * number + 10}" text-anchor="end">{escape(name)}</text>')
    for number, name in enumerate(matrix.targets):
        x, y = left + _CELL * number + 10, top - _GAP
        parts.append(f'<text x="{x}" y="{y}" transform="rotate(-90 {x} {y})">{escape(name)}</text>')
    parts += _squares(matrix, left, top)
    parts += [f'<path d="M{left - 1} {top + y - 1}h{wide}" stroke="#222"/>' for y in _borders(matrix.sources)]
    parts += [f'<path d="M{left + x - 1} {top - 1}v{high}" stroke="#222"/>' for x in _borders(matrix.targets)]
    return "\n".join((*parts, "</svg>", ""))


def _legend(matrix: Reachability) -> Iterator[str]:
    yield f'<text x="{_GAP}" y="15" font-weight="bold">{matrix.protocol} {matrix.port}, from \\ to</text>'
    for number, (word, colour) in enumerate(COLOURS.items()):
        x = _LEGEND + _LEGEND_STEP * number
        yield f'<rect x="{x}" y="6" width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}"/>'
        yield f'<text x="{x + _CELL + 3}" y="16">{word}</text>'


def _squares(matrix: Reachability, left: int, top: int) -> Iterator[str]:
    for number, cell in enumerate(matrix):
        row, column = divmod(number, len(matrix.targets))
        place = f'x="{left + _CELL * column}" y="{top + _CELL * row}" width="{_CELL - 1}" height="{_CELL - 1}"'
        yield f'<rect {place} fill="{COLOURS[cell.verdict]}"><title>{escape(str(cell))}</title></rect>'


def _borders(names: tuple[str, ...]) -> Iterator[int]:
    """Where one namespace (or the Pods) ends and the next begins, in pixels."""
    spaces = [name.rpartition("/")[0] for name in names]
    return (_CELL * number for number in range(1, len(spaces)) if spaces[number] != spaces[number - 1])
