"""A container's environment, from what the API server holds when the container starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.kubelet.host import Host
from fakecluster.controllers.kubelet.run import PodRun
from fakecluster.discovery.envvars import MASTER_SERVICES, container_env

Json = dict[str, Any]


class ConfigProblem(Exception):
    """The environment cannot be made: the container waits in CreateContainerConfigError with this message."""


class _Objects(Mapping[str, Json]):
    """The objects of one resource in one namespace by name, read when they are asked for."""

    def __init__(self, client: Client, resource: str, namespace: str) -> None:
        self._client, self._resource, self._namespace = client, resource, namespace

    def __getitem__(self, name: str) -> Json:
        try:
            return self._client.get(self._resource, name, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (obj["metadata"]["name"] for obj in self._client.list(self._resource, self._namespace))

    def __len__(self) -> int:
        return len(self._client.list(self._resource, self._namespace))


def environment(host: Host, run: PodRun, container: Json) -> dict[str, str]:
    """The variables of one container; raises `ConfigProblem` when a source is missing."""
    namespace = run.pod["metadata"]["namespace"]
    try:
        return container_env(
            run.pod,
            container,
            _services(host.client, namespace, links=run.pod["spec"].get("enableServiceLinks", True)),
            _Objects(host.client, "configmaps", namespace),
            _Objects(host.client, "secrets", namespace),
            pod_ips=run.ips or (),
            host_ips=host.ips,
            allocatable=_allocatable(host),
        )
    except ValueError as problem:
        raise ConfigProblem(str(problem)) from None


def _allocatable(host: Host) -> Json:
    """What the node can give to Pods."""
    node = host.client.server.store.get("nodes", "", host.node_name)
    return ((node or {}).get("status") or {}).get("allocatable") or {}


def _services(client: Client, namespace: str, *, links: bool) -> list[Json]:
    """The Services that can matter: those of the Pod's namespace and the API server's own."""
    found = client.list("services", namespace) if links else []
    default = _Objects(client, "services", "default")
    masters = [default[name] for name in sorted(MASTER_SERVICES) if name in default]
    return [*masters, *(service for service in found if namespace != "default" or service not in masters)]
