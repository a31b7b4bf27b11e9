"""`services/proxy`: the endpoint that a request would go to (registry/core/service/storage, ResourceLocation)."""

from __future__ import annotations

import re

from fakecluster.api import status
from fakecluster.api.go_values import go_quote
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Store

#: a scheme, a name and a port, which is a name or a number and may be empty
_SCHEMED = re.compile(r"(https|http|):([^:]+):([^:]*)")


def locate(store: Store, namespace: str, target: str) -> tuple[str, int]:
    """An address and port behind the Service that `target` names.

    Raises ApiError: 400 for a target that is none, 404 without the Service, 503 without a port or a ready endpoint.
    """
    name, port = _parse(target)
    service = store.get("services", namespace, name)
    if service is None:
        raise status.not_found("services", "", name)
    if port.isdecimal():
        port = _port_name(service, name, int(port))
    endpoints = store.get("endpoints", namespace, name) or {}
    for subset in endpoints.get("subsets") or ():
        for one in subset.get("ports") or ():
            if one.get("name", "") == port and subset.get("addresses"):
                return subset["addresses"][0]["ip"], one["port"]
    raise _unavailable(f"no endpoints available for service {go_quote(name)}")


def _parse(target: str) -> tuple[str, str]:
    found = _SCHEMED.fullmatch(target)
    if found:
        return found[2], found[3]
    name, _, port = target.partition(":")
    if not name or ":" in port:
        raise status.bad_request(f"invalid service request {go_quote(target)}")
    return name, port


def _port_name(service: JsonObject, name: str, number: int) -> str:
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            found: str = port.get("name", "")
            return found
    raise _unavailable(f"no service port {number} found for service {go_quote(name)}")


def _unavailable(words: str) -> ApiError:
    return status.failure(503, "ServiceUnavailable", words)
