"""Selectors select what one thinks: no Service without Pods, no Pod without or in two Services by accident, no typos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from fakecluster.checks.finding import WARNING, Finding

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Service

JsonObject = dict[str, Any]
#: How alike two words must be to be taken for a typo of each other.
ALIKE = 0.75


def selectors_match(cluster: Cluster) -> Iterator[Finding]:
    """Every selector matches a Pod, target ports exist, and no Pod stands behind two like Services."""
    pods = [pod.object for pod in cluster.pods]
    for service in cluster.services:
        selector = service.object["spec"].get("selector") or {}
        if not selector:
            continue
        mine = [pod for pod in pods if pod["metadata"]["namespace"] == service.kubernetes_namespace]
        matched = [pod for pod in mine if _selects(selector, pod)]
        if not matched:
            words = ",".join(f"{key}={value}" for key, value in selector.items())
            problem = f"the selector {words} matches no Pod{_near_miss(selector, mine)}"
            yield Finding("selectors", f"svc/{service.kubernetes_namespace}/{service.name}", problem)
        yield from _target_ports(service, matched)
    yield from _overlaps(cluster)
    yield from _unselected(cluster, pods)


def _unselected(cluster: Cluster, pods: list[JsonObject]) -> Iterator[Finding]:
    """Pods that offer ports and that no Service selects, in namespaces where Services select others."""
    selectors: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for service in cluster.services:
        if service.object["spec"].get("selector"):
            selectors[service.kubernetes_namespace].append(service.object["spec"]["selector"])
    told: set[tuple[str, str]] = set()
    for pod in pods:
        meta = pod["metadata"]
        mine = selectors[meta["namespace"]]
        ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
        owner = next((one["name"] for one in meta.get("ownerReferences") or ()), meta["name"])
        if mine and ports and not any(_selects(one, pod) for one in mine) and (meta["namespace"], owner) not in told:
            told.add((meta["namespace"], owner))  # one of a ReplicaSet's Pods stands for all
            problem = f"offers port {ports[0]['containerPort']} and no Service selects it"
            yield Finding("selectors", f"pod/{meta['namespace']}/{meta['name']}", problem, WARNING)


def _selects(selector: Mapping[str, str], pod: JsonObject) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _near_miss(selector: Mapping[str, str], pods: list[JsonObject]) -> str:
    """The label of a Pod that was probably meant."""
    best, words = ALIKE, ""
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        wrong = [f"{key}={value}" for key, value in selector.items() if labels.get(key) != value]
        for label in (f"{key}={value}" for key, value in labels.items()) if len(wrong) == 1 else ():
            likeness = SequenceMatcher(None, wrong[0], label).ratio()
            if likeness > best:
                best, words = likeness, f"; Pod {pod['metadata']['name']} has {label}"
    return words


def _target_ports(service: Service, pods: list[JsonObject]) -> Iterator[Finding]:
    """A named target port that none of the Pods has, a number that none of them declares."""
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    ports = [port for container in containers for port in container.get("ports") or ()]
    if not pods:
        return
    for port in service.object["spec"].get("ports") or ():
        target, protocol = port.get("targetPort", port["port"]), port.get("protocol", "TCP")
        fitting = [own for own in ports if own.get("protocol", "TCP") == protocol]
        subject = f"svc/{service.kubernetes_namespace}/{service.name}:{port['port']}"
        if isinstance(target, str) and not any(own.get("name") == target for own in fitting):
            names = ", ".join(sorted({own["name"] for own in fitting if own.get("name")})) or "none"
            yield Finding("selectors", subject, f"no Pod has a {protocol} port named {target!r} (there are: {names})")
        elif isinstance(target, int) and fitting and not any(own["containerPort"] == target for own in fitting):
            numbers = ", ".join(sorted({str(own["containerPort"]) for own in fitting}))
            problem = f"target port {target} is declared by no Pod (declared: {numbers})"
            yield Finding("selectors", subject, problem, WARNING)


def _overlaps(cluster: Cluster) -> Iterator[Finding]:
    """Services of one namespace whose selectors differ and yet share Pods."""
    seen: list[tuple[Service, Mapping[str, str], frozenset[str]]] = []
    for service in cluster.services:
        selector = service.object["spec"].get("selector") or {}
        names = frozenset(pod.name for pod in service.pods) if selector else frozenset()
        for other, its_selector, its_names in seen:
            shared = names & its_names
            if shared and selector != its_selector and other.kubernetes_namespace == service.kubernetes_namespace:
                problem = f"shares the Pods {', '.join(sorted(shared))} with svc/{other.name}, whose selector differs"
                yield Finding("selectors", f"svc/{service.kubernetes_namespace}/{service.name}", problem, WARNING)
        seen.append((service, selector, names))
