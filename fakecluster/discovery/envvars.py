"""Service discovery by environment variables, and a container's whole environment as the kubelet makes it.

Sources: pkg/kubelet/envvars/envvars.go (Services -> variables), pkg/kubelet/kubelet_pods.go (which Services, envFrom,
env, `$(VAR)` expansion), pkg/fieldpath/fieldpath.go (the downward API). Errors are ValueError in the kubelet's words; a
container whose environment cannot be made waits in CreateContainerConfigError.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from fakecluster.discovery.downward import Addresses, field_value, resource_value

#: Services of the namespace `default` that every Pod learns of, whatever its namespace and enableServiceLinks.
MASTER_SERVICES = frozenset({"kubernetes"})
_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")


@attrs.frozen
class EnvVar:
    """One environment variable; prints as `NAME=value`."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


def service_variables(services: Iterable[Mapping[str, Any]]) -> list[EnvVar]:
    """The variables of these Services, in their order; headless ones and those without a ClusterIP have none."""
    return [variable for service in services if _has_cluster_ip(service) for variable in _variables(service)]


def pod_service_variables(
    services: Iterable[Mapping[str, Any]], namespace: str, *, service_links: bool = True
) -> dict[str, str]:
    """What a Pod of `namespace` learns about Services: its own namespace's (with service links) and `kubernetes`.

    `services` are those of the whole cluster in store order; where two names give the same variable, the later
    Service wins (the real order is that of a Go map).
    """
    chosen: dict[str, Mapping[str, Any]] = {}
    for service in services:
        metadata = service["metadata"]
        name, own = metadata["name"], metadata.get("namespace") == namespace
        if not _has_cluster_ip(service):
            continue
        if metadata.get("namespace") == "default" and name in MASTER_SERVICES:
            chosen.setdefault(name, service)
        elif own and service_links:
            chosen[name] = service
    return {variable.name: variable.value for variable in service_variables(chosen.values())}


def container_env(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    services: Iterable[Mapping[str, Any]],
    config_maps: Mapping[str, Mapping[str, Any]],
    secrets: Mapping[str, Mapping[str, Any]],
    *,
    pod_ips: Sequence[str] = (),
    host_ips: Sequence[str] = (),
    allocatable: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, str]:
    """A container's environment: envFrom, then env with references expanded, then the Services' variables.

    `services` are the cluster's, `config_maps` and `secrets` those of the Pod's namespace by name; addresses are the
    Pod's and its node's, primary family first; `allocatable` is what the node can give (limits default to it).
    Raises ValueError in the kubelet's words.
    """
    links = pod["spec"].get("enableServiceLinks")
    if links is None:
        raise ValueError("nil pod.spec.enableServiceLinks encountered, cannot construct envvars")
    found = pod_service_variables(services, pod["metadata"].get("namespace", ""), service_links=links)
    sources = Sources(pod, container, config_maps, secrets, Addresses(tuple(pod_ips), tuple(host_ips)), allocatable)
    own = dict(_from_sources(sources))
    for variable in container.get("env") or ():
        value = _value(variable, sources, (own, found))
        if value is not None:
            own[variable["name"]] = value
    return {**own, **{name: value for name, value in found.items() if name not in own}}


@attrs.frozen
class Sources:
    """Where the values of one container's variables may come from."""

    pod: Mapping[str, Any]
    container: Mapping[str, Any]
    config_maps: Mapping[str, Mapping[str, Any]]
    secrets: Mapping[str, Mapping[str, Any]]
    addresses: Addresses
    allocatable: Mapping[str, Any]

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"].get("namespace", ""))


