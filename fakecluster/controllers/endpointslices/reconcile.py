"""Service, Pods, Nodes and existing slices -> what to create, update and delete.

Source: staging/src/k8s.io/endpointslice/reconciler.go. Endpoints with the same ports share slices of at most 100.
An endpoint that is in a slice stays there; new ones first fill slices that change anyway (the fullest first), then
fit into one unchanged slice (the fullest that takes all), then go to new slices. Slices are never rebalanced otherwise.
Where the real controller follows the order of a Go map, endpoints are taken in the order of a digest of their keys.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping

import attrs

from fakecluster.controllers.endpointslices.endpoint import (
    EndpointKey,
    Ports,
    endpoint_for,
    endpoint_ports,
    key_of,
    ports_json,
    same_beyond_key,
    slice_ports,
)
from fakecluster.controllers.endpointslices.hints import (
    hint_by_distance,
    traffic_distribution,
    wants_topology_hints,
    without_hints,
)
from fakecluster.controllers.endpointslices.topology import Counts, hint_by_zone
from fakecluster.controllers.publishing import HEADLESS_LABEL, Json, has_cluster_ip, has_fixed_ports, is_published
from fakecluster.controllers.sliceindex import MANAGED_BY, SERVICE_NAME

MAX_ENDPOINTS = 100
CONTROLLER_NAME = "endpointslice-controller.k8s.io"
_RESERVED_LABELS = frozenset({MANAGED_BY, SERVICE_NAME, HEADLESS_LABEL})

Endpoints = dict[EndpointKey, Json]


@attrs.define
class Plan:
    """What to write for one Service; `without_node` names Pods left out because their Node does not exist."""

    create: list[Json] = attrs.field(factory=list)
    update: list[Json] = attrs.field(factory=list)
    delete: list[Json] = attrs.field(factory=list)
    without_node: list[str] = attrs.field(factory=list)
    #: by address type, where hints by zone were asked for: hints per zone (None: none given), and why none
    hinted: dict[str, tuple[Counts | None, str]] = attrs.field(factory=dict)


def reconcile(
    service: Json,
    pods: Collection[Json],
    nodes: Mapping[str, Json],
    existing: Iterable[Json],
    shares: Mapping[str, float] | None = None,
) -> Plan:
    """Plan the slices of a Service with a selector; `existing` are those that this controller manages.

    `shares` are the zones' shares of CPU for hints by zone (topology.zone_shares).
    """
    families: list[str] = service["spec"].get("ipFamilies") or ["IPv4"]
    plan = Plan()
    by_family: dict[str, list[Json]] = {family: [] for family in families}
    for one in existing:
        by_family.get(one["addressType"], plan.delete).append(one)
    for family, slices in by_family.items():
        _Family(service, family, nodes, shares, plan).reconcile(pods, slices)
    return plan


def slice_labels(service: Json) -> dict[str, str]:
    """The labels of a Service's slices: its own but the reserved ones, and the reserved ones as they must be."""
    own = service["metadata"].get("labels") or {}
    labels = {key: value for key, value in own.items() if key not in _RESERVED_LABELS}
    if not has_cluster_ip(service):
        labels[HEADLESS_LABEL] = ""
    return labels | {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: CONTROLLER_NAME}


def owned_by(one: Json, service: Json) -> bool:
    """Whether a slice belongs to this very Service, not to an older one of the same name."""
    return any(
        owner["uid"] == service["metadata"]["uid"] and owner["kind"] == "Service" and owner["apiVersion"] == "v1"
        for owner in one["metadata"].get("ownerReferences") or ()
    )


@attrs.define
class _Slices:
    """The slices of one address family (and port group), by what happens to them; drafts are ours to change."""

    create: list[Json] = attrs.field(factory=list)
    update: list[Json] = attrs.field(factory=list)
    delete: list[Json] = attrs.field(factory=list)
    keep: list[Json] = attrs.field(factory=list)


