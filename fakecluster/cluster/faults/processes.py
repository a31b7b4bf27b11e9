"""Components that crash and start again: what they wrote stays, what they knew is gone until they have listed.

kube-proxy@a   network-policy@a   kubelet@a   scheduler   endpointslice-controller ...   coredns
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster import policies, proxies
from fakecluster.cluster.dns_objects import DNS_NAMESPACE
from fakecluster.cluster.faults.nodes import KILLED
from fakecluster.controllers.kubelet.host import target as kubelet_target
from fakecluster.controllers.manager import CONTROLLERS
from fakecluster.controllers.nodes import lifecycle
from fakecluster.controllers.scheduler import Scheduler
from fakecluster.controllers.scheduler.scheduler import TARGET as SCHEDULER

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

COREDNS = "coredns"


@attrs.frozen
class Process:
    """How a kind of component ends and begins; both get the node's name, or the controller's."""

    crash: Callable[[Cluster, str], None]
    start: Callable[[Cluster, str], None]


def components(cluster: Cluster) -> list[str]:
    """Every component that can crash, by name, running or not."""
    nodes = list(cluster.runtime.nodes)
    found = [name for node in nodes for name in (proxies.target(node), policies.target(node), kubelet_target(node))]
    found += [SCHEDULER, *CONTROLLERS]
    return [*found, COREDNS] if cluster.parts.dns is not None else found


def crash(cluster: Cluster, component: str) -> None:
    """End a process as SIGKILL does. Raises LookupError for an unknown one, ValueError when it is down already."""
    process, argument = _process(cluster, component)
    if component in cluster.parts.down:
        raise ValueError(f"{component} is down already")
    process.crash(cluster, argument)
    cluster.parts.down.append(component)


def start(cluster: Cluster, component: str) -> None:
    """Start what crashed. Raises LookupError for an unknown one, ValueError when it runs."""
    process, argument = _process(cluster, component)
    if component not in cluster.parts.down:
        raise ValueError(f"{component} runs; down are {', '.join(cluster.parts.down) or 'none'}")
    cluster.parts.down.remove(component)
    process.start(cluster, argument)


def _process(cluster: Cluster, component: str) -> tuple[Process, str]:
    cluster.parts.wake_for(component)
    there = components(cluster)
    if component not in there:
        raise LookupError(f"no component {component!r}; there are {', '.join(there)}")
    kind, _, node = component.partition("@")
    return PROCESSES.get(kind, PROCESSES[""]), node or kind


def _crash_proxy(cluster: Cluster, node: str) -> None:
    cluster.parts.proxies.pop(node).stop()


def _crash_policy(cluster: Cluster, node: str) -> None:
    cluster.parts.policies.pop(node).stop()


def _start_scheduler(cluster: Cluster, name: str) -> None:
    cluster.parts.scheduler = Scheduler(cluster.parts.server, cluster.clock)


def _crash_scheduler(cluster: Cluster, name: str) -> None:
    cluster.parts.server.store.unwatch(SCHEDULER)
    cluster.clock.forget(SCHEDULER)


def _start_controller(cluster: Cluster, name: str) -> None:
    parts = cluster.parts
    parts.manager.start(name, parts.server, parts.clock, parts.choices)
    if name == lifecycle.TARGET:  # it counts the silence of nodes from its own start
        for kubelet in parts.kubelets.values():
            kubelet.expect_silence()


def _crash_dns(cluster: Cluster, name: str) -> None:
    """Every CoreDNS process ends; the kubelets start them again, sooner or later."""
    assert cluster.parts.dns is not None
    for uid in list(cluster.parts.dns.processes):
        for pod in cluster.parts.server.store.list("pods", DNS_NAMESPACE):
            if pod["metadata"]["uid"] == uid:
                cluster.pod(pod["metadata"]["name"], DNS_NAMESPACE).exit(KILLED)


PROCESSES = {
    "kube-proxy": Process(_crash_proxy, lambda cluster, node: cluster.parts.start_proxy(node)),
    "network-policy": Process(_crash_policy, lambda cluster, node: cluster.parts.start_policy(node, stale=True)),
    "kubelet": Process(
        lambda cluster, node: cluster.parts.kubelets[node].stop(),
        lambda cluster, node: cluster.parts.kubelets[node].start(),
    ),
    SCHEDULER: Process(_crash_scheduler, _start_scheduler),
    COREDNS: Process(_crash_dns, lambda cluster, name: None),
    "": Process(
        lambda cluster, name: cluster.parts.manager.stop(name, cluster.parts.server, cluster.clock), _start_controller
    ),
}