def expand(text: str, *contexts: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value in the first context that has it; `$$` is `$`, unknown names stay as written."""

    def replacement(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return next((context[match[2]] for context in contexts if match[2] in context), match[0])

    return _REFERENCE.sub(replacement, text)


def _has_cluster_ip(service: Mapping[str, Any]) -> bool:
    return service["spec"].get("clusterIP") not in (None, "", "None")


def _variables(service: Mapping[str, Any]) -> Iterator[EnvVar]:
    prefix = _variable_name(service["metadata"]["name"])
    host, ports = service["spec"]["clusterIP"], service["spec"]["ports"]
    yield EnvVar(f"{prefix}_SERVICE_HOST", host)
    yield EnvVar(f"{prefix}_SERVICE_PORT", str(ports[0]["port"]))
    for port in ports:
        if port.get("name"):
            yield EnvVar(f"{prefix}_SERVICE_PORT_{_variable_name(port['name'])}", str(port["port"]))
    for first, port in zip((True, *[False] * (len(ports) - 1)), ports, strict=True):
        yield from _link_variables(prefix, host, port, first=first)


def _link_variables(prefix: str, host: str, port: Mapping[str, Any], *, first: bool) -> Iterator[EnvVar]:
    """The forms that Docker's container links once had."""
    number, protocol = port["port"], port.get("protocol") or "TCP"
    url = f"{protocol.lower()}://{f'[{host}]' if ':' in host else host}:{number}"
    if first:
        yield EnvVar(f"{prefix}_PORT", url)
    stem = f"{prefix}_PORT_{number}_{protocol.upper()}"
    yield EnvVar(stem, url)
    yield EnvVar(f"{stem}_PROTO", protocol.lower())
    yield EnvVar(f"{stem}_PORT", str(number))
    yield EnvVar(f"{stem}_ADDR", host)


def _variable_name(name: str) -> str:
    return name.replace("-", "_").upper()


def _from_sources(sources: Sources) -> Iterator[tuple[str, str]]:
    for source in sources.container.get("envFrom") or ():
        prefix = source.get("prefix") or ""
        for key, read in KEY_SOURCES.items():
            reference = source.get(f"{key}Ref")
            if reference is not None:
                yield from ((prefix + name, value) for name, value in (read(reference, sources) or {}).items())


def _value(variable: Mapping[str, Any], sources: Sources, contexts: Sequence[Mapping[str, str]]) -> str | None:
    if variable.get("value"):
        return expand(variable["value"], *contexts)
    origin: Mapping[str, Any] = variable.get("valueFrom") or {}
    for key, read in VALUE_SOURCES.items():
        if origin.get(key) is not None:
            return read(origin[key], sources)
    return ""


def _config_map(reference: Mapping[str, Any], sources: Sources) -> Mapping[str, str] | None:
    found = _object("configmap", reference, sources.config_maps)
    return None if found is None else found.get("data") or {}


def _secret(reference: Mapping[str, Any], sources: Sources) -> Mapping[str, str] | None:
    found = _object("secret", reference, sources.secrets)
    if found is None:
        return None
    data = found.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}


def _object(
    kind: str, reference: Mapping[str, Any], objects: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    name = reference.get("name") or ""
    found = objects.get(name)
    if found is None and not reference.get("optional"):
        raise ValueError(f'{kind} "{name}" not found')
    return found


def _key(kind: str, read: Reader) -> Callable[[Mapping[str, Any], Sources], str | None]:
    def value(reference: Mapping[str, Any], sources: Sources) -> str | None:
        values = read(reference, sources)
        if values is None:
            return None
        key = reference["key"]
        if key not in values and not reference.get("optional"):
            raise ValueError(f"couldn't find key {key} in {kind} {sources.namespace}/{reference.get('name') or ''}")
        return values.get(key)

    return value


Reader = Callable[[Mapping[str, Any], Sources], Mapping[str, str] | None]
KEY_SOURCES: dict[str, Reader] = {"configMap": _config_map, "secret": _secret}
VALUE_SOURCES: dict[str, Callable[[Mapping[str, Any], Sources], str | None]] = {
    "fieldRef": lambda reference, sources: field_value(reference, sources.pod, sources.addresses),
    "resourceFieldRef": lambda reference, sources: resource_value(
        reference, sources.pod, sources.container, sources.allocatable
    ),
    "configMapKeyRef": _key("ConfigMap", _config_map),
    "secretKeyRef": _key("Secret", _secret),
}
