"""What a write of a Service takes from the allocators, and what it gives back.

A create or an update takes what it needs before it is validated (so a taken address hides every other mistake) and
gives it back when it fails. What an update no longer needs is given back once it is stored. Every cluster IP has an
IPAddress object that names its Service. Source: registry/core/service/storage/alloc.go, ipallocator/ipallocator.go.

    dry run: nothing is taken; "any" address is the first of the CIDR, "any" port the first of the range
"""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import status
from fakecluster.api.allocators import AllocationError, PortOperation, ServiceAllocators
from fakecluster.api.kinds_network.ip_addresses import publish_address, withdraw_address
from fakecluster.api.kinds_network.service_defaults import NODE_PORT_TYPES, needs_health_check
from fakecluster.api.kinds_network.service_families import fill_families, settled_dual_stack
from fakecluster.api.kinds_network.service_update import node_ports
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.strategy import FieldError, Request, invalid, invalid_object


def allocate_create(service: JsonObject, request: Request) -> None:
    """Complete the families of a new Service and take its addresses and ports; raises ApiError."""
    spec, allocators = service["spec"], _allocators(request)
    _refuse(request, service, fill_families(spec, None, allocators.families))
    _take_addresses(service, request)
    operation = _ports(request)
    if spec["type"] in NODE_PORT_TYPES:
        _take_node_ports(service, operation, request)
    if needs_health_check(spec):
        _take_health_check(spec, operation)


def allocate_update(service: JsonObject, before: JsonObject, request: Request) -> None:
    """As `allocate_create`, for what the update adds; raises ApiError."""
    spec, old = service["spec"], before["spec"]
    _refuse(request, service, fill_families(spec, old, _allocators(request).families))
    _update_addresses(service, old, request)
    operation = _ports(request)
    if spec["type"] in NODE_PORT_TYPES:
        _update_node_ports(service, old, operation, request)
    if needs_health_check(spec) and not needs_health_check(old):
        _take_health_check(spec, operation)


def release_update(service: JsonObject, before: JsonObject, request: Request) -> None:
    """Give back what the stored update no longer uses."""
    new = _used(service["spec"])
    _release([used for used in _used(before["spec"]) if used not in new], request)


def release_all(service: JsonObject, request: Request) -> None:
    """Give back everything that a deleted Service used."""
    _release(_used(service["spec"]), request)


def _allocators(request: Request) -> ServiceAllocators:
    found: ServiceAllocators = request.allocators
    return found


def _refuse(request: Request, service: JsonObject, errors: list[FieldError]) -> None:
    if errors:
        raise invalid_object(request.resource, service["metadata"].get("name", ""), errors)


def _used(spec: JsonObject) -> list[str | int]:
    used: list[str | int] = list(node_ports(spec)) if spec["type"] in NODE_PORT_TYPES else []
    if needs_health_check(spec) and spec.get("healthCheckNodePort"):
        used.append(spec["healthCheckNodePort"])
    if spec["type"] != "ExternalName":
        used += [address for address in spec.get("clusterIPs") or () if address != "None"]
    return used


def _release(used: list[str | int], request: Request) -> None:
    allocators = _allocators(request)
    for one in used:
        if isinstance(one, int):
            allocators.ports.give_back(one)
        else:
            allocators.give_back_address(one)
            withdraw_address(one, request)


# --- addresses


def _take_addresses(service: JsonObject, request: Request) -> None:
    spec = service["spec"]
    addresses = spec.get("clusterIPs") or []
    if spec["type"] == "ExternalName" or addresses[:1] == ["None"]:
        return
    families = spec["ipFamilies"]
    wanted = addresses + [""] * (len(families) - len(addresses))
    spec["clusterIPs"] = _take_all(wanted, families, wanted, service, request)
    spec["clusterIP"] = spec["clusterIPs"][0]


def _update_addresses(service: JsonObject, old: JsonObject, request: Request) -> None:
    spec = service["spec"]
    if settled_dual_stack(spec, old):
        return
    if old["type"] == "ExternalName":
        _take_addresses(service, request)
        return
    if (old.get("clusterIPs") or [])[:1] == ["None"] or spec["type"] == "ExternalName":
        return
    families = spec["ipFamilies"]
    if len(old.get("ipFamilies") or ()) == 1 and len(families) == 2:
        addresses = spec.get("clusterIPs") or []
        both = addresses + [""] * (2 - len(addresses))
        spec["clusterIPs"] = both[:1] + _take_all(both[1:2], families[1:], both, service, request)


