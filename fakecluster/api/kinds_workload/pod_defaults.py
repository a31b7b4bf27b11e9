"""Defaults of Pods and Pod templates, and the fields that the server keeps in two spellings at once.

Source: Kubernetes pkg/apis/core/v1/defaults.go and conversion.go. Functions change the working copy they are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fakecluster.api.kinds_workload.images import pull_policy
from fakecluster.api.kinds_workload.quantity import rounded_to_milli
from fakecluster.api.kinds_workload.volume_defaults import default_volume

Json = dict[str, Any]

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def default_pod(pod: Json) -> None:
    """Fill in what a Pod leaves out."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    for container in containers(spec):
        _default_requests(container.get("resources"))
    _default_pod_requests(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        _default_host_ports(spec)
    mirror_status_addresses(pod.get("status"))


def default_template(template: Json) -> None:
    """Fill in what a Pod template leaves out: fewer fields than in a Pod (no service links, requests, host ports)."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Json) -> None:
    """Defaults that a Pod and a Pod template share."""
    for volume in spec.get("volumes") or ():
        default_volume(volume)
    for kind in CONTAINER_LISTS:
        for container in spec.get(kind) or ():
            _default_container(container)
    round_amounts(spec.get("overhead"))
    for part in ("limits", "requests"):
        round_amounts((spec.get("resources") or {}).get(part))
    _unless_set(spec, "dnsPolicy", "ClusterFirst")
    _unless_set(spec, "restartPolicy", "Always")
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    _unless_set(spec, "schedulerName", "default-scheduler")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def containers(spec: Mapping[str, Any]) -> Iterator[Json]:
    """Init containers, then containers: all that take part in ports, requests and service accounts."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def mirror_status_addresses(status: Json | None) -> None:
    """`podIP` and the first of `podIPs` are one value in two places; where they differ, `podIP` wins."""
    if not status:
        return
    address, addresses = status.get("podIP"), status.get("podIPs")
    if address and (not addresses or addresses[0].get("ip") != address):
        status["podIPs"] = [{"ip": address}]
    elif addresses and not address:
        status["podIP"] = addresses[0].get("ip", "")


def _unless_set(target: Json, key: str, value: Any) -> None:
    if not target.get(key):
        target[key] = value


def _default_container(container: Json) -> None:
    for port in container.get("ports") or ():
        _unless_set(port, "protocol", "TCP")
    for variable in container.get("env") or ():
        _default_env_source(variable.get("valueFrom"))
    if container.get("resources") is None:
        container["resources"] = {}
    for part in ("limits", "requests"):
        round_amounts(container["resources"].get(part))
    for name in PROBES:
        _default_probe(container.get(name))
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_http_get(hook.get("httpGet"))
    _unless_set(container, "terminationMessagePath", "/dev/termination-log")
    _unless_set(container, "terminationMessagePolicy", "File")
    _unless_set(container, "imagePullPolicy", pull_policy(container.get("image") or ""))
    security = container.get("securityContext")
    if security and security.get("privileged") is None and security.get("procMount") == "":
        security["procMount"] = "Default"


def round_amounts(amounts: Json | None) -> None:
    """Amounts of resources are kept in thousandths (SetDefaults_ResourceList)."""
    if amounts:
        amounts.update({name: rounded_to_milli(text) for name, text in amounts.items()})


def _default_env_source(source: Json | None) -> None:
    if not source:
        return
    if source.get("fieldRef") is not None:
        _unless_set(source["fieldRef"], "apiVersion", "v1")
    if source.get("resourceFieldRef") is not None:
        _unless_set(source["resourceFieldRef"], "divisor", "0")
    if source.get("fileKeyRef") is not None and source["fileKeyRef"].get("optional") is None:
        source["fileKeyRef"]["optional"] = False


def _default_probe(probe: Json | None) -> None:
    if probe is None:
        return
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        _unless_set(probe, name, value)
    _default_http_get(probe.get("httpGet"))
    if probe.get("grpc") is not None and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _default_http_get(action: Json | None) -> None:
    if action is None:
        return
    _unless_set(action, "path", "/")
    _unless_set(action, "scheme", "HTTP")


def _default_requests(resources: Json | None) -> None:
    """What is limited but not requested is requested in full."""
    limits = (resources or {}).get("limits")
    if not limits or resources is None:
        return
    resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _default_pod_requests(spec: Json) -> None:
    """Pod-level limits turn into Pod-level requests where no container asks for that resource (KEP-2837)."""
    resources = spec.get("resources")
    limits = (resources or {}).get("limits")
    if not limits or resources is None:
        return
    requests = dict(resources.get("requests") or {})
    asked = {name for c in containers(spec) for name in (c.get("resources") or {}).get("requests") or {}}
    requests.update({name: limits[name] for name in limits if name not in requests and name not in asked})
    if requests:
        resources["requests"] = requests


def _default_host_ports(spec: Json) -> None:
    for container in containers(spec):
        for port in container.get("ports") or ():
            _unless_set(port, "hostPort", port.get("containerPort", 0))
            if not port["hostPort"]:
                del port["hostPort"]
