"""Validation of containers, init containers and ephemeral containers (pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from fakecluster.api import names
from fakecluster.api.kinds_workload.env_validation import validate_env, validate_env_from
from fakecluster.api.kinds_workload.field_checks import Errors, named, one_of, required_name, unique
from fakecluster.api.kinds_workload.images import PULL_POLICIES
from fakecluster.api.kinds_workload.mount_validation import validate_devices, validate_mounts
from fakecluster.api.kinds_workload.pod_defaults import PROBES
from fakecluster.api.kinds_workload.probe_validation import validate_lifecycle, validate_probe
from fakecluster.api.kinds_workload.resource_validation import validate_resources
from fakecluster.api.kinds_workload.security_validation import validate_container_security
from fakecluster.api.strategy import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_many,
)

Json = dict[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
MAX_RULES = 20
MAX_EXIT_CODES = 255
_ORDINARY_INIT = "may not be set for init containers without restartPolicy=Always"
_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"
#: Fields that an ephemeral container may not have, in the order of the type.
_FORBIDDEN_EPHEMERAL = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)


@attrs.frozen
class Surroundings:
    """What the containers of one Pod share: its usable volumes, resource claims and a few settings."""

    volumes: Mapping[str, Json]
    claims: frozenset[str]
    grace_s: int | None
    restart_policy: str
    host_users: bool


def validate_containers(containers: list[Json], around: Surroundings, field: str) -> Errors:
    """`spec.containers`: at least one, names unique, no two on one host port."""
    if not containers:
        return [required(field)]
    errors: Errors = []
    seen: set[str] = set()
    for number, container in enumerate(containers):
        where = f"{field}[{number}]"
        errors += _common(container, around, where)
        errors += unique(f"{where}.name", container.get("name", ""), seen)
        errors += _long_running(container, around, where)
        errors += _restart(container, where)
    return errors + _host_port_conflicts(containers, field)


def validate_init_containers(containers: list[Json], others: list[Json], around: Surroundings, field: str) -> Errors:
    """`spec.initContainers`; one that restarts always is a sidecar and may have probes (KEP-753)."""
    errors: Errors = []
    seen = {container.get("name", "") for container in others}
    for number, container in enumerate(containers):
        where, name = f"{field}[{number}]", container.get("name", "")
        errors += _common(container, around, where)
        errors += _init_restart(container, where)
        if name in seen:
            errors.append(duplicate(f"{where}.name", name))
        elif name:
            seen.add(name)
        errors += _host_port_conflicts([container], field)
        if container.get("restartPolicy") == "Always":
            errors += _long_running(container, around, where)
        else:
            given = [kind for kind in ("lifecycle", *PROBES) if container.get(kind) is not None]
            errors += [forbidden(f"{where}.{kind}", _ORDINARY_INIT) for kind in given]
            errors += _never_restarted(container.get("resizePolicy") or [], f"{where}.resizePolicy")
    return errors


def _never_restarted(policies: list[Json], field: str) -> Errors:
    """A resize cannot restart what runs once."""
    why = "must not be set to 'RestartContainer' for non-sidecar initContainers"
    return [
        invalid(f"{field}[{number}].restartPolicy", "RestartContainer", why)
        for number, policy in enumerate(policies)
        if policy.get("restartPolicy") == "RestartContainer"
    ]


def validate_ephemeral_containers(containers: list[Json], spec: Json, around: Surroundings, field: str) -> Errors:
    others = {c.get("name", "") for kind in ("containers", "initContainers") for c in spec.get(kind) or ()}
    seen = set(others)
    errors: Errors = []
    for number, container in enumerate(containers):
        where, target = f"{field}[{number}]", container.get("targetContainerName")
        errors += _common(container, around, where) + image_blanks(container, where)
        errors += unique(f"{where}.name", container.get("name", ""), seen)
        if target and target not in others:
            errors.append(not_found(f"{where}.targetContainerName", target))
        errors += [forbidden(f"{where}.{kind}", _NOT_EPHEMERAL) for kind in _FORBIDDEN_EPHEMERAL if container.get(kind)]
        for position, mount in enumerate(container.get("volumeMounts") or ()):
            given = [kind for kind in ("subPath", "subPathExpr") if mount.get(kind)]
            errors += [forbidden(f"{where}.volumeMounts[{position}].{kind}", _NOT_EPHEMERAL) for kind in given]
    return errors


def image_blanks(container: Json, field: str) -> Errors:
    """In a Pod, not in a template, blanks around the image are an error."""
    image = container.get("image", "")
    if image == image.strip():
        return []
    return [invalid(f"{field}.image", image, "must not have leading or trailing whitespace")]


def _common(container: Json, around: Surroundings, field: str) -> Errors:
    errors = required_name(f"{field}.name", container.get("name", ""), names.dns_label)
    if not container.get("image"):
        errors.append(required(f"{field}.image"))
    policy = container.get("terminationMessagePolicy")
    errors += one_of(f"{field}.terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"))
    if container.get("ports"):
        errors += validate_ports(container["ports"], f"{field}.ports")
    if container.get("env"):
        errors += validate_env(container["env"], f"{field}.env")
    if container.get("envFrom"):
        errors += validate_env_from(container["envFrom"], f"{field}.envFrom")
    if container.get("volumeMounts"):
        errors += validate_mounts(container, around.volumes, f"{field}.volumeMounts")
    if container.get("volumeDevices"):
        errors += validate_devices(container, around.volumes, f"{field}.volumeDevices")
    errors += one_of(f"{field}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    if container.get("resources"):
        errors += validate_resources(container["resources"], f"{field}.resources", around.claims)
    if container.get("resizePolicy"):
        errors += _resize_policy(container["resizePolicy"], around.restart_policy, f"{field}.resizePolicy")
    security = container.get("securityContext")
    if security:
        errors += validate_container_security(security, f"{field}.securityContext", host_users=around.host_users)
    return errors


def validate_ports(ports: list[Json], field: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for number, port in enumerate(ports):
        where, name = f"{field}[{number}]", port.get("name", "")
        if name:
            found = named(f"{where}.name", name, names.port_name)
            errors += found or unique(f"{where}.name", name, seen)
        if not port.get("containerPort"):
            errors.append(required(f"{where}.containerPort"))
        else:
            errors += _port_number(f"{where}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            errors += _port_number(f"{where}.hostPort", port["hostPort"])
        errors += one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS)
    return errors


def _port_number(field: str, port: int) -> Errors:
    return [invalid(field, port, why) for why in names.port_number(port)]


def _long_running(container: Json, around: Surroundings, field: str) -> Errors:
    errors: Errors = []
    if container.get("lifecycle") is not None:
        errors += validate_lifecycle(container["lifecycle"], f"{field}.lifecycle", around.grace_s)
    for kind in PROBES:
        if container.get(kind) is not None:
            errors += validate_probe(kind, container[kind], f"{field}.{kind}", around.grace_s)
    return errors


def _restart(container: Json, field: str) -> Errors:
    """A restart policy of one container, and the exit codes that decide (KEP-5307)."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        errors = _rules_without_policy(rules, field)
    else:
        allowed = policy in RESTART_POLICIES
        errors = [] if allowed else [not_supported(f"{field}.restartPolicy", policy, RESTART_POLICIES)]
    if len(rules) > MAX_RULES:
        errors.append(too_many(f"{field}.restartPolicyRules", len(rules), MAX_RULES))
    for number, rule in enumerate(rules):
        errors += _restart_rule(rule, f"{field}.restartPolicyRules[{number}]")
    return errors


