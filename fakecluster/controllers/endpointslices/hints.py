"""Hints for `spec.trafficDistribution` (staging/src/k8s.io/endpointslice/trafficdist, KEP-4444 and KEP-3015)."""

from __future__ import annotations

from collections.abc import Iterable

from fakecluster.controllers.publishing import Json

PREFER_SAME_NODE = "PreferSameNode"
TRAFFIC_DISTRIBUTIONS = frozenset({"PreferClose", "PreferSameZone", PREFER_SAME_NODE})
_TOPOLOGY_ANNOTATIONS = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")


def wants_topology_hints(service: Json) -> bool:
    """Whether the annotation asks for hints by zone; the older annotation goes before the newer."""
    annotations = service["metadata"].get("annotations") or {}
    value = next((annotations[name] for name in _TOPOLOGY_ANNOTATIONS if name in annotations), "")
    return value in ("Auto", "auto")


def traffic_distribution(service: Json) -> str:
    """The Service's traffic distribution where it counts: the annotation goes before it."""
    value = service["spec"].get("trafficDistribution") or ""
    return value if value in TRAFFIC_DISTRIBUTIONS and not wants_topology_hints(service) else ""


def is_ready_endpoint(endpoint: Json) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is True


def draft_of(existing: Json) -> Json:
    """A slice to work on: the endpoint list may be changed, the endpoints may not."""
    return {**existing, "endpoints": list(existing.get("endpoints") or ())}


def hint_by_distance(drafts: list[Json], unchanged: Iterable[Json], distribution: str) -> list[Json]:
    """Give the ready endpoints of `drafts` their hints; returns drafts of those unchanged slices that needed any."""
    late = [draft_of(one) for one in unchanged if _is_outdated(one, distribution)]
    for draft in (*drafts, *late):
        draft["endpoints"] = [
            with_hints(endpoint, _hints(endpoint, distribution)) if is_ready_endpoint(endpoint) else endpoint
            for endpoint in draft["endpoints"]
        ]
    return late


def without_hints(drafts: list[Json], unchanged: Iterable[Json]) -> list[Json]:
    """Take all hints away; returns drafts of those unchanged slices that had any."""
    late = [draft_of(one) for one in unchanged if any("hints" in endpoint for endpoint in one.get("endpoints") or ())]
    for draft in (*drafts, *late):
        draft["endpoints"] = [with_hints(endpoint, None) for endpoint in draft["endpoints"]]
    return late


def with_hints(endpoint: Json, hints: Json | None) -> Json:
    """The endpoint with these hints instead of its own."""
    if hints is None and "hints" not in endpoint:
        return endpoint
    bare = {name: value for name, value in endpoint.items() if name != "hints"}
    return {**bare, "hints": hints} if hints else bare


def _hints(endpoint: Json, distribution: str) -> Json:
    hints: Json = {}
    if "zone" in endpoint:
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if "nodeName" in endpoint and distribution == PREFER_SAME_NODE:
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def _is_outdated(existing: Json, distribution: str) -> bool:
    return any(
        is_ready_endpoint(endpoint) and (endpoint.get("hints") or {}) != _hints(endpoint, distribution)
        for endpoint in existing.get("endpoints") or ()
    )
