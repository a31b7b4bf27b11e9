"""Draws docs/packet-path.svg: a packet's way through the hooks of two nodes, from the model's own hook table."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from fakecluster import Cluster
from fakecluster.kernel.hooks import Hook

WIDTH, BOX, LINE, GAP = 1180, 150, 17, 22
CAPTION = (
    "priority and name of everything on each hook, in the order in which it runs; "
    "replies walk back, and conntrack undoes the translation"
)
STYLE = """
text { font: 12px ui-monospace, Menlo, monospace; fill: #1f2328 }
.title { font: bold 13px system-ui, sans-serif } .small { font-size: 11px; fill: #57606a }
.node { fill: #f6f8fa; stroke: #d0d7de } .hook { fill: #ffffff; stroke: #0969da }
.pod { fill: #dafbe1; stroke: #1a7f37 }
.way { fill: none; stroke: #cf222e; stroke-width: 2.5; marker-end: url(#tip) }
"""


def hook_lines(mode: str) -> dict[Hook, list[str]]:
    """hook -> `priority name` of everything that stands there on a node in that proxy mode."""
    hooks = Cluster(nodes=1, proxy=mode).node("a").netns.hooks.entries[4]
    last = 2**31 - 1
    return {
        hook: [
            f"{'last' if entry.priority == last else entry.priority:>5} {entry.name.removesuffix('/' + hook.name)}"
            for entry in entries
        ]
        for hook, entries in hooks.items()
    }


def box(x: int, y: int, width: int, lines: list[str], title: str, kind: str) -> Iterator[str]:
    height = 26 + LINE * len(lines)
    yield f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
    yield f'<text class="title" x="{x + 8}" y="{y + 18}">{escape(title)}</text>'
    for number, line in enumerate(lines):
        yield f'<text class="small" x="{x + 8}" y="{y + 36 + LINE * number}">{escape(line)}</text>'


def way(*points: tuple[int, int]) -> str:
    return '<path class="way" d="M' + " L".join(f"{x},{y}" for x, y in points) + '"/>'


def node(x: int, name: str, hooks: dict[Hook, list[str]], what: dict[Hook, str]) -> Iterator[str]:
    """A node with the three hooks that a forwarded packet meets, and what kube-proxy's rules do there."""
    width = 3 * BOX + 4 * GAP
    yield f'<rect class="node" x="{x}" y="40" width="{width - 62}" height="250" rx="10"/>'
    yield f'<text class="title" x="{x + 12}" y="60">{escape(name)}</text>'
    for number, hook in enumerate((Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING)):
        left = x + 14 + number * (BOX + 6)
        yield from box(left, 80, BOX - 14, hooks[hook], hook.name, "hook")
        if number:
            yield way((left - 20, 100), (left - 2, 100))
        for line, text in enumerate(what.get(hook, "").split("\n")):
            yield f'<text class="small" x="{left}" y="{216 + 15 * line}">{escape(text)}</text>'


def svg() -> str:
    """The picture as text."""
    hooks = hook_lines("iptables")
    first = {
        Hook.PREROUTING: "KUBE-SERVICES\n> KUBE-SVC-...\n> KUBE-SEP-...\nDNAT to the Pod",
        Hook.FORWARD: "KUBE-FORWARD",
        Hook.POSTROUTING: "KUBE-POSTROUTING\nMASQUERADE if marked",
    }
    second = {Hook.FORWARD: "ESTABLISHED:\nACCEPT"}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 330" role="img" font-size="12">',
        "<title>A packet's way from a client Pod through the hooks of two nodes to a backend Pod</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#cf222e"/></marker></defs>',
        f'<rect width="{WIDTH}" height="330" fill="#ffffff"/>',
        *box(10, 110, 84, ["socket"], "client", "pod"),
        *node(112, "node a", hooks, first),
        *node(602, "node b", hooks, second),
        *box(1088, 110, 84, ["socket"], "web-1", "pod"),
        way((94, 128), (122, 128)),
        way((574, 100), (612, 100)),
        way((1064, 100), (1086, 118)),
        f'<text class="small" x="112" y="312">{CAPTION}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
