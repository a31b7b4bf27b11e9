"""`replay`: a capture into a cluster, from one call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fakecluster.cluster.capturing import port_of
from fakecluster.fabric.captures import CaptureError
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run
from fakecluster.replay.report import Replay
from fakecluster.replay.sources import Source, packets_of
from fakecluster.replay.writing import AnnotatedWriter

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster


def replay(
    cluster: Cluster,
    source: Source,
    *,
    at: str,
    mapping: Mapping[str, str] | None = None,
    against: Cluster | None = None,
    output: str | Path | None = None,
    isolate: bool = False,
    mend_checksums: bool = False,
) -> Replay:
    """Replay a capture (a path, bytes, a stream, Scapy packets) at an interface such as `a:eth0` or `pod/web-1`.

    `mapping` readdresses (`{"10.1.2.3": "pod/web-1"}`); `against` is another cluster that gets the same packets, so
    that differing ends show in `differences`; `output` a pcapng to write, with comments; `isolate` lets nothing leave
    the port; `mend_checksums` corrects those that an offloading card had not filled in yet.
    Raises `CaptureError` for a damaged file (its `replay` is what came before), LookupError, `MapError`.
    """
    port = port_of(cluster.network, at)
    first = _replayer(cluster, at, mapping, isolate, mend_checksums)
    others = [_replayer(against, at, mapping, isolate, mend_checksums)] if against is not None else []
    with ExitStack() as stack:
        writer = None
        if output is not None:
            writer = AnnotatedWriter(stack.enter_context(Path(output).open("wb")), port, cluster.clock)
            stack.callback(writer.finish)
        try:
            run(packets_of(source, interface=str(port)), first, others, writer)
        except CaptureError as damaged:
            damaged.replay = first.finish()
            raise
    return first.finish()


def _replayer(
    cluster: Cluster, at: str, mapping: Mapping[str, str] | None, isolate: bool, mend: bool
) -> Replayer:  # fmt: skip
    addresses = AddressMap.of(cluster, mapping or {})
    return Replayer(cluster, port_of(cluster.network, at), addresses=addresses, isolate=isolate, mend=mend)
