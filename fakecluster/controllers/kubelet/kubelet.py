"""The kubelet's loop: what happens to it, and which part of it that concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import Client
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.kubelet import admission, containers, probing, registration, termination
from fakecluster.controllers.kubelet.host import Host, target
from fakecluster.controllers.kubelet.run import new_run, with_ephemeral
from fakecluster.controllers.nodes import lifecycle
from fakecluster.controllers.scheduler.snapshot import NodeInfo, PodInfo

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.controllers.runtime import PodRuntime
    from fakecluster.sim import Clock, Event

Json = dict[str, Any]


class Kubelet:
    """Runs the Pods of one node through `runtime`; the clock target is `kubelet@<node>`.

    `start_delay_s` is what passes between a Pod's binding and its sandbox (images, volumes).
    """

    def __init__(
        self, node_name: str, api: ApiServer, clock: Clock, runtime: PodRuntime, *, start_delay_s: float = 0.0
    ) -> None:
        self.node_name, self.start_delay_s = node_name, start_delay_s
        client = Client(api, user=f"system:node:{node_name}", agent="kubelet")
        events = EventRecorder(client, clock, "kubelet", host=node_name)
        self._host = Host(node_name, client, clock, runtime, events, {}, NodeInfo(node_name))
        self._silence: Event | None = None
        self._inbox = api.watch(target(node_name), {"pods"}, node=node_name)
        clock.bind(target(node_name), self.handle)
        registration.renew_lease(self._host)

    def fork(self, api: ApiServer, clock: Clock, runtime: PodRuntime) -> Kubelet:
        """The kubelet of a copied cluster, with the same Pods running, bound to the copied clock."""
        copy = Kubelet.__new__(Kubelet)
        copy.node_name, copy.start_delay_s = self.node_name, self.start_delay_s
        client = Client(api, user=f"system:node:{self.node_name}", agent="kubelet")
        events = self._host.events.fork(client, clock)
        copy._host = Host(
            self.node_name, client, clock, runtime, events, self._host.pods.copy(), self._host.usage.fork()
        )
        copy._host.clock_skew_s = self._host.clock_skew_s
        copy._silence = self._silence
        copy._inbox = api.inbox(target(self.node_name))
        clock.bind(target(self.node_name), copy.handle)
        return copy

    def stop(self) -> None:
        """The kubelet falls silent: it died or is cut off. Its containers run on; nobody looks after them.

        Without heartbeats the node becomes NotReady after `lifecycle.GRACE_S`.
        """
        clock = self._host.clock
        if self._silence is None:
            clock.hold(target(self.node_name))
            self._silence = clock.schedule(lifecycle.TARGET, ("silent", self.node_name), delay_s=lifecycle.GRACE_S)

    def expect_silence(self) -> None:
        """The controller that waits for heartbeats began anew: of a silent kubelet it learns a grace period later."""
        if self._silence is not None:
            self._host.clock.cancel(self._silence)
            silent = ("silent", self.node_name)
            self._silence = self._host.clock.schedule(lifecycle.TARGET, silent, delay_s=lifecycle.GRACE_S)

    @property
    def is_silent(self) -> bool:
        return self._silence is not None

    @property
    def clock_skew_s(self) -> int:
        """How far the node's clock is ahead of the others'."""
        return self._host.clock_skew_s

    @clock_skew_s.setter
    def clock_skew_s(self, seconds: int) -> None:
        self._host.clock_skew_s = seconds

    def start(self) -> None:
        """A kubelet that was stopped is back: it catches up with what happened and posts its status."""
        clock = self._host.clock
        if self._silence is not None:
            clock.cancel(self._silence)
            self._silence = None
            clock.release(target(self.node_name))
            registration.renew_lease(self._host)
            registration.post_ready(self._host)

    def close(self) -> None:
        """The node is gone for good: the kubelet watches nothing and does nothing any more."""
        host = self._host
        host.client.server.store.unwatch(target(self.node_name))
        host.clock.unbind(target(self.node_name))

    def handle(self, payload: Any) -> None:
        """Take in changed Pods, an answer of the runtime, or a timer of the kubelet's own."""
        if payload == "watch":
            for event in self._inbox.take():
                self._notice(event)
        else:
            what, *details = payload
            HANDLERS[what](self._host, *details)

    def _notice(self, event: WatchEvent) -> None:
        pod = event.object
        if pod["spec"].get("nodeName") != self.node_name:
            return
        uid = pod["metadata"]["uid"]
        if event.type == "DELETED":
            termination.forget(self._host, uid)
        elif uid not in self._host.pods:
            newest = self._host.client.server.store.get("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            if newest is not None and newest["metadata"]["uid"] == uid:
                self._admit(newest)
        else:
            self._update(pod)

    def _admit(self, pod: Json) -> None:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        host = self._host
        node = host.client.server.store.get("nodes", "", self.node_name)
        info = PodInfo.of(pod)
        refused = admission.refusal(node, info, host.usage)
        host.usage.add(info)
        run = host.keep(new_run(pod, host.now))
        if refused is not None:
            host.events.warning(pod, *refused)
            containers.fail(host, run.uid, *refused)
        elif "deletionTimestamp" in pod["metadata"]:
            termination.terminate(host, run.uid)
        else:
            self._begin(pod)

    def _begin(self, pod: Json) -> None:
        host, uid = self._host, pod["metadata"]["uid"]
        if deadline_s := pod["spec"].get("activeDeadlineSeconds"):
            host.after(deadline_s, "deadline", uid)
        if self.start_delay_s:
            host.publish(uid)
        host.after(self.start_delay_s, "start", uid)  # each Pod has an event of its own

    def _update(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        run = self._host.pods[uid]
        if int(pod["metadata"]["resourceVersion"]) < int(run.pod["metadata"]["resourceVersion"]):
            return  # what we wrote, or read when we wrote, was later than this event
        known = pod is run.pod
        self._host.keep(attrs.evolve(run, pod=pod))
        if "deletionTimestamp" in pod["metadata"]:
            termination.terminate(self._host, uid)
            return
        termination.follow_images(self._host, uid)
        grown = with_ephemeral(self._host.pods[uid])
        if grown is not self._host.pods[uid] and grown.ips is not None:
            self._host.keep(grown)
            containers.advance_pod(self._host, uid)
        elif not known:
            self._host.publish(uid)  # readiness gates may have changed


def start(host: Host, uid: str) -> None:
    """Run a Pod whose start was waited for; nothing when it is gone or going."""
    if uid in host.pods:
        containers.advance_pod(host, uid)


def publish(host: Host, uid: str) -> None:
    """Report again what could not be reported; a Pod that is over and was to go is deleted."""
    if uid in host.pods:
        host.publish(uid)


def exited(host: Host, uid: str, name: str, exit_code: int) -> None:
    """A program ended by itself."""
    container = host.container(uid, name)
    if container is not None and container.running:
        termination.over(host, uid, name, exit_code)


def answered(host: Host, uid: str, name: str, kind: str, passed: bool, message: str) -> None:
    """A probe, or a preStop hook, has its answer."""
    if kind == "preStop":
        termination.pre_stop_answered(host, uid, name, passed, message)
        return
    outcome = probing.answered(host, uid, name, kind, passed, message)
    if outcome == probing.STARTED:
        containers.advance_pod(host, uid)
    elif outcome == probing.REPORT:
        host.publish(uid)
    elif outcome == probing.KILL:
        termination.kill_unhealthy(host, uid, name, kind)


HANDLERS: dict[str, Callable[..., None]] = {
    "start": start,
    "retry": start,
    "publish": publish,
    "delete": termination.delete,
    "post-ready": registration.post_ready,
    "exited": exited,
    "probe": answered,
    "probe-due": probing.due,
    "restart": containers.resume,
    "stop": termination.stop,
    "kill": termination.kill,
    "deadline": termination.overdue,
}
