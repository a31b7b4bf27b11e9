"""How a kubelet shows that it is there: its Lease and the conditions of its Node.

Heartbeats in between are not written (see `nodes.lifecycle`). Source: kubernetes pkg/kubelet/nodestatus/setters.go,
component-helpers apimachinery/lease.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fakecluster.api.client import ApiError
from fakecluster.api.faults import ApiFault
from fakecluster.controllers.conditions import merged
from fakecluster.controllers.kubelet.host import PUBLISH_AGAIN_S, Host
from fakecluster.controllers.timestamps import micro_timestamp

Json = dict[str, Any]
LEASES, LEASE_NAMESPACE = "leases.coordination.k8s.io", "kube-node-lease"
LEASE_S = 40
#: condition -> (status, reason, message) of a node that is well
WELL = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


def _node(host: Host) -> Json | None:
    return host.client.server.store.get("nodes", "", host.node_name)


def renew_lease(host: Host) -> None:
    """Make or renew the Lease of the node, which the node owns."""
    name, now = host.node_name, micro_timestamp(host.clock, skew_s=host.clock_skew_s)
    node = _node(host)
    if node is None:
        return
    known = host.client.server.store.get(LEASES, LEASE_NAMESPACE, name)
    if known is not None:
        with suppress(ApiFault):  # the next heartbeat will do
            host.client.update(LEASES, {**known, "spec": {**known["spec"], "renewTime": now}})
        return
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": now},
    }
    host.client.create(LEASES, lease, LEASE_NAMESPACE)


def post_ready(host: Host) -> None:
    """Say that the node is well."""
    node = _node(host)
    if node is None:
        return
    now = host.now
    old = (node.get("status") or {}).get("conditions") or []
    was_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in old)
    conditions = old
    for kind, (status, reason, message) in WELL.items():
        new = {"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now}
        conditions = merged(conditions, new, now)
    try:
        host.client.update_status("nodes", {**node, "status": {**(node.get("status") or {}), "conditions": conditions}})
    except ApiFault:
        host.after(PUBLISH_AGAIN_S, "post-ready")
        return
    except ApiError as error:
        if error.code != 404:
            raise
    if not was_ready:
        host.events.normal(node, "NodeReady", f"Node {host.node_name} status is now: NodeReady")