def _take_all(
    wanted: list[str], families: list[str], shown: list[str], service: JsonObject, request: Request
) -> list[str]:
    """Take one address per family. One that cannot be had leaves those before it taken, as the real server does."""
    taken = [
        _take_one(address, family, shown, service, request) for address, family in zip(wanted, families, strict=False)
    ]
    if not request.dry_run:
        request.undo.append(_giving_back(taken, request))
    return taken


def _giving_back(taken: list[str], request: Request) -> Callable[[], None]:
    return lambda: _release(list(taken), request)


def _take_one(address: str, family: str, shown: list[str], service: JsonObject, request: Request) -> str:
    allocators = _allocators(request)
    try:
        if request.dry_run:
            if not address:
                return str(allocators.addresses[family][0].network.network_address)
            allocators.has_address(address)
            return address
        if address:
            allocators.take_address(address)
            found = address
        else:
            found = allocators.take_any_address(family, request.choices)
        if refusal := publish_address(found, family, service, request):
            allocators.give_back_address(found)
            raise AllocationError(refusal)
    except AllocationError as error:
        what = f"failed to allocate IP {address}" if address else "failed to allocate IP"
        _refuse(request, service, [invalid("spec.clusterIPs", shown, f"{what}: {error}")])
    return found


# --- ports


def _ports(request: Request) -> PortOperation:
    operation = PortOperation(_allocators(request).ports, request.choices, dry_run=request.dry_run)
    request.undo.append(operation.give_back)
    return operation


def _wants_ports(spec: JsonObject) -> bool:
    return bool(spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts"))


def _take_node_ports(service: JsonObject, operation: PortOperation, request: Request) -> None:
    """Ports of one number share a node port, as DNS over TCP and UDP does; one that is asked for serves them all."""
    spec = service["spec"]
    by_port: dict[int, int] = {}
    for index, port in enumerate(spec.get("ports") or ()):
        asked = port.get("nodePort") or 0
        if not asked and not _wants_ports(spec):
            continue
        number = port.get("port", 0)
        shared = by_port.get(number)
        if shared is None:
            wanted = next((p["nodePort"] for p in spec["ports"] if p.get("port", 0) == number and p.get("nodePort")), 0)
            shared = _take_port(wanted, index, operation, service, request)
            port["nodePort"] = by_port[number] = shared
        elif not asked:
            port["nodePort"] = shared
        elif asked != shared:
            _take_port(asked, index, operation, service, request)


def _take_port(wanted: int, index: int, operation: PortOperation, service: JsonObject, request: Request) -> int:
    try:
        if not wanted:
            return operation.take_any()
        operation.take(wanted)
    except AllocationError as error:
        if not wanted:
            raise status.internal_error(f"failed to allocate a nodePort: {error}") from None
        _refuse(request, service, [invalid(f"spec.ports[{index}].nodePort", wanted, str(error))])
    return wanted


def _update_node_ports(service: JsonObject, old: JsonObject, operation: PortOperation, request: Request) -> None:
    spec = service["spec"]
    before, seen = set(node_ports(old)), set[tuple[str, int]]()
    for index, port in enumerate(spec.get("ports") or ()):
        asked = port.get("nodePort") or 0
        if not asked and not _wants_ports(spec):
            continue
        if not asked:
            port["nodePort"] = _take_port(0, index, operation, service, request)
        elif asked not in before and asked not in operation.allocated:
            _take_port(asked, index, operation, service, request)
        key = (port["protocol"], port["nodePort"])
        if key in seen:
            raise _duplicate(*key)
        seen.add(key)


def _duplicate(protocol: str, port: int) -> ApiError:
    return status.internal_error(f"duplicate nodePort: {{{protocol} {port}}}")


def _take_health_check(spec: JsonObject, operation: PortOperation) -> None:
    asked = spec.get("healthCheckNodePort") or 0
    try:
        if asked:
            operation.take(asked)
        else:
            spec["healthCheckNodePort"] = operation.take_any()
    except AllocationError as error:
        what = f"requested HealthCheck NodePort {asked}" if asked else "a HealthCheck NodePort 0"
        raise status.internal_error(f"failed to allocate {what}: {error}") from None
