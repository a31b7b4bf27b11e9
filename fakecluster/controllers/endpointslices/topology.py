"""Hints by zone, in proportion to the zones' CPUs (staging/src/k8s.io/endpointslice/topologycache, KEP-2433).

Every ready endpoint is first meant for its own zone; zones with more endpoints than their share then give some to
zones with fewer. Hints are given only where no endpoint would get more than 20 % over its fair load.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from fakecluster.api.kinds_workload.quantity import parse_quantity
from fakecluster.controllers.endpointslices.endpoint import zone_of
from fakecluster.controllers.endpointslices.hints import draft_of, is_ready_endpoint, with_hints, without_hints
from fakecluster.controllers.publishing import Json

OVERLOAD_THRESHOLD = 0.2
_EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

Counts = dict[str, int]


@attrs.frozen
class Allocation:
    """How many endpoints a zone must, may and should have."""

    minimum: int
    maximum: int
    desired: float


@attrs.frozen
class Hinted:
    """What hinting did: drafts of slices that had been unchanged, hints per zone (None: no hints), and why not."""

    late: list[Json]
    by_zone: Counts | None
    problem: str = ""


def zone_shares(nodes: Iterable[Json]) -> dict[str, float] | None:
    """Each zone's share of the CPUs of ready workers; None where a node does not tell or there is one zone only."""
    milli_by_zone: dict[str, int] = {}
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        if any(label in labels for label in _EXCLUDED) or not _is_node_ready(node):
            continue
        milli = parse_quantity((node["status"].get("allocatable") or {}).get("cpu", "0")).milli
        zone = zone_of(node)
        if not zone or not milli:
            return None
        milli_by_zone[zone] = milli_by_zone.get(zone, 0) + milli
    if len(milli_by_zone) < 2:
        return None
    total = sum(milli_by_zone.values())
    return {zone: milli_by_zone[zone] / total for zone in sorted(milli_by_zone)}


def _is_node_ready(node: Json) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def is_overloaded(by_zone: Counts, shares: Mapping[str, float] | None) -> bool:
    """Whether, by these shares, some zone has fewer endpoints than it must have."""
    if not by_zone:
        return False
    if not shares:
        return True
    total = sum(by_zone.values())
    return any(
        zone not in by_zone or by_zone[zone] < math.ceil(total * share * (1 / (1 + OVERLOAD_THRESHOLD)))
        for zone, share in shares.items()
    )


def hint_by_zone(drafts: list[Json], unchanged: list[Json], shares: Mapping[str, float] | None) -> Hinted:
    """Give the ready endpoints of `drafts` (and of unchanged slices that need it) a zone, or take all hints away."""
    ready = [one for item in (*drafts, *unchanged) for one in item.get("endpoints") or () if is_ready_endpoint(one)]
    allocations = _allocations(len(ready), shares)
    if isinstance(allocations, str):
        return Hinted(without_hints(drafts, unchanged), None, allocations)
    by_zone: Counts = {}
    late = []
    for item in unchanged:
        hints = _valid_hints(item, by_zone, allocations)
        if hints is None:
            late.append(draft_of(item))
        else:
            _add(by_zone, hints)
    working = [*drafts, *late]
    if any(is_ready_endpoint(one) and not one.get("zone") for draft in working for one in draft["endpoints"]):
        rest = [item for item in unchanged if all(item["metadata"]["name"] != one["metadata"]["name"] for one in late)]
        return Hinted(
            [*late, *without_hints(working, rest)], None, "One or more endpoints do not have a zone specified"
        )
    for draft in working:
        draft["endpoints"] = [_own_zone(endpoint, by_zone) for endpoint in draft["endpoints"]]
    _redistribute(working, allocations, by_zone)
    if not by_zone:
        return Hinted([*late, *without_hints(working, ())], None, "No hints allocated for zones")
    return Hinted(late, by_zone)


def _allocations(count: int, shares: Mapping[str, float] | None) -> dict[str, Allocation] | str:
    if shares is None:
        return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
    if len(shares) > count:
        return f"Insufficient number of endpoints ({count} endpoints, {len(shares)} zones)"
    minimums = {zone: math.ceil(share * count * (1 / (1 + OVERLOAD_THRESHOLD))) for zone, share in shares.items()}
    spare = count - sum(minimums.values())
    if spare < 0:
        return (
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            f"({count} endpoints, {len(shares)} zones)"
        )
    return {
        zone: Allocation(minimums[zone], minimums[zone] + spare, max(share * count, minimums[zone]))
        for zone, share in shares.items()
    }


def _valid_hints(item: Json, by_zone: Counts, allocations: Mapping[str, Allocation]) -> Counts | None:
    """The hints per zone of a slice, or None where they cannot stay."""
    counts: Counts = {}
    for endpoint in item.get("endpoints") or ():
        if not is_ready_endpoint(endpoint):
            continue
        zones = [zone["name"] for zone in (endpoint.get("hints") or {}).get("forZones") or ()]
        if not zones or any(zone not in allocations for zone in zones):
            return None
        _add(counts, dict.fromkeys(zones, 1))
    too_many = any(count + by_zone.get(zone, 0) > allocations[zone].maximum for zone, count in counts.items())
    return None if too_many else counts


def _own_zone(endpoint: Json, by_zone: Counts) -> Json:
    if not is_ready_endpoint(endpoint):
        return endpoint
    _add(by_zone, {endpoint["zone"]: 1})
    return with_hints(endpoint, {"forZones": [{"name": endpoint["zone"]}]})


def _redistribute(drafts: list[Json], allocations: Mapping[str, Allocation], by_zone: Counts) -> None:
    giving, receiving = _transfers(allocations, by_zone)
    for draft in drafts:
        for index, endpoint in enumerate(draft["endpoints"]):
            if not is_ready_endpoint(endpoint):
                continue
            if not any(giving.values()) or not any(receiving.values()):
                return
            giver = endpoint["zone"]
            if not giving.get(giver):
                continue
            receiver = next(zone for zone, number in receiving.items() if number)
            draft["endpoints"][index] = with_hints(endpoint, {"forZones": [{"name": receiver}]})
            giving[giver] -= 1
            receiving[receiver] -= 1
            _add(by_zone, {giver: -1, receiver: 1})


def _transfers(allocations: Mapping[str, Allocation], by_zone: Counts) -> tuple[Counts, Counts]:
    """Whole endpoints that zones give and get, taken one by one from the zones with the most to give and to get."""
    surplus = {zone: by_zone.get(zone, 0) - allocation.desired for zone, allocation in allocations.items()}
    spare = {zone: number for zone, number in surplus.items() if number > 0}
    lack = {zone: -number for zone, number in surplus.items() if number < 0}
    giving: Counts = {}
    receiving: Counts = {}
    while True:
        giver, to_give = _most(spare)
        receiver, to_get = _most(lack)
        if max(to_give, to_get) < 1.0 or min(to_give, to_get) < 0.5:
            return giving, receiving
        _add(giving, {giver: 1})
        _add(receiving, {receiver: 1})
        spare[giver] -= 1
        lack[receiver] -= 1


def _most(zones: Mapping[str, float]) -> tuple[str, float]:
    zone = max(zones, key=lambda name: zones[name], default="")
    return (zone, zones[zone]) if zone else ("", 0.0)


def _add(counts: Counts, more: Mapping[str, int]) -> None:
    for name, number in more.items():
        counts[name] = counts.get(name, 0) + number
