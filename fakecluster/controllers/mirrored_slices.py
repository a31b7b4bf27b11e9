"""Endpoints -> the EndpointSlices that mirror them (pkg/controller/endpointslicemirroring/reconciler.go).

Addresses of one family with the same ports make one slice, of at most 1000 addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import attrs

from fakecluster.controllers.endpointslices.endpoint import (
    EndpointKey,
    Ports,
    key_of,
    ordered,
    ports_json,
    same_beyond_key,
    slice_ports,
)
from fakecluster.controllers.publishing import TRIGGER_TIME, Json, parsed_ip
from fakecluster.controllers.sliceindex import MANAGED_BY, SERVICE_NAME

CONTROLLER_NAME = "endpointslicemirroring-controller.k8s.io"
#: Addresses of one subset that are mirrored; Endpoints' own controller stops there too.
MAX_ADDRESSES = 1000
_NOT_COPIED = frozenset({TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration"})
T = TypeVar("T")

#: Address type and ports: what the endpoints of one slice have in common
Group = tuple[str, Ports]


@attrs.define
class Plan:
    """What to write for one Endpoints object, and how many addresses were too many."""

    create: list[Json] = attrs.field(factory=list)
    update: list[Json] = attrs.field(factory=list)
    delete: list[Json] = attrs.field(factory=list)
    skipped: int = 0


def mirror(endpoints: Json, existing: Iterable[Json]) -> Plan:
    """Plan the mirror slices of Endpoints that no selector keeps."""
    plan = Plan()
    by_group: dict[Group, list[Json]] = {}
    for one in existing:
        by_group.setdefault((one["addressType"], slice_ports(one)), []).append(one)
    for group, desired in _desired(endpoints, plan).items():
        _reconcile_group(endpoints, group, desired, by_group.pop(group, []), plan)
    for unwanted in by_group.values():
        plan.delete += unwanted
    _recycle(plan)
    if endpoints["metadata"].get("deletionTimestamp"):
        plan.create.clear()
    return plan


def _desired(endpoints: Json, plan: Plan) -> dict[Group, dict[EndpointKey, Json]]:
    desired: dict[Group, dict[EndpointKey, Json]] = {}
    for subset in endpoints.get("subsets") or ():
        ports = ordered(
            tuple(
                (port.get("name", ""), port["port"], port.get("protocol", "TCP"), port.get("appProtocol"))
                for port in subset.get("ports") or ()
            )
        )
        marked = [(address, True) for address in subset.get("addresses") or ()]
        marked += [(address, False) for address in subset.get("notReadyAddresses") or ()]
        plan.skipped += max(0, len(marked) - MAX_ADDRESSES)
        for address, ready in marked[:MAX_ADDRESSES]:
            family, ip = parsed_ip(address["ip"]) or ("IPv4", address["ip"])
            endpoint = _endpoint(address, ip, ready=ready)
            desired.setdefault((family, ports), {})[key_of(endpoint)] = endpoint
    return desired


def _endpoint(address: Json, ip: str, *, ready: bool) -> Json:
    endpoint: Json = {"addresses": [ip], "conditions": {"ready": ready}}
    for name in ("hostname", "targetRef", "nodeName"):
        if address.get(name) is not None:
            endpoint[name] = address[name]
    return endpoint


def _reconcile_group(
    endpoints: Json, group: Group, desired: Mapping[EndpointKey, Json], existing: list[Json], plan: Plan
) -> None:
    plan.delete += existing[1:]
    if existing and _is_mirror(endpoints, existing[0], desired):
        return
    draft = _draft(endpoints, group, list(desired.values())[:MAX_ADDRESSES])
    prefix = f"{endpoints['metadata']['name']}-"
    if existing:
        plan.update.append(_with_metadata(draft, {"name": existing[0]["metadata"]["name"]}))
    else:
        plan.create.append(_with_metadata(draft, {"generateName": prefix}))


def _is_mirror(endpoints: Json, one: Json, desired: Mapping[EndpointKey, Json]) -> bool:
    current = one.get("endpoints") or ()
    is_same = len(current) == len(desired) and all(
        (wanted := desired.get(key_of(endpoint))) is not None and same_beyond_key(wanted, endpoint)
        for endpoint in current
    )
    labels = _without(one["metadata"].get("labels"), (MANAGED_BY, SERVICE_NAME))
    return (
        is_same
        and labels == (endpoints["metadata"].get("labels") or {})
        and (one["metadata"].get("annotations") or {})
        == _without(endpoints["metadata"].get("annotations"), _NOT_COPIED)
    )


def _draft(endpoints: Json, group: Group, found: list[Json]) -> Json:
    metadata = endpoints["metadata"]
    annotations = _without(metadata.get("annotations"), _NOT_COPIED)
    owner = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                SERVICE_NAME: metadata["name"],
                MANAGED_BY: CONTROLLER_NAME,
            },
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [owner],
        },
        "addressType": group[0],
        "endpoints": found,
        "ports": ports_json(group[1]),
    }


def _recycle(plan: Plan) -> None:
    """Turn creations into updates of slices of the same address type that would be deleted."""
    for draft in plan.create.copy():
        spare = next((one for one in plan.delete if one["addressType"] == draft["addressType"]), None)
        if spare is not None:
            plan.delete.remove(spare)
            plan.create.remove(draft)
            plan.update.append(_with_metadata(draft, {"name": spare["metadata"]["name"]}))


def _with_metadata(draft: Json, extra: Json) -> Json:
    return {**draft, "metadata": {**draft["metadata"], **extra}}


def _without(found: Mapping[str, T] | None, names: Iterable[str]) -> dict[str, T]:
    return {name: value for name, value in (found or {}).items() if name not in names}