def _init_restart(container: Json, field: str) -> Errors:
    """The same for an init container; one that restarts always has no rules."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        return _rules_without_policy(rules, field)
    if policy != "Always":
        return _restart(container, field)
    why = "restartPolicyRules are not allowed for init containers with restart policy Always"
    return [forbidden(f"{field}.restartPolicyRules", why)] if rules else []


def _rules_without_policy(rules: list[Json], field: str) -> Errors:
    why = "must specify restartPolicy when restart rules are used"
    return [required(f"{field}.restartPolicy", why)] if rules else []


def _restart_rule(rule: Json, field: str) -> Errors:
    errors: Errors = []
    if rule.get("action") != "Restart":
        errors.append(not_supported(f"{field}.action", rule.get("action", ""), ("Restart",)))
    codes = rule.get("exitCodes")
    if codes is None:
        return [*errors, required(f"{field}.exitCodes", "must be specified")]
    if codes.get("operator") not in ("In", "NotIn"):
        errors.append(not_supported(f"{field}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn")))
    values = codes.get("values") or []
    if len(values) > MAX_EXIT_CODES:
        errors.append(too_many(f"{field}.exitCodes.values", len(values), MAX_EXIT_CODES))
    return errors


def _resize_policy(policies: list[Json], restart_policy: str, field: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for number, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        errors += unique(f"{field}[{number}]", resource, seen)
        errors += one_of(field, resource, ("cpu", "memory"))
        errors += one_of(field, restart, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and restart != "NotRequired":
            errors.append(invalid(field, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
    return errors


def _host_port_conflicts(containers: list[Json], field: str) -> list[FieldError]:
    errors: Errors = []
    seen: set[str] = set()
    for number, container in enumerate(containers):
        for position, port in enumerate(container.get("ports") or ()):
            if port.get("hostPort"):
                claim = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
                errors += unique(f"{field}[{number}].ports[{position}].hostPort", claim, seen)
    return errors
