"""Taking in a real cluster's state: the output of `kubectl get ... -o yaml`, status included.

Nodes come first, with their addresses' Pod ranges; owners before what they own, whose references are turned to the new
UIDs; Services keep their cluster IPs, Pods their node, their IP and their status, and kubelets take over from there. What
controllers write themselves (Endpoints and EndpointSlices of Services with selectors, Events, Leases) is left out: they
write it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.api.manifests import Manifest
from fakecluster.cluster.applying import Applied, refusal, resource_of
from fakecluster.cluster.spec import NodeSpec
from fakecluster.cni import AddressPlan, NodeAddresses

if TYPE_CHECKING:
    from fakecluster.cluster.components import Components

JsonObject = dict[str, Any]
#: Written by the server or by controllers: a cluster makes its own.
LEFT_OUT = frozenset(("Event", "Lease", "Endpoints", "ControllerRevision", "IPAddress", "ServiceCIDR"))
#: What the server sets in metadata when it stores an object.
_SERVER_SET = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_ORDER = ("Namespace", "Node")


def load(parts: Components, manifests: Iterable[Manifest], *, namespace: str) -> list[Applied]:
    """Store every object of a dump. Raises `ManifestError` for the first that is refused; what was stored stays."""
    loading = _Loading(parts, namespace)
    return [done for one in _in_order(manifests) if (done := loading.store(one)) is not None]


def _in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Namespaces, Nodes, then owners before what they own."""
    waiting = sorted(manifests, key=lambda one: _ORDER.index(one.kind) if one.kind in _ORDER else len(_ORDER))
    in_dump = {_meta(one).get("uid") for one in waiting}
    done: set[str | None] = set()
    found: list[Manifest] = []
    while waiting:
        ready = [one for one in waiting if all(ref["uid"] in done or ref["uid"] not in in_dump for ref in _owners(one))]
        found += ready or waiting  # owners that own each other cannot be ordered
        done |= {_meta(one).get("uid") for one in ready or waiting}
        waiting = [one for one in waiting if one not in found]
    return found


def _meta(one: Manifest) -> JsonObject:
    return one.object.get("metadata") or {}


def _owners(one: Manifest) -> list[JsonObject]:
    return [ref for ref in _meta(one).get("ownerReferences") or () if isinstance(ref, dict) and "uid" in ref]


class _Loading:
    """One run: which UID of the dump became which here."""

    def __init__(self, parts: Components, namespace: str) -> None:
        self.parts, self.namespace = parts, namespace
        self.client = Client(parts.server, agent="fakecluster-load")
        self.uids: dict[str, str] = {}

    def store(self, one: Manifest) -> Applied | None:
        """Store one object; None for what is left out."""
        if one.kind in LEFT_OUT or _is_managed_slice(one.object):
            return None
        resource = resource_of(self.client, one)
        meta = _meta(one)
        space = (meta.get("namespace") or self.namespace) if resource.namespaced else ""
        before = self.parts.server.store.get(resource.key, space, one.name)
        if one.kind == "Node" and before is None:
            self.parts.add_node(NodeSpec.of(_node_spec(one.object)), _addresses(self.parts.runtime.plan, one.object))
            before = self.parts.server.store.get("nodes", "", one.name)
        if before is not None:
            self.uids[meta.get("uid", "")] = before["metadata"]["uid"]
            return Applied(resource.key, space, one.name, "unchanged", before, one.object)
        try:
            stored = self._create(resource.key, space, self._cleaned(one.object), one.object.get("status"))
        except ApiError as refused:
            raise refusal(one, refused) from None
        self.uids[meta.get("uid", "")] = stored["metadata"]["uid"]
        return Applied(resource.key, space, one.name, "created", stored, one.object)

    def _create(self, key: str, space: str, obj: JsonObject, status: JsonObject | None) -> JsonObject:
        if key == "pods":  # in one step, so that no kubelet sees it without its status and starts it anew
            checked = self.client.create(key, obj, space, dry_run=True)
            event = self.parts.server.store.put(key, {**checked, "status": status or checked.get("status", {})})
            return event.object
        stored = self.client.create(key, obj, space)
        if status and self.parts.server.registry.by_key(key).has_status:
            return self.client.update_status(key, {**stored, "status": status})
        return stored

    def _cleaned(self, obj: JsonObject) -> JsonObject:
        """Without what the server sets, owners by their new UIDs."""
        meta = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_SET}
        if meta.get("ownerReferences"):
            meta["ownerReferences"] = [
                {**ref, "uid": self.uids.get(ref.get("uid", ""), ref.get("uid"))} for ref in meta["ownerReferences"]
            ]
        return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}


def _is_managed_slice(obj: JsonObject) -> bool:
    labels = (obj.get("metadata") or {}).get("labels") or {}
    manager = labels.get("endpointslice.kubernetes.io/managed-by", "")
    return obj.get("kind") == "EndpointSlice" and manager.endswith("controller.k8s.io")


def _addresses(plan: AddressPlan, node: JsonObject) -> NodeAddresses | None:
    """The node's own addresses, when they fit the networks of this cluster."""
    status, spec = node.get("status") or {}, node.get("spec") or {}
    ips = [entry["address"] for entry in status.get("addresses") or () if entry.get("type") == "InternalIP"]
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    found = (
        tuple(_of_family(family, ips) for family in plan.families),
        tuple(_of_family(f, cidrs) for f in plan.families),
    )
    fits = all(
        ip and ip_address(ip) in ip_network(plan.nodes[f]) for ip, f in zip(found[0], plan.families, strict=True)
    )
    return NodeAddresses(*found) if fits and all(found[1]) else None


def _of_family(family: int, texts: list[str]) -> str:
    return next((text for text in texts if (":" in text) == (family == 6)), "")


def _node_spec(node: JsonObject) -> JsonObject:
    """The part of a Node that a cluster here takes over."""
    taints = [
        taint for taint in (node.get("spec") or {}).get("taints") or () if "node.kubernetes.io/" not in taint["key"]
    ]
    return {
        "name": node["metadata"]["name"],
        "labels": node["metadata"].get("labels") or {},
        "taints": [{key: value for key, value in taint.items() if key != "timeAdded"} for taint in taints],
    }
