"""`fakecluster replay`: a capture's packets into a cluster made from manifests."""

from __future__ import annotations

import csv
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fakecluster.cli.options import Family, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, counted, give
from fakecluster.cluster import Cluster
from fakecluster.fabric.captures import MAGICS, CaptureError
from fakecluster.proxy.config import MODES
from fakecluster.replay import Replay, Verdict, replay, spread

DIFFERENT = 1
#: Flows that the table shows; --output json has them all.
FLOWS_SHOWN = 40
#: How long a Dask scheduler is waited for.
DASK_TIMEOUT_S = 10


At = Annotated[str, typer.Option("--at", help="The interface: a:eth0, pod/web-1, outside.")]
CompareAt = Annotated[str, typer.Option("--compare-at", help="Where the second capture was taken (--at).")]
Dask = Annotated[str, typer.Option("--dask", help="Spread over a Dask scheduler: tcp://HOST:PORT.")]
Map = Annotated[list[str] | None, typer.Option("--map", help="Readdress: 10.1.2.3=pod/web-1 (repeatable).")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=256, help="Spread the flows over processes.")]
Verdicts = Annotated[
    Path | None, typer.Option("--verdicts", help="Write every packet's own end (CSV), going every packet's way.")
]
Write = Annotated[Path | None, typer.Option("--write", "-w", help="Write a pcapng with comments.")]


def replay_command(
    manifests: Annotated[list[Path], typer.Argument(help="Manifest files or folders, then the capture (- is stdin).")],
    at: At,
    mapping: Map = None,
    compare: Annotated[str, typer.Option("--compare", help="A proxy mode, manifests, or a second capture.")] = "",
    compare_at: CompareAt = "",
    workers: Workers = 1,
    dask: Dask = "",
    write: Write = None,
    verdicts: Verdicts = None,
    isolate: Annotated[bool, typer.Option("--isolate", help="Nothing leaves the interface.")] = False,
    mend: Annotated[bool, typer.Option("--mend-checksums", help="Correct checksums (offloading cards).")] = False,
    output: Output = "",
    file: OutputFile = None,
    proxy: Proxy = "iptables",
    nodes: Nodes = 2,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Replay a capture at an interface: every packet's end, a table of flows, and what is not as recorded.

    Exits 1 when something differs, 2 when the capture is damaged (what came before is printed).

    Examples:

      fakecluster replay shop.yaml node-a.pcap --at a:eth0 --compare nftables --write out.pcapng

      tcpdump -w - -i eth0 | fakecluster replay shop.yaml - --at a:eth0 --map 10.1.2.3=pod/web-1

      fakecluster replay shop.yaml node-a.pcap --at a:eth0 --compare pod.pcap --compare-at pod/web-1
    """
    if len(manifests) < 2:
        raise UsageError("expected manifests, and the capture last")
    *folders, capture = manifests
    options: dict[str, Any] = {"at": at, "mapping": _mapping(mapping or []), "isolate": isolate, "mend_checksums": mend}
    cluster = cluster_of(folders, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    alone = {"against": _other(compare, compare_at, cluster), "against_at": compare_at, "output": write}
    with _faults(lambda part: _give(part, output, file), (write, verdicts)):
        if workers == 1 and not dask:
            result = _run(cluster, capture, verdicts, **alone, **options)
        else:
            result = _spread(cluster, capture, workers, dask, none_of=[*alone.values(), verdicts], **options)
    _give(result, output, file)
    if result.difference_count:
        raise typer.Exit(DIFFERENT)


@contextmanager
def _faults(give_part: Callable[[Replay], None], written: tuple[Path | None, ...]) -> Iterator[None]:
    """What can go wrong, in words; of a damaged capture what came before is given."""
    try:
        yield
    except CaptureError as damaged:
        if isinstance(damaged.replay, Replay) and damaged.replay.packets:
            give_part(damaged.replay)
        raise
    except LookupError as missing:
        raise UsageError(f"--at {missing}") from None
    except OSError as failed:
        files = [str(one) for one in written if one is not None]
        if not files or isinstance(failed, BrokenPipeError):
            raise
        raise UsageError(f"{failed.filename or ' or '.join(files)}: {failed.strerror}") from None


def _other(compare: str, at: str, cluster: Cluster) -> Cluster | Path | None:
    """What to compare with: the same cluster in another mode, one of other manifests, or a second capture."""
    path = Path(compare)
    if compare and compare not in MODES and path.is_file() and _is_capture(path):
        return path
    if at:
        raise UsageError("--compare-at says where a second capture was taken: --compare is to name that capture")
    if not compare:
        return None
    if compare in MODES:  # also where a folder is called so: that is ./ipvs
        return cluster.fork(proxy=compare)
    if path.exists():
        spec = cluster.spec
        seed = getattr(cluster.choices, "seed", 0)
        return cluster_of([path], nodes=len(spec.nodes), proxy=spec.proxy, family=spec.ip_family, seed=seed)
    raise UsageError(f"--compare {compare!r}: neither a file nor a proxy mode ({', '.join(MODES)})")


def _is_capture(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in MAGICS


def _spread(
    cluster: Cluster, capture: Path, workers: int, dask: str, *, none_of: list[object], **options: Any
) -> Replay:  # fmt: skip
    """Replay on several processes, or on the workers of a Dask scheduler; `none_of` is what may not be asked for then."""
    if any(none_of) or str(capture) == "-":
        raise UsageError("--workers and --dask read a file by themselves: not with -, --compare, --write or --verdicts")
    if not dask:
        with ProcessPoolExecutor(workers) as pool:
            return spread(cluster, capture, executor=pool, count=workers, **options)
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError as missing:
        raise UsageError(f"{missing}; install fakecluster[dask]") from None
    try:
        client = distributed.Client(dask, timeout=DASK_TIMEOUT_S)
    except (OSError, ValueError) as failed:
        raise UsageError(f"--dask {dask}: {failed}") from None
    with client:
        count = max(workers, len(client.scheduler_info()["workers"]))
        return spread(cluster, capture.absolute(), executor=client, count=count, **options)


@contextmanager
def _verdicts_to(path: Path | None) -> Iterator[Callable[[Verdict], None] | None]:
    """What every packet's verdict is told to: lines of a CSV file."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("packet", "time_s", "verdict"))
        yield lambda one: lines.writerow((one.packet, one.time_text, str(one)))


def _mapping(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        source, equals, target = word.partition("=")
        if not equals or not source or not target:
            raise UsageError(f"--map {word!r}: expected ADDRESS=TARGET")
        found[source] = target
    return found


def _run(cluster: Cluster, capture: Path, verdicts: Path | None, **options: Any) -> Replay:
    """Replay with a bar on a terminal."""
    gc.freeze()  # the cluster stays until the end: it need not be looked through for garbage again and again
    with _verdicts_to(verdicts) as told:
        if str(capture) == "-":
            return replay(cluster, sys.stdin.buffer, told=told, **options)
        with _watched(capture) as source:
            return replay(cluster, source, told=told, **options)


@contextmanager
def _watched(capture: Path) -> Iterator[_Watched]:
    """A capture that moves a bar on a terminal while it is read. Raises `CaptureError`."""
    try:
        size, file = capture.stat().st_size, capture.open("rb")
    except OSError as failed:
        raise CaptureError(failed.strerror or str(failed), source=str(capture)) from None
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with file, Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"replay {capture.name}", total=size)
        yield _Watched(file, lambda count: progress.advance(task, count))


class _Watched:
    """A file that says how much was read of it."""

    def __init__(self, file: BinaryIO, told: Any) -> None:
        self.file, self.told, self.name = file, told, file.name

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.told(len(data))
        return data


def _give(result: Replay, output: str, file: Path | None) -> None:
    give(Answer("fakecluster replay", lambda console: _print(console, result), lambda: as_json(result)), output, file)


def as_json(result: Replay) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "at": result.at,
        "packets": result.packets,
        "injected": result.injected,
        "recorded": result.recorded,
        "fates": [{"end": str(fate), "packets": count} for fate, count in result.fates.most_common()],
        "flows": [
            {"flow": str(flow.key), "first": flow.first, "packets": flow.packets, "bytes": flow.octets,
             "answers": flow.answers, "ends": {str(fate): count for fate, count in flow.fates.items()}}
            for flow in result.flows
        ],
        "differences": [
            {"packet": one.packet, "what": one.what, "expected": one.expected, "got": one.got}
            for one in result.differences
        ],
        "warnings": result.warnings,
    }  # fmt: skip


