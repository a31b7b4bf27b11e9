"""Places to look from: a Pod of the check's own on every node, in a copy of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.handles import Host, Pod

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

JsonObject = dict[str, Any]
PREFIX = "fakecluster-check-"
#: seconds of virtual time in which everything that was just applied comes to rest (probes, back-offs)
REST_S = 60.0


def with_probes(cluster: Cluster) -> tuple[Cluster, dict[str, Pod]]:
    """A copy of the cluster with one probing Pod on every node: (copy, node name -> Pod)."""
    copy = cluster.fork()
    copy.apply([_pod(node.name) for node in copy.nodes])
    return copy, probes_of(copy)


def probes_of(cluster: Cluster) -> dict[str, Pod]:
    """The probing Pods of a copy (or of a copy's copy) by the name of their node."""
    return {node.name: cluster.pod(f"{PREFIX}{node.name}") for node in cluster.nodes}


def _pod(node: str) -> JsonObject:
    spec = {
        "nodeName": node,
        "containers": [{"name": "probe", "image": "fakecluster.invalid/probe:1"}],
        "tolerations": [{"operator": "Exists"}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{PREFIX}{node}"}, "spec": spec}


#: Clock targets of the kernels and of the network: what moves and ages packets.
_DATA_PATH = ("network", "tcp@", "ipvs@", "kube-proxy-relay@")


def freeze_control_plane(cluster: Cluster) -> None:
    """Hold everything but kernels and network, so that hours can pass and nothing changes but timers of flows."""
    for target in cluster.clock.targets:
        if not target.startswith(_DATA_PATH):
            cluster.hold(target)


def sources(copy: Cluster, pods: dict[str, Pod]) -> dict[str, Host]:
    """What to connect from: name for people -> host; every probing Pod and every node."""
    found: dict[str, Host] = {f"a Pod on node {name}": pod for name, pod in pods.items()}
    return found | {f"node {node.name}": node for node in copy.nodes}
