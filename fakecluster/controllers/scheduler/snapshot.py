"""What the scheduler knows: every node with the Pods placed on it, kept up by watch events."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import attrs

from fakecluster.api.kinds_workload.quantity import parse_quantity

Json = dict[str, Any]
#: what Pods without requests ask for: one value for all of them
NOTHING: dict[str, Fraction] = {}
HostPort = tuple[str, str, int]  # IP ("0.0.0.0": all), protocol, port


def _resources(container: Json) -> dict[str, Fraction]:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {name: parse_quantity(amount).value for name, amount in requests.items()}


def pod_requests(spec: Json) -> dict[str, Fraction]:
    """What a Pod asks of its node: the containers' sum or the largest init container, plus overhead.

    Init containers that restart always (sidecars) count on from their place (component-helpers resource/helpers.go).
    """
    total: dict[str, Fraction] = {}
    for container in spec["containers"]:
        _add(total, _resources(container))
    sidecars: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        own = _resources(container)
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            own = {}
        for name in own.keys() | sidecars.keys():
            needed = own.get(name, Fraction()) + sidecars.get(name, Fraction())
            peak[name] = max(peak.get(name, Fraction()), needed)
    for name, amount in peak.items():
        total[name] = max(total.get(name, Fraction()), amount)
    _add(total, {name: parse_quantity(amount).value for name, amount in (spec.get("overhead") or {}).items()})
    return total


def _add(total: dict[str, Fraction], more: dict[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction()) + amount


def host_ports(spec: Json) -> frozenset[HostPort]:
    """The ports of the node that a Pod's containers take."""
    return frozenset(
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in (*spec["containers"], *_sidecars(spec))
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def _sidecars(spec: Json) -> list[Json]:
    return [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]


@attrs.frozen
class PodInfo:
    """A Pod with what scheduling asks of it, read once."""

    pod: Json
    requests: dict[str, Fraction]
    ports: frozenset[HostPort]

    @classmethod
    def of(cls, pod: Json) -> PodInfo:
        return cls(pod, pod_requests(pod["spec"]) or NOTHING, host_ports(pod["spec"]))

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def labels(self) -> dict[str, str]:
        return self.pod["metadata"].get("labels") or {}

    @property
    def spec(self) -> Json:
        spec: Json = self.pod["spec"]
        return spec

    @property
    def repels(self) -> bool:
        """Whether the Pod keeps others away by required anti-affinity."""
        apart = (self.spec.get("affinity") or {}).get("podAntiAffinity") or {}
        return bool(apart.get("requiredDuringSchedulingIgnoredDuringExecution"))


class NodeInfo:
    """One node name: the Node object (None while there is none) and the Pods placed there, by uid."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Json | None = None
        self.pods: dict[str, PodInfo] = {}
        self.requested: dict[str, Fraction] = {}

    @property
    def labels(self) -> dict[str, str]:
        return (self.node or {}).get("metadata", {}).get("labels") or {}

    @property
    def taints(self) -> list[Json]:
        return (self.node or {}).get("spec", {}).get("taints") or []

    @property
    def allocatable(self) -> dict[str, str]:
        status = (self.node or {}).get("status") or {}
        return status.get("allocatable") or status.get("capacity") or {}

    def add(self, info: PodInfo) -> None:
        self.pods[info.uid] = info
        _add(self.requested, info.requests)

    def remove(self, uid: str) -> None:
        info = self.pods.pop(uid)
        for name, amount in info.requests.items():
            self.requested[name] -= amount

    def fork(self) -> NodeInfo:
        copy = NodeInfo(self.name)
        copy.node, copy.pods, copy.requested = self.node, self.pods.copy(), self.requested.copy()
        return copy


class Snapshot:
    """All nodes by name and where each placed Pod is; `repelling` are the Pods (by uid) that keep others away."""

    def __init__(self) -> None:
        self.infos: dict[str, NodeInfo] = {}
        self.repelling: dict[str, PodInfo] = {}
        self._places: dict[str, str] = {}

    @property
    def nodes(self) -> Iterator[NodeInfo]:
        """The nodes that exist, in the order of their names."""
        return (info for name, info in sorted(self.infos.items()) if info.node is not None)

    def set_node(self, name: str, node: Json | None) -> None:
        info = self._info(name)
        info.node = node
        if node is None and not info.pods:
            del self.infos[name]

    def place(self, pod: Json) -> None:
        """Count a Pod on its node, instead of what was known of it."""
        name = self._places.get(pod["metadata"]["uid"])
        known = self.infos[name].pods[pod["metadata"]["uid"]] if name is not None else None
        same = known is not None and known.pod["spec"] == pod["spec"]
        info = attrs.evolve(known, pod=pod) if known is not None and same else PodInfo.of(pod)
        self.forget(info.uid)
        name = self._places[info.uid] = pod["spec"]["nodeName"]
        self._info(name).add(info)
        if info.repels:
            self.repelling[info.uid] = info

    def forget(self, uid: str) -> bool:
        """Free what a Pod held; False when it was not placed."""
        name = self._places.pop(uid, None)
        if name is not None:
            self.infos[name].remove(uid)
            self.repelling.pop(uid, None)
        return name is not None

    def _info(self, name: str) -> NodeInfo:
        return self.infos.setdefault(name, NodeInfo(name))

    def fork(self) -> Snapshot:
        copy = Snapshot()
        copy.infos = {name: info.fork() for name, info in self.infos.items()}
        copy.repelling, copy._places = self.repelling.copy(), self._places.copy()
        return copy
