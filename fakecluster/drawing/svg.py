"""A walk as an SVG: lanes below each other, stations from left to right, the packet's way through them.

    node/b  22 rules walked                        the lane's name stands above its stations, however long it is
    ▸[veth6] ─ PREROUTING ─ routing ─ FORWARD ─ POSTROUTING ─ [eth0]─╮
    ╭────────────────────────────────────────────────────────────────╯
    │ node/a  18 rules walked
    ╰▸[eth0] ─ PREROUTING ─ ...
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from html import escape

import attrs

from fakecluster.drawing.lanes import Lane, Station, lane
from fakecluster.explaining.names import NO_NAMES, Names
from fakecluster.trace import Hop, summary

GAP, INDENT, MARGIN = 22, 34, 10
ROW, HEAD, NAME, PAD, LANE_GAP = 18, 26, 34, 10, 30
#: Where the stations of a lane begin, and the way comes down from the lane above it.
LEFT = MARGIN + INDENT
ENTRY = LEFT - 19
#: Pixels of a character in a row, in a title, in a lane's name; a station is as wide as its texts, within bounds.
CHARACTER, TITLE_CHARACTER, NAME_CHARACTER, NARROWEST, WIDEST = 6.35, 7.4, 8.6, 48, 272

#: Colours that follow the page's theme; an SVG of its own defines them itself.
THEME = """
:root { --ink: #1f2328; --dim: #59636e; --paper: #ffffff; --card: #f6f8fa; --line: #d1d9e0; --way: #0969da;
  --good: #1a7f37; --bad: #cf222e; --odd: #9a6700; --rewrite: #8250df; --pick: #ddf4ff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117; --card: #161b22;
  --line: #30363d; --way: #58a6ff; --good: #3fb950; --bad: #f85149; --odd: #d29922; --rewrite: #bc8cff;
  --pick: #12304f } }
"""
STYLE = """
.walk text { fill: var(--ink); font: 10.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.walk .lane { fill: var(--card); stroke: var(--line) } .walk .station { fill: var(--paper); stroke: var(--line) }
.walk .name { font: 600 14px system-ui, sans-serif } .walk .title { font: 600 11px system-ui, sans-serif }
.walk .sub { fill: var(--dim); font: 10.5px system-ui, sans-serif } .walk .heading { fill: var(--dim); font-style: italic }
.walk .quiet { fill: var(--dim) } .walk .note { fill: var(--way) } .walk .good { fill: var(--good) }
.walk .bad { fill: var(--bad); font-weight: 600 } .walk .odd { fill: var(--odd) } .walk .rewrite { fill: var(--rewrite) }
.walk .way { fill: none; stroke: var(--way); stroke-width: 2.5 } .walk .tip { fill: var(--way) }
.walk .port { fill: var(--paper); stroke: var(--way) }
.walk .end-good { fill: var(--paper); stroke: var(--good); stroke-width: 2 }
.walk .end-bad { fill: var(--paper); stroke: var(--bad); stroke-width: 2 }
.walk .end-odd { fill: var(--paper); stroke: var(--odd) }
.walk .hit { fill: transparent } .walk .step { cursor: pointer } .walk .step:hover .hit { fill: var(--pick) }
.walk .step.picked .hit { fill: var(--pick); stroke: var(--way) } .walk .step:focus { outline: none }
.walk .step:focus .hit { stroke: var(--way) }
"""
_TIP = (
    '<defs><marker id="{tip}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
    '<path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>'
)


def svg(hops: tuple[Hop, ...], *, names: Names = NO_NAMES) -> str:
    """One packet's walk (`Trace.way`, or one of `walks`) as an SVG of its own."""
    picture = drawing(hops, names=names)
    return picture.replace(">", f"><style>{THEME}{STYLE}</style>", 1)


def drawing(hops: tuple[Hop, ...], *, names: Names = NO_NAMES, numbers: Sequence[int] = ()) -> str:
    """The SVG for a page that has the styles; steps are called `HOP-STEP`, hops by `numbers` (default: from 0 on)."""
    numbers = numbers or range(len(hops))
    tip = f"tip{numbers[0] if numbers else 0}"  # a page has several pictures, and hidden ones lend no markers
    placed = list(_placed([lane(number, hop, names) for number, hop in zip(numbers, hops, strict=True)]))
    width = max((one.width for one in placed), default=0) + 2 * MARGIN
    height = placed[-1].y + placed[-1].height + MARGIN if placed else 0
    parts = [
        f'<svg class="walk" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(names.in_text(summary(hops[0].packet_in)) if hops else "")}">',
        _TIP.format(tip=tip),
    ]
    parts += [line for one in placed for line in _lane(one, width)]
    parts += [_between(one, other) for one, other in itertools.pairwise(placed)]
    return "\n".join([*parts, "</svg>"]).replace("url(#tip)", f"url(#{tip})")


@attrs.frozen
class _Placed:
    lane: Lane
    y: int
    height: int

    @property
    def width(self) -> int:
        stations = LEFT + sum(_width(one) + GAP for one in self.lane.stations)
        name = len(self.lane.hop.namespace) * NAME_CHARACTER + len(_walked(self.lane)) * CHARACTER
        return max(stations, LEFT + round(name) + 2 * GAP)

    @property
    def middle(self) -> int:
        """Where the way runs: at the height of the stations' titles."""
        return self.y + NAME + HEAD // 2

    def lefts(self) -> Iterator[tuple[int, Station]]:
        x = LEFT
        for station in self.lane.stations:
            yield x, station
            x += _width(station) + GAP


def _width(station: Station) -> int:
    texts = max((len(row.text) * CHARACTER for row in station.rows), default=0)
    return round(min(max(texts, len(station.title) * TITLE_CHARACTER, NARROWEST - 18) + 18, WIDEST))


def _placed(lanes: list[Lane]) -> Iterator[_Placed]:
    y = MARGIN
    for one in lanes:
        rows = max(len(station.rows) for station in one.stations)
        height = NAME + HEAD + ROW * rows + PAD + (6 if rows else 0)
        yield _Placed(one, y, height)
        y += height + LANE_GAP


def _lane(placed: _Placed, width: int) -> Iterator[str]:
    name, rules = escape(placed.lane.hop.namespace), _walked(placed.lane)
    beside = f'<tspan class="sub" dx="10">{rules}</tspan>' if rules else ""
    yield f'<rect class="lane" x="{MARGIN}" y="{placed.y}" width="{width - 2 * MARGIN}" height="{placed.height}" rx="10"/>'
    yield f'<text class="name" x="{LEFT}" y="{placed.y + 23}">{name}{beside}</text>'
    before = 0
    for x, station in placed.lefts():
        if before:
            yield f'<path class="way" marker-end="url(#tip)" d="M{before},{placed.middle} H{x - 2}"/>'
        yield from _station(x, placed, station)
        before = x + _width(station)


def _walked(shown: Lane) -> str:
    return f"{shown.hop.rules_walked} rules walked" if shown.hop.rules_walked else ""


def _station(x: int, placed: _Placed, station: Station) -> Iterator[str]:
    y, width = placed.y + NAME, _width(station)
    height = HEAD + (ROW * len(station.rows) + 6 if station.rows else 0)
    kind = {"port": "port", "end": f"end-{station.rows[0].kind if station.rows else 'good'}"}.get(
        station.kind, "station"
    )
    yield f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
    yield f'<text class="title" x="{x + 8}" y="{y + 17}">{escape(_cut(station.title, round(width / TITLE_CHARACTER)))}</text>'
    fit = round((width - 18) / CHARACTER)
    for number, row in enumerate(station.rows):
        top = y + HEAD + ROW * number
        text = f'<text class="{row.kind}" x="{x + 9}" y="{top + 12}">{escape(_cut_row(row.text, fit))}</text>'
        if row.step < 0:
            yield text
            continue
        yield (
            f'<g class="step" tabindex="0" role="button" data-step="{placed.lane.number}-{row.step}">'
            f"<title>{escape(row.text)}</title>"
            f'<rect class="hit" x="{x + 3}" y="{top - 1}" width="{width - 6}" height="{ROW}" rx="4"/>{text}</g>'
        )


def _between(one: _Placed, other: _Placed) -> str:
    """The link from the end of one lane to the beginning of the next."""
    right = max(x + _width(station) for x, station in one.lefts())
    bend, into = one.y + one.height + LANE_GAP // 2, other.middle
    return (
        f'<path class="way" marker-end="url(#tip)" d="M{right},{one.middle} H{right + 7} Q{right + 13},{one.middle} '
        f"{right + 13},{one.middle + 6} V{bend - 6} Q{right + 13},{bend} {right + 7},{bend} H{ENTRY + 6} "
        f'Q{ENTRY},{bend} {ENTRY},{bend + 6} V{into - 6} Q{ENTRY},{into} {ENTRY + 6},{into} H{LEFT - 2}"/>'
    )


def _cut_row(text: str, length: int) -> str:
    """A row that fits: of `CHAIN #3 → CHAIN` each side is shortened by itself, a short side less."""
    before, arrow, after = text.partition(" → ")
    if len(text) <= length or not arrow:
        return _cut(text, length)
    room = length - len(arrow)
    left = min(len(before), max(room // 2, room - len(after)))
    return f"{_cut(before, left)}{arrow}{_cut(after, room - left)}"


def _cut(text: str, length: int) -> str:
    """Shortened in the middle, where names of chains differ least."""
    if len(text) <= length:
        return text
    keep = length - 1
    return f"{text[: keep - keep // 3]}…{text[len(text) - keep // 3 :]}"
