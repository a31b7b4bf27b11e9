"""A walk as a Mermaid flowchart (https://mermaid.js.org), for pages that draw it themselves: issues, wikis, Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.drawing.lanes import ENDS, Lane, Station, lane
from fakecluster.explaining.names import NO_NAMES, Names
from fakecluster.trace import Hop, summary

_STYLES = {"good": "fill:#dafbe1,stroke:#1a7f37,color:#1f2328", "bad": "fill:#ffebe9,stroke:#cf222e,color:#1f2328",
           "odd": "fill:#fff8c5,stroke:#9a6700,color:#1f2328"}  # fmt: skip
#: Lines of a station that decided nothing are left out.
_TOLD = frozenset(("rule", "good", "bad", "odd", "rewrite", "note"))


def mermaid(hops: tuple[Hop, ...], *, names: Names = NO_NAMES) -> str:
    """One packet's walk: a subgraph for every namespace, a node for every hook that did something."""
    return "\n".join(_lines([lane(number, hop, names) for number, hop in enumerate(hops)], names)) + "\n"


def _lines(lanes: list[Lane], names: Names) -> Iterator[str]:
    yield "flowchart LR"
    before, links = "", []
    for one in lanes:
        label = f"{one.hop.namespace}: {names.in_text(summary(one.hop.packet_in))}"
        yield f'  subgraph hop{one.number}["{_quoted(label)}"]'
        yield "    direction LR"
        for number, station in enumerate(one.stations):
            name = f"s{one.number}_{number}"
            yield f"    {name}{_shape(station)}"
            if before:
                links.append(f"  {before} --> {name}")
            before = name
        yield "  end"
    yield from links
    for kind, style in _STYLES.items():
        yield f"  classDef {kind} {style}"
    for one in lanes:
        kind = ENDS.get(one.hop.verdict.what, "odd")
        if one.stations[-1].kind == "end":
            yield f"  class s{one.number}_{len(one.stations) - 1} {kind}"


def _shape(station: Station) -> str:
    rows = [row.text for row in station.rows if row.kind in _TOLD]
    text = "<br/>".join(_quoted(one) for one in (station.title, *rows))
    opening, closing = {"port": ("([", "])"), "route": ("{{", "}}"), "end": ("[[", "]]")}.get(station.kind, ("[", "]"))
    return f'{opening}"{text}"{closing}'


def _quoted(text: str) -> str:
    """Mermaid's own escapes, within quotes."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
