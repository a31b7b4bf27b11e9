"""node-ipam-controller: a Pod address range (of each family) for every Node that came without one.

Source: kubernetes pkg/controller/nodeipam/ipam/range_allocator.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from fakecluster.controllers.loop import Desk, Duty
from fakecluster.controllers.ownership import Key, key_of

if TYPE_CHECKING:
    from fakecluster.api.store import WatchEvent

Json = dict[str, Any]
#: prefix length of one node's range, by IP version
NODE_MASKS = {4: 24, 6: 64}


def duty(cluster_cidrs: Sequence[str]) -> Duty:
    """The controller for a cluster whose Pods live in `cluster_cidrs`, one of each family."""

    def notice(desk: Desk, event: WatchEvent) -> Iterable[Key]:
        if event.type != "DELETED" and not event.object["spec"].get("podCIDR"):
            yield key_of(event.object)

    def sync(desk: Desk, key: Key) -> None:
        node = desk.get("nodes", key)
        if node is None or node["spec"].get("podCIDR"):
            return
        taken = {cidr for one in desk.client.list("nodes") for cidr in one["spec"].get("podCIDRs") or ()}
        cidrs = [first_free(cidr, taken) for cidr in cluster_cidrs]
        if None in cidrs:
            desk.events.normal(node, "CIDRNotAvailable", f"Node {key[1]} status is now: CIDRNotAvailable")
            return
        patch = {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}}
        desk.client.patch("nodes", key[1], patch, kind="strategic")

    target = "node-ipam-controller"
    return Duty(target, "cidrAllocator", frozenset({"nodes"}), {}, notice, sync)


def first_free(cluster_cidr: str, taken: set[str]) -> str | None:
    """The first node range of a cluster's range that no node has, or None when all are taken."""
    network = ip_network(cluster_cidr)
    mask = max(NODE_MASKS[network.version], network.prefixlen)
    return next((str(one) for one in network.subnets(new_prefix=mask) if str(one) not in taken), None)
