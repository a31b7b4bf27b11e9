"""A walk as one HTML page without anything from elsewhere: the picture, and for every step that is clicked what happened.

Every step's detail stands in the page; the script only shows the one that was picked. Without scripts all are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from ipaddress import ip_address
from pathlib import Path

from fakecluster.drawing.svg import STYLE, THEME, drawing
from fakecluster.explaining.explanation import Explanation, Neighbour
from fakecluster.explaining.names import Names
from fakecluster.kernel.packet import PROTOCOL_NAMES, BadPacket, Skb
from fakecluster.trace import ChainEnd, Hop, Note, Rewrite, RuleStep, Step, summary, walks

_HERE = Path(__file__).parent
_GOOD = {"transmitted": "good", "delivered": "good"}


def page(explanation: Explanation, *, title: str = "") -> str:
    """The page; `title` is what stands at its top (default: the packet)."""
    trace, names = explanation.trace, explanation.names
    packet = names.in_text(summary(trace.hops[0].packet_in)) if trace.hops else "no packet"
    kind = _GOOD.get(trace.way[-1].verdict.what, "bad") if trace.hops else "bad"
    body = "\n".join(
        [
            f'<header><h1>{escape(title or packet)}</h1><p class="end {kind}">{escape(explanation.end)}</p></header>',
            _legend(explanation),
            '<main><div class="pictures">',
            *_pictures(explanation),
            *_asides(explanation),
            '</div><aside class="details" aria-live="polite">',
            '<p class="hint">Pick a step in the picture: what happened there, with which packet, and why the rules '
            "beside it did not match. ← and → go from step to step.</p>",
            *_details(explanation),
            "</aside></main>",
            f"<details class='text'><summary>Everything as text</summary><pre>{escape(str(explanation))}</pre></details>",
        ]
    )
    style = THEME + STYLE + (_HERE / "page.css").read_text()
    script = (_HERE / "page.js").read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title or packet)}</title>\n'
        f"<style>{style}</style>\n<noscript><style>.detail, .picture {{ display: block !important }}</style></noscript>\n"
        f"</head><body>\n{body}\n<script>{script}</script>\n</body></html>\n"
    )


def _legend(explanation: Explanation) -> str:
    known = explanation.names.used_in(explanation.trace)
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(address)}</dd>" for address, name in known.items())
    return f'<dl class="names">{items}</dl>' if known else ""


def _asides(explanation: Explanation) -> Iterator[str]:
    if explanation.changes:
        items = "".join(
            f"<li><span>{escape(one.change)}</span> <b>{escape(explanation.names.in_text(one.end))}</b></li>"
            for one in explanation.changes
        )
        yield f'<section class="changes"><h2>What would have led elsewhere</h2><ul>{items}</ul></section>'
    if explanation.lookup:
        yield f'<section class="lookup"><h2>The name</h2><ul>{_items(explanation.lookup)}</ul></section>'


def _items(texts: tuple[str, ...]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def _pictures(explanation: Explanation) -> Iterator[str]:
    """A picture for every packet, and tabs when there are several."""
    numbers = {id(hop): number for number, hop in enumerate(explanation.trace.hops)}
    found = walks(explanation.trace.hops)
    if len(found) > 1:
        packets = [escape(explanation.names.in_text(summary(walk[0].packet_in))) for walk in found]
        tabs = "".join(
            f'<button role="tab" data-walk="{number}">{number + 1}. {packets[number]}'
            f' <i class="{_GOOD.get(walk[-1].verdict.what, "bad")}">{escape(walk[-1].verdict.what)}</i></button>'
            for number, walk in enumerate(found)
        )
        yield f'<nav role="tablist">{tabs}</nav>'
    for number, walk in enumerate(found):
        picture = drawing(walk, names=explanation.names, numbers=[numbers[id(hop)] for hop in walk])
        yield f'<div class="picture" data-walk="{number}">{picture}</div>'


# --- details


def _details(explanation: Explanation) -> Iterator[str]:
    near: dict[tuple[int, int], list[Neighbour]] = {}
    for one in explanation.neighbours:
        near.setdefault((one.hop, one.step), []).append(one)
    for number, hop in enumerate(explanation.trace.hops):
        packet = _Packet(hop)
        for at, step in enumerate(hop.steps):
            packet.take(step)
            beside = near.get((number, at), [])
            yield _detail(f"{number}-{at}", hop, step, packet, beside, explanation.names)


class _Packet:
    """The packet's fields as they are after each step, and which of them the step changed."""

    def __init__(self, hop: Hop) -> None:
        self.fields: dict[str, str] = {}
        self.changed = ""
        try:
            skb = Skb(hop.packet_in)
        except BadPacket:
            return
        size = 4 if skb.family == 4 else 16
        self.fields = {"protocol": PROTOCOL_NAMES.get(skb.proto, str(skb.proto))}
        self.fields |= {name: str(ip_address(end.to_bytes(size))) for name, end in (("src", skb.src), ("dst", skb.dst))}
        if skb.has_ports:
            self.fields |= {"sport": str(skb.sport), "dport": str(skb.dport)}
        self.fields |= {"ttl": str(skb.ttl), "mark": "0x0", "in": hop.iif or "-", "out": hop.oif or "-"}

    def take(self, step: Step) -> None:
        self.changed = ""
        if isinstance(step, Rewrite) and step.field in self.fields:
            self.fields[step.field], self.changed = step.after, step.field
        elif isinstance(step, RuleStep | ChainEnd) and self.fields:
            mark = f"{step.mark:#x}"
            self.changed = "mark" if mark != self.fields["mark"] else ""
            self.fields["mark"] = mark


