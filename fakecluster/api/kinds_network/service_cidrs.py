"""ServiceCIDR: where cluster IPs come from; the first ones are the server's own (KEP-1880)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.api import object_meta
from fakecluster.api.allocators import ServiceAllocators
from fakecluster.api.kinds_network.ip_text import strict_cidr
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, required

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakecluster.api.client import Client

RESOURCE = "servicecidrs.networking.k8s.io"
DEFAULT_NAME = "kubernetes"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
_PATH = "spec.cidrs"
_IMMUTABLE = "field is immutable"


def publish_default(client: Client, service_cidrs: Sequence[str]) -> None:
    """Make the ServiceCIDR of the server's own flags, ready as its two controllers leave it."""
    client.create(RESOURCE, {"metadata": {"name": DEFAULT_NAME}, "spec": {"cidrs": list(service_cidrs)}})
    ready = {"message": "Kubernetes default Service CIDR is ready"}
    _set_ready(client, DEFAULT_NAME, "kubernetes-service-cidr-controller", ready)
    finalizers = {"metadata": {"finalizers": [FINALIZER]}}
    client.patch(RESOURCE, DEFAULT_NAME, finalizers, field_manager="kube-controller-manager")
    _confirm(client, DEFAULT_NAME)


def _confirm(client: Client, name: str) -> None:
    """What the controller that watches ServiceCIDRs says of one whose addresses are handed out."""
    stamp = object_meta.timestamp(client.server.clock.unix_s)
    ready = {"message": "Kubernetes Service CIDR is ready", "reason": "", "lastTransitionTime": stamp}
    _set_ready(client, name, "service-cidr-controller", ready)


def _set_ready(client: Client, name: str, manager: str, details: dict[str, str]) -> None:
    config = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": "True", **details}]},
    }
    client.patch(RESOURCE, name, config, kind="apply", subresource="status", field_manager=manager, force=True)


def _cidrs(service_cidr: JsonObject) -> list[str]:
    return (service_cidr.get("spec") or {}).get("cidrs") or []


def validate_service_cidr(service_cidr: JsonObject) -> list[FieldError]:
    """Everything that is wrong with a ServiceCIDR (ValidateServiceCIDR)."""
    cidrs = _cidrs(service_cidr)
    if not cidrs:
        return [required(_PATH, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid(_PATH, {"CIDRs": cidrs}, "may only hold up to 2 values")]
    errors = [
        invalid(f"{_PATH}[{number}]", cidr, complaint)
        for number, cidr in enumerate(cidrs)
        for complaint in strict_cidr(cidr)
    ]
    if len(cidrs) == 2 and len({":" in cidr for cidr in cidrs}) == 1:
        words = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errors.append(invalid(_PATH, cidrs, words))
    return errors


def _validate_update(service_cidr: JsonObject, old: JsonObject) -> list[FieldError]:
    """A second family may be added; nothing else changes."""
    cidrs, was = _cidrs(service_cidr), _cidrs(old)
    if len(cidrs) == len(was):
        changed = [number for number, cidr in enumerate(was) if cidrs[number] != cidr]
        return [invalid(f"{_PATH}[{number}]", cidrs[number], _IMMUTABLE) for number in changed]
    if (len(was), len(cidrs)) != (1, 2):
        return [invalid(_PATH, cidrs, _IMMUTABLE)]
    errors = [] if cidrs[0] == was[0] else [invalid(f"{_PATH}[0]", cidrs[0], _IMMUTABLE)]
    return errors + validate_service_cidr(service_cidr)


def _created(service_cidr: JsonObject, request: Request) -> None:
    """Another ServiceCIDR is in use at once (a real cluster takes a moment); the default one is `publish_default`'s."""
    from fakecluster.api.client import Client  # the client is made of the strategies that this one belongs to

    if service_cidr["metadata"]["name"] == DEFAULT_NAME:
        return
    allocators: ServiceAllocators = request.allocators
    for cidr in service_cidr["spec"]["cidrs"]:
        if not allocators.has_cidr(cidr):
            allocators.add_cidr(cidr)
    _confirm(Client(request.server, user="system:apiserver"), service_cidr["metadata"]["name"])


def _deleted(service_cidr: JsonObject, request: Request) -> None:
    allocators: ServiceAllocators = request.allocators
    for cidr in service_cidr["spec"]["cidrs"]:
        allocators.remove_cidr(cidr)


SERVICE_CIDR = Strategy(
    validate=validate_service_cidr, validate_update=_validate_update, created=_created, deleted=_deleted
)
