"""The control plane agrees with itself: slices list the selected Pods, addresses and ports are given out once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fakecluster.checks.finding import Finding

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Service

JsonObject = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"


def slices_list_the_selected_pods(cluster: Cluster) -> Iterator[Finding]:
    """The EndpointSlices of a Service with a selector hold each Pod that it selects, ready as the Pod is."""
    pods = cluster.seen.list("pods")
    for service in cluster.services:
        selector = service.object["spec"].get("selector")
        if not selector or service.object["spec"]["type"] == "ExternalName":
            continue
        wanted = {
            pod["metadata"]["name"]: _is_ready(pod, service)
            for pod in pods
            if pod["metadata"]["namespace"] == service.kubernetes_namespace and _is_published(pod, selector)
        }
        seen = {
            endpoint["targetRef"]["name"]: (endpoint.get("conditions") or {}).get("ready", True)
            for entry in service.slices
            for endpoint in entry.get("endpoints") or ()
            if endpoint.get("targetRef")
        }
        subject = f"svc/{service.kubernetes_namespace}/{service.name}"
        for name in sorted(wanted.keys() | seen.keys()):
            problem = _difference(name, wanted.get(name), seen.get(name))
            if problem:
                yield Finding("endpoints", subject, problem)
        yield from _ports(service, [pod for pod in pods if pod["metadata"]["name"] in wanted])


def _is_published(pod: JsonObject, selector: dict[str, str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    status = pod.get("status") or {}
    alive = status.get("phase") in ("Running", "Pending") and bool(status.get("podIP"))
    return alive and selector.items() <= labels.items()


def _is_ready(pod: JsonObject, service: Service) -> bool:
    if service.object["spec"].get("publishNotReadyAddresses"):
        return True
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod["status"].get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _difference(name: str, wanted: bool | None, seen: bool | None) -> str:
    if seen is None:
        return f"Pod {name} is selected and stands in no EndpointSlice"
    if wanted is None:
        return f"Pod {name} stands in an EndpointSlice and is not selected"
    words = {True: "ready", False: "not ready"}
    return "" if wanted == seen else f"Pod {name} is {words[wanted]}, its EndpointSlice says {words[seen]}"


def _ports(service: Service, pods: list[JsonObject]) -> Iterator[Finding]:
    """Each port of the Service is in the slices under its name with the number that its target means."""
    for port in service.object["spec"].get("ports") or ():
        target = port.get("targetPort", port["port"])
        wanted = {number for pod in pods if (number := _number(pod, target, port.get("protocol", "TCP")))}
        seen = {
            own["port"]
            for entry in service.slices
            for own in entry.get("ports") or ()
            if (own.get("name") or "") == (port.get("name") or "") and entry.get("endpoints")
        }
        if seen != wanted:
            subject = f"svc/{service.kubernetes_namespace}/{service.name}:{port['port']}"
            problem = f"target port {target} is {sorted(wanted)} in the Pods and {sorted(seen)} in the EndpointSlices"
            yield Finding("endpoints", subject, problem)


def _number(pod: JsonObject, target: int | str, protocol: str) -> int:
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return 0


def allocations_are_unique(cluster: Cluster) -> Iterator[Finding]:
    """No two Services share a cluster IP or a node port, no two Pods an IP."""
    owners: dict[str, list[str]] = defaultdict(list)
    for service in cluster.seen.list("services"):
        name = f"svc/{service['metadata']['namespace']}/{service['metadata']['name']}"
        for address in service["spec"].get("clusterIPs") or ():
            if address != "None":
                owners[f"cluster IP {address}"].append(name)
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort"):
                owners[f"node port {port['nodePort']}/{port.get('protocol', 'TCP')}"].append(name)
    for pod in cluster.seen.list("pods"):
        status = pod.get("status") or {}
        if not pod["spec"].get("hostNetwork") and status.get("phase") in ("Running", "Pending"):
            name = f"pod/{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for entry in status.get("podIPs") or ():
                owners[f"Pod IP {entry['ip']}"].append(name)
    for what, names in owners.items():
        if len(names) > 1:
            yield Finding("unique", names[0], f"{what} belongs to {' and '.join(names)}")
