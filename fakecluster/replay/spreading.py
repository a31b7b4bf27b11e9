"""One capture, many workers: each builds the same cluster, reads the whole file, and replays the flows of some addresses.

A worker gets a recipe (what the cluster was made of and what was applied) and says what it built by a digest, so that a
cluster that came about in another way is refused and not silently another one. As chance belongs to flows (`sim.Keyed`),
the merged result is that of one process; what flows of different clients share (an ipvs scheduler's turn, a rate limit
over all, the clock between their packets) is the exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from fakecluster.cluster import Cluster
from fakecluster.cluster.capturing import port_of
from fakecluster.errors import FakeclusterError
from fakecluster.fabric.captures import CaptureError
from fakecluster.fabric.namespaces import awake
from fakecluster.replay.parts import Part
from fakecluster.replay.preparing import AddressMap
from fakecluster.replay.replaying import Replayer, run
from fakecluster.replay.report import Replay, merged
from fakecluster.replay.sources import Packets

if TYPE_CHECKING:
    from fakecluster.cluster.spec import ClusterSpec

_COUNTERS = re.compile(r"\[\d+:\d+\]|packets \d+ bytes \d+")
_COMMANDS = (
    "ip address",
    "ip route",
    "iptables-save",
    "ip6tables-save",
    "nft list ruleset",
    "ipset save",
    "ipvsadm -Sn",
)


class SpreadError(FakeclusterError):
    """A replay cannot be spread: the cluster is not what a worker would build, or the source is no file."""


class Executor(Protocol):
    """What runs the parts: `concurrent.futures` executors and `distributed.Client` do."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any: ...


@attrs.frozen
class Recipe:
    """What a cluster is built from."""

    spec: ClusterSpec
    applied: tuple[Mapping[str, Any], ...]
    seed: int

    @classmethod
    def of(cls, cluster: Cluster) -> Recipe:
        return cls(cluster.spec, tuple(cluster.applied), getattr(cluster.choices, "seed", 0))

    def build(self) -> Cluster:
        spec = self.spec
        config = json.loads(spec.proxy_config) if spec.proxy_config else None
        cluster = Cluster(
            nodes=spec.nodes, proxy=spec.proxy, ip_family=spec.ip_family, proxy_config=config, dns=spec.dns,
            node_local_dns=spec.node_local_dns, kubernetes=spec.kubernetes, cni=spec.cni, seed=self.seed,
        )  # fmt: skip
        cluster.apply(list(self.applied))
        return cluster


@attrs.frozen
class Job:
    """What one worker does."""

    recipe: Recipe
    path: str
    at: str
    mapping: Mapping[str, str]
    isolate: bool
    mend: bool
    part: Part


def spread(
    cluster: Cluster, path: str | Path, *, at: str, executor: Executor, count: int,
    mapping: Mapping[str, str] | None = None, isolate: bool = False, mend_checksums: bool = False,
) -> Replay:  # fmt: skip
    """Replay a capture in `count` parts on an executor; the result is that of `replay`.

    Every worker must see the file. Raises `SpreadError`, and what `replay` does (a damaged file's `replay` is merged too).
    """
    port_of(cluster.network, at)  # fail here and not in a worker
    recipe = Recipe.of(cluster)
    jobs = [
        Job(recipe, str(path), at, dict(mapping or {}), isolate, mend_checksums, Part(n, count)) for n in range(count)
    ]
    futures = [executor.submit(work, job) for job in jobs]
    found = [future.result() for future in futures]
    if any(digest != digest_of(cluster) for digest, _, _ in found):
        raise SpreadError(
            "the cluster cannot be built again from what was applied to it (it was changed in other ways): "
            "replay it in one process"
        )
    result = merged(replay for _, replay, _ in found)
    damage = next((damage for _, _, damage in found if damage is not None), None)
    if damage is not None:
        damaged = CaptureError(damage[0], source=damage[1], offset=damage[2], packets=damage[3])
        damaged.replay = result
        raise damaged
    return result


def work(job: Job) -> tuple[str, Replay, tuple[str, str, int, int] | None]:
    """What a worker runs: the digest of its cluster, the replay of its part, and where the file was damaged."""
    cluster = job.recipe.build()
    digest = digest_of(cluster)
    replayer = Replayer(
        cluster, port_of(cluster.network, job.at), addresses=AddressMap.of(cluster, job.mapping), isolate=job.isolate,
        mend=job.mend, part=job.part,
    )  # fmt: skip
    try:
        run(Packets(job.path, interface=str(replayer.port)), replayer)
    except CaptureError as damaged:
        place = damaged.reason, damaged.source, damaged.offset, damaged.packets
        return digest, replayer.finish(), place
    for words in replayer.addresses.complaints():
        replayer.report.warn(words)
    return digest, replayer.finish(), None


def digest_of(cluster: Cluster) -> str:
    """What tells two clusters apart as far as packets are concerned: every host's addresses, routes and rules."""
    found = blake2b(digest_size=16)
    for netns in sorted(awake(cluster.network.namespaces), key=lambda netns: netns.name):
        found.update(netns.name.encode())
        for command in _COMMANDS:
            found.update(_COUNTERS.sub("", netns.run(command)).encode())
    return found.hexdigest()