@attrs.frozen
class _Family:
    """One address family of one Service at work."""

    service: Json
    family: str
    nodes: Mapping[str, Json]
    shares: Mapping[str, float] | None
    plan: Plan

    def reconcile(self, pods: Collection[Json], existing: list[Json]) -> None:
        slices = _Slices()
        by_ports: dict[Ports, list[Json]] = {}
        for one in existing:
            if owned_by(one, self.service):
                by_ports.setdefault(slice_ports(one), []).append(one)
            else:
                slices.delete.append(one)
        for ports, endpoints in self._desired(pods).items():
            self._fill(ports, endpoints, by_ports.pop(ports, []), slices)
        for unwanted in by_ports.values():
            slices.delete += unwanted
        self._keep_placeholder(existing, slices)
        self._hint(slices)
        self._finish(slices)

    def _desired(self, pods: Collection[Json]) -> dict[Ports, Endpoints]:
        desired: dict[Ports, Endpoints] = {}
        tolerant = self.service["spec"].get("publishNotReadyAddresses")
        fixed = endpoint_ports(self.service, {}) if has_fixed_ports(self.service) else None
        for pod in pods:
            if not is_published(pod, terminating=True):
                continue
            group = desired.setdefault(endpoint_ports(self.service, pod) if fixed is None else fixed, {})
            node = self.nodes.get(pod["spec"].get("nodeName") or "")
            if node is None and not tolerant:
                self.plan.without_node.append(pod["metadata"]["name"])
                continue
            endpoint = endpoint_for(pod, node, self.service, self.family)
            if endpoint["addresses"]:
                group[key_of(endpoint)] = endpoint
        return desired

    def _fill(self, ports: Ports, desired: Endpoints, existing: list[Json], slices: _Slices) -> None:
        """Bring the slices of one port group to the desired endpoints; `desired` is used up."""
        changed, unchanged = [], []
        labels = slice_labels(self.service)
        for one in existing:
            kept, is_changed = _kept(one, desired)
            if is_changed and not kept:
                slices.delete.append(one)
            elif is_changed or _other_labels(one, labels):
                changed.append({**one, "metadata": {**one["metadata"], "labels": labels}, "endpoints": kept})
            else:
                unchanged.append(one)
        waiting = _in_digest_order(desired) if len(desired) > MAX_ENDPOINTS else list(desired.values())
        waiting.reverse()
        for draft in sorted(changed, key=lambda draft: -len(draft["endpoints"])):
            _move(waiting, draft)
        while waiting:
            roomy = _fullest_with_room(unchanged, len(waiting))
            if roomy is not None:
                unchanged.remove(roomy)
                draft = {**roomy, "endpoints": list(roomy.get("endpoints") or ())}
                changed.append(draft)
            else:
                draft = self._new(ports)
                slices.create.append(draft)
            _move(waiting, draft)
        slices.update += changed
        slices.keep += unchanged

    def _new(self, ports: Ports) -> Json:
        metadata = self.service["metadata"]
        owner = {
            "apiVersion": "v1",
            "kind": "Service",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": slice_labels(self.service),
                "ownerReferences": [owner],
            },
            "addressType": self.family,
            "endpoints": [],
            "ports": ports_json(ports),
        }

    def _keep_placeholder(self, existing: list[Json], slices: _Slices) -> None:
        """A Service without endpoints has one empty slice per family."""
        if len(existing) != len(slices.delete) or slices.create:
            return
        placeholder = self._new(())
        if len(slices.delete) == 1 and _is_placeholder(slices.delete[0], placeholder):
            slices.keep.append(slices.delete.pop())
        else:
            slices.create.append(placeholder)

    def _hint(self, slices: _Slices) -> None:
        drafts = slices.create + slices.update
        if wants_topology_hints(self.service):
            hinted = hint_by_zone(drafts, slices.keep, self.shares)
            self.plan.hinted[self.family] = hinted.by_zone, hinted.problem
            slices.update += hinted.late
        elif distribution := traffic_distribution(self.service):
            slices.update += hint_by_distance(drafts, slices.keep, distribution)
        else:
            slices.update += without_hints(drafts, slices.keep)

    def _finish(self, slices: _Slices) -> None:
        """Turn creations into updates of slices that would be deleted, and hand everything over."""
        for one in slices.delete:
            if slices.create and owned_by(one, self.service):
                draft = slices.create.pop()
                recycled = {**draft, "metadata": {**draft["metadata"], "name": one["metadata"]["name"]}}
                slices.update.append(recycled)
            else:
                self.plan.delete.append(one)
        if not self.service["metadata"].get("deletionTimestamp"):
            self.plan.create += slices.create
        self.plan.update += slices.update


def _kept(one: Json, desired: Endpoints) -> tuple[list[Json], bool]:
    """The slice's endpoints that are still desired, as they should be, and whether any differs or is gone."""
    current = one.get("endpoints") or ()
    kept: list[Json] = []
    is_changed = False
    for endpoint in current:
        wanted = desired.pop(key_of(endpoint), None)
        if wanted is not None:
            kept.append(wanted)
            is_changed = is_changed or not same_beyond_key(wanted, endpoint)
    return kept, is_changed or len(kept) != len(current)


def _other_labels(one: Json, labels: Mapping[str, str]) -> bool:
    """Whether labels other than the reserved ones differ; those are only put right when a slice changes anyway."""
    current = one["metadata"].get("labels") or {}
    return {key: value for key, value in current.items() if key not in _RESERVED_LABELS} != {
        key: value for key, value in labels.items() if key not in _RESERVED_LABELS
    }


def _is_placeholder(one: Json, placeholder: Json) -> bool:
    return (
        not one.get("endpoints")
        and not one.get("ports")
        and (one["metadata"].get("labels") or {}) == placeholder["metadata"]["labels"]
    )


def _in_digest_order(endpoints: Endpoints) -> list[Json]:
    return [endpoints[key] for key in sorted(endpoints, key=lambda key: (zlib.crc32(repr(key).encode()), key))]


def _move(waiting: list[Json], draft: Json) -> None:
    """Move waiting endpoints (the next one is last) into a draft as long as it has room."""
    while waiting and len(draft["endpoints"]) < MAX_ENDPOINTS:
        draft["endpoints"].append(waiting.pop())


def _fullest_with_room(unchanged: list[Json], number: int) -> Json | None:
    if number >= MAX_ENDPOINTS:
        return None
    roomy = [one for one in unchanged if 0 < len(one.get("endpoints") or ()) + number <= MAX_ENDPOINTS]
    return max(roomy, key=lambda one: len(one.get("endpoints") or ()), default=None)
