"""What changed in the API between two steps of a recording, as watch events for kube-proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
#: (resource, object, deleted)
Event = tuple[str, Json, bool]
Key = tuple[str, str, str]

RESOURCES = {
    "Service": "services",
    "EndpointSlice": "endpointslices.discovery.k8s.io",
    "Node": "nodes",
}
_LISTS = {"services": "services", "endpointSlices": "endpointslices.discovery.k8s.io"}
#: The ServiceCIDR that the recording API server was started with; it is not among the recorded objects.
SERVICE_CIDRS: Json = {
    "kind": "ServiceCIDR",
    "metadata": {"name": "kubernetes"},
    "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]},
}


class Objects:
    """The API's content as far as kube-proxy sees it."""

    def __init__(self) -> None:
        self.known: dict[Key, Json] = {}
        self._default_seen = False

    def initial(self) -> Iterator[Event]:
        yield ("servicecidrs.networking.k8s.io", SERVICE_CIDRS, False)

    def operation(self, operation: Json, step: Json) -> Iterator[Event]:
        """One change of a step; the object itself as the step lists it, when it lists objects."""
        key = _key(operation)
        if key is not None:
            wanted = dict(_listed(step["objects"])).get(key) if "objects" in step else operation.get("object")
            yield from self._towards(key, wanted)

    def nodes(self, step: Json) -> Iterator[Event]:
        """The nodes, of which an operation says that they were labelled."""
        for key, wanted in _listed(step.get("objects", {})):
            if key[0] == "nodes":
                yield from self._towards(key, wanted)

    def rest(self, step: Json) -> Iterator[Event]:
        """Whatever else leads to the objects that a step lists."""
        if "objects" in step:
            target = dict(_listed(step["objects"]))
            for key in dict.fromkeys([*target, *self.known]):
                yield from self._towards(key, target.get(key))

    def _towards(self, key: Key, wanted: Json | None) -> Iterator[Event]:
        known = self.known.get(key)
        if _content(wanted) == _content(known):
            return
        if wanted is None:
            del self.known[key]
            assert known is not None
            yield (key[0], known, True)
        else:
            self.known[key] = wanted
            yield (key[0], wanted, False)


def _content(obj: Json | None) -> Json | None:
    """An object without what lists leave out: its kind, and all metadata but names and labels."""
    if obj is None:
        return None
    metadata = {key: obj["metadata"].get(key) for key in ("namespace", "name", "labels", "deletionTimestamp")}
    return {**obj, "metadata": metadata, "apiVersion": "", "kind": ""}


def _key(operation: Any) -> Key | None:
    if isinstance(operation, str):
        return None
    obj = operation.get("object")
    if obj is None:
        if operation["kind"] not in RESOURCES:
            return None
        return (RESOURCES[operation["kind"]], operation["namespace"], operation["name"])
    if obj["kind"] not in RESOURCES:
        return None
    return (RESOURCES[obj["kind"]], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _listed(objects: Json) -> Iterator[tuple[Key, Json]]:
    for field, resource in _LISTS.items():
        for obj in objects.get(field, ()):
            metadata = obj["metadata"]
            yield (resource, metadata["namespace"], metadata["name"]), obj
    for node in objects.get("nodes", ()):
        yield ("nodes", "", node["name"]), _node(node)


def node_of(topology: Json) -> Json:
    """The node's own object, for recordings that do not list it."""
    address = topology["nodeInterfaces"]["eth0"][0].partition("/")[0]
    return _node({"name": "kp-node", "addresses": [{"type": "InternalIP", "address": address}]})


def _node(node: Json) -> Json:
    """A Node object from the recording's shorter form."""
    metadata = {"name": node["name"], "labels": node.get("labels") or {}}
    spec = {"podCIDRs": node.get("podCIDRs") or [], "taints": node.get("taints") or []}
    return {"kind": "Node", "metadata": metadata, "spec": spec, "status": {"addresses": node.get("addresses") or []}}