def _detail(name: str, hop: Hop, step: Step, packet: _Packet, near: list[Neighbour], names: Names) -> str:
    title, body = _words(step, names)
    cells = "".join(
        f'<tr{" class=changed" if field == packet.changed else ""}><th>{field}</th><td>{escape(value)}'
        f'{_named(value, names)}</td></tr>'
        for field, value in packet.fields.items()
    )  # fmt: skip
    parts = [
        f'<article class="detail" id="step-{name}" data-step="{name}">',
        f'<p class="place">{escape(hop.namespace)} · {escape(step.hook or "kernel")}</p><h2>{escape(title)}</h2>{body}',
    ]
    if near:
        parts += ["<h3>Rules before it that did not match</h3><ul class='near'>"]
        parts += [
            f"<li><p class='where'>{escape(one.chain)} #{one.rule}</p><code>{escape(one.text)}</code>"
            f"<p class='why'>{escape(names.in_text(one.why))}</p></li>"
            for one in near
        ]
        parts += ["</ul>"]
    parts += [f"<h3>The packet then</h3><table>{cells}</table></article>"]
    return "".join(parts)


def _named(value: str, names: Names) -> str:
    name = names.of_address.get(value, "")
    return f" <i>{escape(name)}</i>" if name else ""


def _words(step: Step, names: Names) -> tuple[str, str]:
    """The title and the body of a step."""
    match step:
        case RuleStep():
            kind = {"accept": "good", "drop": "bad"}.get(step.verdict, "")
            return (
                f"{step.chain} #{step.rule}",
                f'<p class="table">{escape(step.table)}</p><code>{escape(step.text)}</code>'
                f'<p class="verdict {kind}">{escape(step.verdict)}</p>',
            )
        case ChainEnd():
            words = "The policy decides" if step.end == "policy" else "No further rule of the chain matched"
            return (
                step.chain,
                f'<p class="table">{escape(step.table)}</p><p class="verdict">{words}: {step.verdict}</p>',
            )
        case Rewrite():
            before, after = escape(names.in_text(step.before)), escape(names.in_text(step.after))
            return f"{step.why}: {step.field}", f'<p class="verdict"><s>{before}</s> → <b>{after}</b></p>'
        case Note():
            return step.kind, f"<p>{escape(names.in_text(' '.join(step.text.split())))}</p>"