def _print(console: Console, result: Replay) -> None:
    console.print(
        f"{result.injected} of {counted(result.packets, 'packet')} injected at {result.at}, "
        f"{counted(result.sent, 'answer')}, {counted(result.flow_count, 'flow')}"
    )
    shown = result.flows[:FLOWS_SHOWN]
    fits = max((len(str(flow.key)) for flow in shown), default=0) <= console.width // 2
    table = Table(box=None, pad_edge=False)
    table.add_column("flow", overflow="fold", no_wrap=fits)  # what is long in a row is its end: that is folded first
    table.add_column("packets", justify="right")
    table.add_column("answers", justify="right")
    table.add_column("end", overflow="fold")
    for flow in shown:
        ends = "\n".join(f"{fate}" + (f" ({count})" if len(flow.fates) > 1 else "")
                         for fate, count in flow.ends)  # fmt: skip
        good = flow.fate.what in ("delivered", "transmitted")
        table.add_row(str(flow.key), str(flow.packets), str(flow.answers), Text(ends, style="" if good else "red"))
    console.print(table)
    if result.flow_count > FLOWS_SHOWN:
        console.print(f"... {result.flow_count - FLOWS_SHOWN} more flows")
    for words, count in result.warnings.items():
        console.print(Text(f"{counted(count, 'time')}: {words}", style="yellow"))
    for one in result.differences[:FLOWS_SHOWN]:
        console.print(Text(str(one), style="bold red"))
    console.print(counted(result.difference_count, "difference"))
