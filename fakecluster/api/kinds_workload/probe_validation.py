"""Validation of probes and lifecycle hooks (pkg/apis/core/validation: validateProbe, validateHandler)."""

from __future__ import annotations

import re
from typing import Any

from fakecluster.api.kinds_workload.field_checks import Errors, nonnegative, one_of, port_or_name
from fakecluster.api.strategy import forbidden, invalid, required

Json = dict[str, Any]

_HEADER = re.compile(r"[-A-Za-z0-9]+")
_HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' "
    "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
)
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")


def validate_probe(kind: str, probe: Json, field: str, grace_s: int | None) -> Errors:
    """One probe; `kind` is its field ("livenessProbe", ...), `grace_s` the Pod's termination grace period."""
    errors = _handler(probe, _PROBE_HANDLERS, field, grace_s)
    for name in _COUNTS:
        errors += nonnegative(f"{field}.{name}", probe.get(name))
    own_grace = probe.get("terminationGracePeriodSeconds")
    if own_grace is not None and own_grace <= 0:
        errors.append(invalid(f"{field}.terminationGracePeriodSeconds", own_grace, "must be greater than 0"))
    if kind == "readinessProbe":
        if own_grace is not None:
            why = "must not be set for readinessProbes"
            errors.append(invalid(f"{field}.terminationGracePeriodSeconds", own_grace, why))
    elif probe.get("successThreshold", 0) != 1:
        errors.append(invalid(f"{field}.successThreshold", probe.get("successThreshold", 0), "must be 1"))
    return errors


def validate_lifecycle(lifecycle: Json, field: str, grace_s: int | None) -> Errors:
    errors: Errors = []
    for hook in ("postStart", "preStop"):
        if lifecycle.get(hook) is not None:
            errors += _handler(lifecycle[hook], _HOOK_HANDLERS, f"{field}.{hook}", grace_s)
    return errors


def _handler(handlers: Json, kinds: tuple[str, ...], field: str, grace_s: int | None) -> Errors:
    given = [name for name in kinds if handlers.get(name) is not None]
    if not given:
        return [required(field, "must specify a handler type")]
    first = given[0]
    if first == "sleep":
        errors = _sleep(handlers[first], f"{field}.sleep", grace_s)
    else:
        errors = _HANDLERS[first](handlers[first], f"{field}.{first}")
    return errors + [forbidden(f"{field}.{name}", "may not specify more than 1 handler type") for name in given[1:]]


def _exec(action: Json, field: str) -> Errors:
    return [] if action.get("command") else [required(f"{field}.command")]


def _http_get(action: Json, field: str) -> Errors:
    errors: Errors = [] if action.get("path") else [required(f"{field}.path")]
    errors += port_or_name(f"{field}.port", action.get("port", 0))
    errors += one_of(f"{field}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        if not _HEADER.fullmatch(header.get("name", "")):
            errors.append(invalid(f"{field}.httpHeaders", header.get("name", ""), _HEADER_RULE))
    return errors


def _port(action: Json, field: str) -> Errors:
    return port_or_name(f"{field}.port", action.get("port", 0))


def _sleep(action: Json, field: str, grace_s: int | None) -> Errors:
    seconds = action.get("seconds", 0)
    if grace_s is None or 0 <= seconds <= grace_s:
        return []
    return [invalid(field, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace_s})")]


_HANDLERS = {"exec": _exec, "httpGet": _http_get, "tcpSocket": _port, "grpc": _port}
