"""`replay`: a capture into a cluster, from one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from fakecluster.cluster import Cluster
from fakecluster.cluster.capturing import port_of
from fakecluster.fabric.captures import CaptureError
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run
from fakecluster.replay.report import Replay
from fakecluster.replay.second_capture import SecondCapture
from fakecluster.replay.sources import Packets, Source
from fakecluster.replay.verdicts import OneByOne, Verdict
from fakecluster.replay.writing import AnnotatedWriter

#: Bytes of the output that are written at once.
WRITE_BUFFER = 1 << 20


def replay(
    cluster: Cluster,
    source: Source,
    *,
    at: str,
    mapping: Mapping[str, str] | None = None,
    against: Cluster | Source | None = None,
    against_at: str = "",
    output: str | Path | None = None,
    isolate: bool = False,
    mend_checksums: bool = False,
    told: Callable[[Verdict], None] | None = None,
) -> Replay:
    """Replay a capture (a path, bytes, a stream, Scapy packets) at an interface such as `a:eth0` or `pod/web-1`.

    `mapping` readdresses (`{"10.1.2.3": "pod/web-1"}`). `against` is another cluster that gets the same packets, so that
    differing ends show in `differences`; or a second capture, which was taken at `against_at` (default: `at`) and is
    compared with what passes there. `output` is a pcapng to write, with comments; `isolate` lets nothing leave the port;
    `mend_checksums` corrects those that an offloading card had not filled in yet. `told` is called with every packet's verdict,
    which takes the time of going every packet's way step by step.
    Raises `CaptureError` for a damaged file (its `replay` is what came before), LookupError, `MapError`.
    """
    port = port_of(cluster.network, at)
    first = _replayer(cluster, at, mapping, isolate, mend_checksums, told)
    others, second = [], None
    if isinstance(against, Cluster):
        others = [_replayer(against, at, mapping, isolate, mend_checksums, None)]
    elif against is not None:
        second = SecondCapture(against, port_of(cluster.network, against_at or at))
    with ExitStack() as stack:
        writer = None
        if output is not None:
            file = stack.enter_context(Path(output).open("wb", buffering=WRITE_BUFFER))
            writer = AnnotatedWriter(file, port, cluster.clock)
        if second is not None:
            stack.enter_context(second.attached(cluster.network, first.report))
        try:
            run(Packets(source, interface=str(port)), first, others, writer)
        except CaptureError as damaged:
            damaged.replay = first.finish()
            raise
        if second is not None:
            second.settle(first.report)
    for words in first.addresses.complaints():
        first.report.warn(words)
    return first.finish()


def _replayer(
    cluster: Cluster, at: str, mapping: Mapping[str, str] | None, isolate: bool, mend: bool,
    told: Callable[[Verdict], None] | None,
) -> Replayer:  # fmt: skip
    port, addresses = port_of(cluster.network, at), AddressMap.of(cluster, mapping or {})
    if told is not None:
        return OneByOne(cluster, port, addresses=addresses, isolate=isolate, mend=mend, told=told)
    return Replayer(cluster, port, addresses=addresses, isolate=isolate, mend=mend)
