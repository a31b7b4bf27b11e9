"""What a failing test prints and leaves about its clusters: a script, seed, choices, traces, rules, captures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from fakecluster import Cluster
    from fakecluster.trace import Hop

#: Packets whose traces a report at level `last` shows, the newest last.
TRACES_SHOWN = 3
#: Lines of a script (manifests and what was done) that are printed; the artifacts hold all of them.
SCRIPT_LINES = 150
#: Characters of a folder's name; with what is added to them they are still fewer than file systems allow.
LONGEST_NAME = 150


def leave_insides_out(error: BaseException) -> None:
    """End the traceback of what the package refuses on purpose in the caller's line; bugs of ours keep all of theirs."""
    from fakecluster.errors import FakeclusterError

    last, entry = None, error.__traceback__
    while entry is not None:
        last = entry if not _is_inside(entry) else last
        entry = entry.tb_next
    if last is not None and isinstance(error, FakeclusterError):
        last.tb_next = None


def _is_inside(entry: TracebackType) -> bool:
    module = str(entry.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("fakecluster", "pytest_fakecluster")


def sections(cluster: Cluster, level: str = "last", *, is_told: bool = False, told: str = "") -> list[tuple[str, str]]:
    """(title, text) pairs to append to a pytest report; `is_told`: the script stands elsewhere in it; `told`: the error's
    own words, which hold the trace of a connection that failed."""
    found = [("fakecluster seed and choices", f"{cluster!r}\n{cluster.choices!r}\n{choices_text(cluster)}")]
    if not is_told:
        lines = cluster.script().splitlines()
        more = len(lines) - SCRIPT_LINES
        cut = [f"# ... {more} more lines: --fakecluster-artifacts=DIR leaves all of them"] if more > 0 else []
        found.append(("fakecluster manifests and script", "\n".join(lines[:SCRIPT_LINES] + cut)))
    shown = {"none": 0, "last": TRACES_SHOWN, "all": len(cluster.traces)}[level]
    traces = cluster.traces[-shown:] if shown else []
    found += [("fakecluster trace", text) for text in map(str, traces) if text not in told]
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


def leave_artifacts(folder: Path, nodeid: str, clusters: list[Cluster]) -> str:
    """Write a failing test's artifacts; returns what the report says of it: the files, or why there are none."""
    try:
        return "\n".join(map(str, write_artifacts(folder, nodeid, clusters)))
    except OSError as problem:
        return f"could not be written: {problem}"


def folder_name(nodeid: str) -> str:
    """A name for a test's folder that no other test has, short enough for file systems."""
    plain = nodeid.replace("::", ".").replace("/", ".")
    name = re.sub(r"[^\w.,=\[\]-]+", "_", plain)[:LONGEST_NAME]
    return name if name == plain else f"{name}-{crc32(nodeid.encode()):08x}"


def write_artifacts(folder: Path, nodeid: str, clusters: list[Cluster]) -> list[Path]:
    """Write manifest, traces and a capture of each cluster below `folder`; returns the files."""
    from fakecluster.fabric.pcap import write_pcap

    name = folder_name(nodeid)
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
            (place / file).write_text(text, encoding="utf-8")
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
body {{ font: 14px system-ui, sans-serif; margin: 2em auto; padding: 0 2em; max-width: 110em }}
pre {{ background: #f6f8fa; padding: 1em; overflow-x: auto; font-size: 12px }}
summary {{ cursor: pointer; font-weight: 600 }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }} pre {{ background: #1c1f24 }} }}
</style></head>
<body><h1>fakecluster traces of failing tests</h1>
{body}
</body></html>
"""


def html_section(nodeid: str, failure: str, clusters: list[Cluster]) -> str:
    """One failing test as HTML: what pytest says of it, and its clusters."""
    parts = [f"<h2>{html.escape(nodeid)}</h2>", f"<pre>{html.escape(failure)}</pre>"]
    for cluster in clusters:
        for title, text in sections(cluster, "all"):
            parts.append(f"<details open><summary>{html.escape(title.removeprefix('fakecluster '))}</summary>")
            parts.append(f"<pre>{html.escape(text)}</pre></details>")
    return "\n".join(parts)


def write_html(page: Path, sections: list[str]) -> None:
    """Write the page."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(_PAGE.format(body="\n".join(sections) or "<p>No test with a cluster failed.</p>"), encoding="utf-8")
