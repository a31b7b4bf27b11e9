"""Service: how a write of one goes through defaults, allocation and validation."""

from __future__ import annotations

from fakecluster.api import names
from fakecluster.api.kinds_network.service_allocation import (
    allocate_create,
    allocate_update,
    release_all,
    release_update,
)
from fakecluster.api.kinds_network.service_defaults import default_service
from fakecluster.api.kinds_network.service_update import (
    drop_inapplicable,
    normalise_addresses,
    restore_allocated,
    validate_service_update,
)
from fakecluster.api.kinds_network.service_validation import (
    TRAFFIC_POLICIES,
    validate_service,
    validate_service_status,
)
from fakecluster.api.kinds_network.service_warnings import service_warnings
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import Request, Strategy


def _prepare_create(service: JsonObject, request: Request) -> None:
    spec = service["spec"]
    normalise_addresses(spec, None)
    allocate_create(service, request)
    _drop_internal_policy(spec)


def _prepare_update(service: JsonObject, before: JsonObject, request: Request) -> None:
    spec, old = service["spec"], before["spec"]
    restore_allocated(spec, old)
    normalise_addresses(spec, old)
    allocate_update(service, before, request)
    drop_inapplicable(spec, old)
    _drop_internal_policy(spec)
    status = service.get("status") or {}
    if spec["type"] != "LoadBalancer" and status.get("loadBalancer"):
        service["status"] = {**status, "loadBalancer": {}}


def _drop_internal_policy(spec: JsonObject) -> None:
    """ExternalName Services are read without a policy, though clients may write a valid one."""
    if spec["type"] == "ExternalName" and spec.get("internalTrafficPolicy") in TRAFFIC_POLICIES:
        del spec["internalTrafficPolicy"]


SERVICE = Strategy(
    default=default_service,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    validate=validate_service,
    validate_update=validate_service_update,
    validate_status=validate_service_status,
    warnings=service_warnings,
    updated=release_update,
    deleted=release_all,
    name=names.with_prefix(names.dns_label),
    create_on_update=True,
)
