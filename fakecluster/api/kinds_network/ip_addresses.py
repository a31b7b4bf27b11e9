"""IPAddress: every cluster IP has one, made and removed with the Service that uses it (KEP-1880)."""

from __future__ import annotations

from contextlib import suppress

from fakecluster.api import names
from fakecluster.api.allocators import AllocationError, ServiceAllocators
from fakecluster.api.kinds_network.ip_text import canonical, strict_ip
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.strategy import FieldError, Request, Strategy, invalid, required

RESOURCE = "ipaddresses.networking.k8s.io"
_LABELS = "ipaddress.kubernetes.io"


def publish_address(address: str, family: str, service: JsonObject, request: Request) -> str:
    """Store the IPAddress of a cluster IP; the answer is why the server refuses it, empty when all is well."""
    from fakecluster.api.client import Client  # the client is made of the strategies that this one belongs to

    meta = service["metadata"]
    labels = {f"{_LABELS}/ip-family": family, f"{_LABELS}/managed-by": "ipallocator.k8s.io"}
    parent = {"resource": "services", "namespace": meta["namespace"], "name": meta.get("name", "")}
    client = Client(request.server, user="system:apiserver", agent="kube-apiserver")
    try:
        name = canonical(address)
        client.create(RESOURCE, {"metadata": {"name": name, "labels": labels}, "spec": {"parentRef": parent}})
    except ApiError as refusal:
        return refusal.message
    return ""


def withdraw_address(address: str, request: Request) -> None:
    """Remove the IPAddress of a cluster IP that is free again."""
    name = canonical(address)
    if request.store.stored(RESOURCE, "", name) is not None:
        request.store.remove(RESOURCE, "", name)


def validate_ip_address(ip_address: JsonObject) -> list[FieldError]:
    """Everything that is wrong with an IPAddress (ValidateIPAddress)."""
    path, parent = "spec.parentRef", (ip_address.get("spec") or {}).get("parentRef")
    if parent is None:
        return [required(path)]
    group = parent.get("group") or ""
    errors = [invalid(f"{path}.group", group, c) for c in names.dns_subdomain(group)] if group else []
    for key in ("resource", "name", "namespace"):
        value = parent.get(key) or ""
        if not value and key != "namespace":
            errors.append(required(f"{path}.{key}"))
        errors += [invalid(f"{path}.{key}", value, complaint) for complaint in names.path_segment(value)]
    return errors


def _validate_update(ip_address: JsonObject, old: JsonObject) -> list[FieldError]:
    parent = (ip_address.get("spec") or {}).get("parentRef")
    if parent == old["spec"]["parentRef"]:
        return []
    printed = parent and {key.title(): parent.get(key, "") for key in ("group", "resource", "namespace", "name")}
    return [invalid("spec.parentRef", printed, "field is immutable")]


def _name(text: str, is_prefix: bool) -> list[str]:
    del is_prefix
    return strict_ip(text)


def _created(ip_address: JsonObject, request: Request) -> None:
    """An address that has an object is taken, whoever made the object."""
    allocators: ServiceAllocators = request.allocators
    with suppress(AllocationError):
        allocators.take_address(ip_address["metadata"]["name"])


def _deleted(ip_address: JsonObject, request: Request) -> None:
    allocators: ServiceAllocators = request.allocators
    allocators.give_back_address(ip_address["metadata"]["name"])


IP_ADDRESS = Strategy(
    validate=validate_ip_address, validate_update=_validate_update, name=_name, created=_created, deleted=_deleted
)
