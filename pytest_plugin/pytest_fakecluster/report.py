"""What a failing test prints and leaves about its clusters: a script, seed, choices, traces, rules, captures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakecluster import Cluster
    from fakecluster.trace import Hop

#: Packets whose traces a report at level `last` shows, the newest last.
TRACES_SHOWN = 3
#: Lines of a script (manifests and what was done) that are printed; the artifacts hold all of them.
SCRIPT_LINES = 150


def sections(cluster: Cluster, level: str = "last", *, is_told: bool = False) -> list[tuple[str, str]]:
    """(title, text) pairs to append to a pytest report; `is_told`: the script stands elsewhere in it."""
    found = [("fakecluster seed and choices", f"{cluster!r}\n{cluster.choices!r}\n{choices_text(cluster)}")]
    if not is_told:
        lines = cluster.script().splitlines()
        more = len(lines) - SCRIPT_LINES
        cut = [f"# ... {more} more lines: --fakecluster-artifacts=DIR leaves all of them"] if more > 0 else []
        found.append(("fakecluster manifests and script", "\n".join(lines[:SCRIPT_LINES] + cut)))
    shown = {"none": 0, "last": TRACES_SHOWN, "all": len(cluster.traces)}[level]
    traces = cluster.traces[-shown:] if shown else []
    found += [("fakecluster trace", str(trace)) for trace in traces]
    rules = list(dict.fromkeys(rule for trace in traces for rule in rules_that_mattered(trace.hops)))
    if rules:
        found.append(("fakecluster rules that mattered", "\n".join(rules)))
    return found


def choices_text(cluster: Cluster) -> str:
    """Every decision that chance made, in order."""
    lines = [
        f"{choice.index} of {len(choice.weights)} (p = {choice.probability}): {choice.why}"
        for choice in cluster.choices.taken
    ]
    return "\n".join(lines) or "no choice was made"


def rules_that_mattered(hops: tuple[Hop, ...]) -> Iterator[str]:
    """The rules that decided something: not those that were jumped through."""
    from fakecluster.trace import RuleStep

    for hop in hops:
        for step in hop.steps:
            if isinstance(step, RuleStep) and not step.verdict.startswith(("jump", "return", "continue")):
                yield f"{hop.namespace}: {step.table}: -A {step.chain} {step.text}  => {step.verdict}"


def write_artifacts(folder: Path, nodeid: str, clusters: list[Cluster]) -> list[Path]:
    """Write manifest, traces and a capture of each cluster below `folder`; returns the files."""
    from fakecluster.fabric.pcap import write_pcap

    name = re.sub(r"[^\w.-]+", "_", nodeid)
    written: list[Path] = []
    for number, cluster in enumerate(clusters, 1):
        place = folder / (name if len(clusters) == 1 else f"{name}-{number}")
        place.mkdir(parents=True, exist_ok=True)
        texts = {
            "manifest.yaml": cluster.manifest(),
            "script.py": cluster.script(),
            "traces.txt": "\n\n".join(str(trace) for trace in cluster.traces),
            "choices.txt": f"{cluster!r}\n{cluster.choices!r}\n{choices_text(cluster)}\n",
        }
        for file, text in texts.items():
            (place / file).write_text(text)
            written.append(place / file)
        capture = place / "packets.pcap"
        hops = [hop for trace in cluster.traces for hop in trace.hops]
        epoch_ns = cluster.clock.epoch_s * 1_000_000_000
        write_pcap(capture, ((epoch_ns + hop.time_ns, hop.packet_in) for hop in hops if hop.packet_in))
        written.append(capture)
    return written


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>fakecluster traces</title>
<style>
body {{ font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 110em }}
pre {{ background: #f6f8fa; padding: 1em; overflow-x: auto; font-size: 12px }}
summary {{ cursor: pointer; font-weight: 600 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }} pre {{ background: #1c1f24 }} }}
</style></head>
<body><h1>fakecluster traces of failing tests</h1>
{body}
</body></html>
"""


def html_section(nodeid: str, clusters: list[Cluster]) -> str:
    """One failing test as HTML."""
    parts = [f"<h2>{html.escape(nodeid)}</h2>"]
    for cluster in clusters:
        for title, text in sections(cluster, "all"):
            parts.append(f"<details open><summary>{html.escape(title.removeprefix('fakecluster '))}</summary>")
            parts.append(f"<pre>{html.escape(text)}</pre></details>")
    return "\n".join(parts)


def write_html(path: str, sections: list[str]) -> None:
    """Write the page."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_PAGE.format(body="\n".join(sections) or "<p>No test with a cluster failed.</p>"))
