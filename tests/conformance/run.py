"""Replay recordings of the real thing: `python tests/conformance/run.py FILE-OR-FOLDER...`

Reads plain JSON files and the archives (`*.tar.xz`) of this folder alike, dispatches on each file's `area`, prints one
line per failure (file, step, what differs) and ends with `N passed, M failed, K unsupported`. Exit status 0 only when
nothing failed and nothing was unsupported.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tarfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from replay.result import NotReplayable, Recording

from fakecluster.errors import Unsupported

#: area of a recording -> the module in `replay/` whose `replay(recording)` yields its differences
AREAS = {
    "netfilter/iptables": "netfilter",
    "netfilter/nftables": "netfilter",
    "ipvs": "ipvs",
    "kubeproxy/iptables": "kubeproxy",
    "kubeproxy/nftables": "kubeproxy",
    "kubeproxy/ipvs": "kubeproxy_ipvs",
    "api": "api",
    "controllers": "controllers",
    "kubectl": "kubectl",
    "dns": "dns",
    "env": "env",
    "selectors": "selectors",
}
#: Differences printed per file; the rest is counted.
SHOWN = 5


def recordings(path: Path) -> Iterator[Recording]:
    """Every recording below `path`: a JSON file, an archive of them, or a folder of both."""
    if path.is_dir():
        for child in sorted(path.rglob("*")):
            if child.suffix == ".json" or child.name.endswith(".tar.xz"):
                yield from recordings(child)
    elif path.name.endswith(".tar.xz"):
        with tarfile.open(path) as archive:
            files = {
                member.name: stream.read()
                for member in archive
                if member.isfile() and member.name.endswith(".json") and (stream := archive.extractfile(member))
            }
        for name in sorted(files):
            yield from _recording(f"{path}!{name}", files[name], _archive_reader(files, name))
    else:
        yield from _recording(str(path), path.read_bytes(), lambda name: json.loads((path.parent / name).read_bytes()))


def _archive_reader(files: dict[str, bytes], name: str) -> Any:
    folder = name.rpartition("/")[0]
    return lambda sibling: json.loads(files[f"{folder}/{sibling}" if folder else sibling])


def _recording(name: str, text: bytes, sibling: Any) -> Iterator[Recording]:
    data = json.loads(text)
    if isinstance(data, dict) and "area" in data:
        yield Recording(name, data["area"], data, sibling)


def outcome(recording: Recording) -> tuple[str, list[str]]:
    """Replay one recording: ("passed" | "failed" | "unsupported", lines that say why)."""
    module = AREAS.get(recording.area)
    if module is None:
        return "unsupported", [f"{recording.name}: area {recording.area!r} is not known"]
    try:
        found = [
            f"{recording.name}: {d.step}: {d.text}"
            for d in importlib.import_module(f"replay.{module}").replay(recording)
        ]
    except NotReplayable:
        return "skipped", []
    except Unsupported as gap:
        return "unsupported", [f"{recording.name}: {gap}"]
    except ModuleNotFoundError as missing:
        return "unsupported", [f"{recording.name}: {missing}"]
    except Exception as bug:
        where = traceback.extract_tb(bug.__traceback__)[-1]
        found = [f"{recording.name}: {type(bug).__name__}: {bug} ({Path(where.filename).name}:{where.lineno})"]
    return ("failed", found) if found else ("passed", [])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--all", action="store_true", help="print every difference, not the first few of a file")
    options = parser.parse_args(argv)
    counts: Counter[str] = Counter()
    for path in options.paths:
        if not path.exists():
            parser.error(f"{path}: no such file or folder")
        for recording in recordings(path):
            result, lines = outcome(recording)
            counts[result] += 1
            for line in lines if options.all else lines[:SHOWN]:
                print(f"{result.upper()} {line}")
            if len(lines) > SHOWN and not options.all:
                print(f"{result.upper()} {recording.name}: ... and {len(lines) - SHOWN} more differences")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['unsupported']} unsupported")
    return 1 if counts["failed"] or counts["unsupported"] else 0


if __name__ == "__main__":
    sys.exit(main())
