"""What every part of a kubelet works with: its node's name, the API, the clock, the runtime, and the Pods it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import Client
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.kubelet.run import ContainerRun, PodRun
from fakecluster.controllers.kubelet.status import pod_status
from fakecluster.controllers.timestamps import rfc3339

if TYPE_CHECKING:
    from fakecluster.controllers.events import EventRecorder
    from fakecluster.controllers.runtime import PodRuntime
    from fakecluster.controllers.scheduler.snapshot import NodeInfo
    from fakecluster.sim import Clock

Json = dict[str, Any]
#: what the API server did not take is said again (pkg/kubelet/status syncPeriod)
PUBLISH_AGAIN_S = 10.0


def target(node_name: str) -> str:
    """The clock target of a node's kubelet."""
    return f"kubelet@{node_name}"


@attrs.define
class Host:
    """One node, seen by its kubelet; `pods` (by uid) and what the unfinished ones use is all that changes."""

    node_name: str
    client: Client
    clock: Clock
    runtime: PodRuntime
    events: EventRecorder
    pods: dict[str, PodRun]
    usage: NodeInfo
    #: how far the node's clock is ahead
    clock_skew_s: int = 0

    @property
    def unix_s(self) -> int:
        """What the node's clock says: seconds since 1970."""
        return self.clock.unix_s + self.clock_skew_s

    @property
    def now(self) -> str:
        """The same as it is written into objects."""
        return rfc3339(self.unix_s)

    def fork(self, client: Client, clock: Clock, runtime: PodRuntime, events: EventRecorder) -> Host:
        """The same node of a copied cluster."""
        return Host(self.node_name, client, clock, runtime, events, self.pods.copy(), self.usage.fork())

    def after(self, delay_s: float, *payload: object) -> None:
        """Let the kubelet handle `payload` in a while."""
        self.clock.schedule(target(self.node_name), payload, delay_s=delay_s)

    def keep(self, run: PodRun) -> PodRun:
        self.pods[run.uid] = run
        return run

    def container(self, uid: str, name: str) -> ContainerRun | None:
        """A container of a Pod that this kubelet still knows."""
        run = self.pods.get(uid)
        return None if run is None else run.containers.get(name)

    def keep_container(self, uid: str, container: ContainerRun) -> PodRun:
        return self.keep(self.pods[uid].with_container(container))

    @property
    def ips(self) -> list[str]:
        """The node's InternalIP addresses, as its Node object says; at most one of each family."""
        node = self.client.server.store.get("nodes", "", self.node_name)
        if node is None:
            return []
        addresses = (node.get("status") or {}).get("addresses") or []
        internal = [one["address"] for one in addresses if one["type"] == "InternalIP"]
        by_family = {":" in address: address for address in reversed(internal)}
        return sorted(by_family.values(), key=internal.index)

    def publish(self, uid: str) -> None:
        """Write a Pod's status if it says anything new."""
        run = self.pods[uid]
        meta = run.pod["metadata"]
        stored = self.client.server.store.get("pods", meta["namespace"], meta["name"])
        if stored is None or stored["metadata"]["uid"] != uid:
            return
        if stored is not run.pod:
            run = self.keep(attrs.evolve(run, pod=stored))
        status = pod_status(run, self.ips, self.now)
        if status != stored.get("status"):
            try:
                stored = self.client.update_status("pods", {**stored, "status": status})
            except ApiFault:  # the status manager says it again at its next round
                self.after(PUBLISH_AGAIN_S, "publish", uid)
                return
            self.keep(attrs.evolve(run, pod=stored))
