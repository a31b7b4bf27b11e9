"""What the server warns about in Pods and templates that it accepts (pkg/api/pod/warnings.go)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.api import names
from fakecluster.api.go_values import go_quote
from fakecluster.api.kinds_network.ip_text import ip_warnings
from fakecluster.api.kinds_workload.quantity import parse_quantity

Json = dict[str, Any]

_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_VOLUMES = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
}
_CRITICAL = "scheduler.alpha.kubernetes.io/critical-pod"
_HOSTNAME = "which can result in surprising behavior; a DNS label is recommended"
_BYTES = ("memory", "ephemeral-storage")


def pod_warnings(new: Json, old: Json | None) -> list[str]:
    """A Pod's own; an update warns only when something that is looked at has changed."""
    if old is not None and new["spec"] == old["spec"] and new["metadata"] == old["metadata"]:
        return []
    found: list[str] = []
    complaints = names.dns_label(new["metadata"].get("name", "")) if old is None else []
    if complaints:
        found.append(f"metadata.name: this is used in the Pod's hostname, {_HOSTNAME}: [{' '.join(complaints)}]")
    return found + list(_spec_warnings(new["spec"], "spec", new["metadata"].get("annotations") or {}, "metadata"))


def template_warnings(*, named: bool = True) -> Callable[[Json, Json | None], list[str]]:
    """The warnings of a workload: about its template and, where Pods are named after it (`named`), about its name."""

    def warnings(new: Json, old: Json | None) -> list[str]:
        found: list[str] = []
        template = new["spec"]["template"]
        complaints = names.dns_label(new["metadata"].get("name", "")) if named and old is None else []
        if complaints:
            words = f"this is used in Pod names and hostnames, {_HOSTNAME}: [{' '.join(complaints)}]"
            found.append(f"metadata.name: {words}")
        if old is not None and old["spec"]["template"] == template:
            return found
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        field = "spec.template"
        return found + list(_spec_warnings(template["spec"], f"{field}.spec", annotations, f"{field}.metadata"))

    return warnings


def _spec_warnings(spec: Json, field: str, annotations: dict[str, str], meta_field: str) -> Iterator[str]:
    for label in spec.get("nodeSelector") or ():
        if label in _LABELS:
            yield f"{field}.nodeSelector[{label}]: {_LABELS[label]}"
    for number, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        key = constraint.get("topologyKey", "")
        if key in _LABELS:
            yield f"{field}.topologySpreadConstraints[{number}].topologyKey: {key} is {_LABELS[key]}"
    if _CRITICAL in annotations:
        words = 'non-functional in v1.16+; use the "priorityClassName" field instead'
        yield f"{meta_field}.annotations[{_CRITICAL}]: {words}"
    for number, volume in enumerate(spec.get("volumes") or ()):
        for kind, words in _VOLUMES.items():
            if volume.get(kind) is not None:
                yield f"{field}.volumes[{number}].{kind}: {words}"
    yield from _aliases(spec.get("hostAliases") or [], f"{field}.hostAliases")
    yield from _pull_secrets(spec.get("imagePullSecrets") or [], f"{field}.imagePullSecrets")
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield from _container(container, f"{field}.{kind}[{number}]")
    yield from _fractions(spec.get("overhead") or {}, f"{field}.overhead")
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        words = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{field}.terminationGracePeriodSeconds: {words}"
    yield from _port_names(spec, field)
    for number, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        yield from ip_warnings(f"{field}.dnsConfig.nameservers[{number}]", server)


def _aliases(aliases: list[Json], field: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, alias in enumerate(aliases):
        address = alias.get("ip", "")
        if address in seen:
            yield f"{field}[{number}].ip: duplicate ip {go_quote(address)}"
        seen.add(address)
        yield from ip_warnings(f"{field}[{number}].ip", address)


def _pull_secrets(secrets: list[Json], field: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, secret in enumerate(secrets):
        name = secret.get("name", "")
        if not name:
            yield f'{field}[{number}].name: invalid empty name ""'
        elif name in seen:
            yield f"{field}[{number}].name: duplicate name {go_quote(name)}"
        seen.add(name)


def _container(container: Json, field: str) -> Iterator[str]:
    resources = container.get("resources")
    if resources:
        for part in ("limits", "requests"):
            yield from _fractions(resources.get(part) or {}, f"{field}.resources.{part}")
    seen: set[str] = set()
    for number, variable in enumerate(container.get("env") or ()):
        name = variable.get("name", "")
        if name in seen:
            words = f"hides previous definition of {go_quote(name)}, which may be dropped when using apply"
            yield f"{field}.env[{number}]: {words}"
        seen.add(name)


def _fractions(amounts: dict[str, str], field: str) -> Iterator[str]:
    for name in _BYTES:
        if name in amounts and parse_quantity(amounts[name]).value.denominator != 1:
            words = f"fractional byte value {go_quote(amounts[name])} is invalid, must be an integer"
            yield f"{field}[{name}]: {words}"


def _port_names(spec: Json, field: str) -> Iterator[str]:
    """Ports of all containers that run side by side: one name, one number, one place."""
    named: dict[str, str] = {}
    numbers: dict[tuple[int, str, int, str], str] = {}
    for place, container in _side_by_side(spec, field):
        for number, port in enumerate(container.get("ports") or ()):
            here, name = f"{place}.ports[{number}]", port.get("name", "")
            number_key = (
                port.get("containerPort", 0),
                port.get("protocol", ""),
                port.get("hostPort", 0),
                port.get("hostIP", ""),
            )
            if name and (first := named.setdefault(name, here)) != here:
                words = f"services and probes that select ports by name will use {first}"
                yield f"{here}: duplicate port name {go_quote(name)} with {first}, {words}"
            if (first := numbers.setdefault(number_key, here)) != here:
                yield f"{here}: duplicate port definition with {first}"


def _side_by_side(spec: Json, field: str) -> Iterator[tuple[str, Json]]:
    for number, container in enumerate(spec.get("containers") or ()):
        yield f"{field}.containers[{number}]", container
    for number, container in enumerate(spec.get("initContainers") or ()):
        if container.get("restartPolicy") == "Always":
            yield f"{field}.initContainers[{number}]", container
