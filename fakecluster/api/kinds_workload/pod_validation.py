"""Validation of a Pod and of a Pod template (pkg/apis/core/validation: ValidatePodCreate, ValidatePodSpec)."""

from __future__ import annotations

import re
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.container_validation import (
    Surroundings,
    image_blanks,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from fakecluster.api.kinds_workload.field_checks import (
    MAX_INT32,
    Errors,
    between,
    every_container,
    ip_address,
    named,
    one_of,
    required_name,
    unique,
)
from fakecluster.api.kinds_workload.internal_types import internal
from fakecluster.api.kinds_workload.os_validation import validate_os
from fakecluster.api.kinds_workload.pod_annotations import validate_annotations
from fakecluster.api.kinds_workload.resource_validation import validate_pod_resources, validate_resources
from fakecluster.api.kinds_workload.scheduling_validation import (
    validate_affinity,
    validate_tolerations,
    validate_topology_spread,
)
from fakecluster.api.kinds_workload.security_validation import validate_host_users, validate_pod_security
from fakecluster.api.kinds_workload.volume_validation import validate_volumes
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.strategy import forbidden, invalid, not_found, required, too_long

Json = dict[str, Any]

#: libc's limits on resolv.conf, as the API enforces them.
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_LENGTH = 3, 32, 2048
_UNDERSCORED = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_UNDERSCORED_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character "
    f"(e.g. 'example.com', regex used for validation is '{_UNDERSCORED}')"
)


def validate_pod(pod: Json) -> Errors:
    """A new Pod, its metadata apart."""
    spec = pod["spec"]
    errors = validate_pod_and_spec(pod)
    if spec.get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors


def validate_pod_and_spec(pod: Json) -> Errors:
    """What a Pod must satisfy at every moment, its metadata apart."""
    spec, annotations = pod["spec"], pod["metadata"].get("annotations") or {}
    errors = validate_annotations(annotations, spec, "metadata.annotations")
    errors += validate_pod_spec(spec, "spec", pod_name=pod["metadata"].get("name", ""), is_pod=True)
    if not spec.get("serviceAccountName"):
        errors += _tokens_without_account(spec)
    for kind in ("containers", "initContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            errors += image_blanks(container, f"spec.{kind}[{number}]")
    return errors


def validate_pod_spec(spec: Json, field: str, *, pod_name: str = "", is_pod: bool = False) -> Errors:
    """The spec of a Pod (`is_pod`) or of a template."""
    volumes, errors = validate_volumes(spec.get("volumes") or [], pod_name, f"{field}.volumes")
    claims = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())
    around = Surroundings(
        volumes,
        claims,
        spec.get("terminationGracePeriodSeconds"),
        spec.get("restartPolicy", ""),
        spec.get("hostUsers") is not False,
    )
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    errors += _resource_claims(spec.get("resourceClaims") or [], f"{field}.resourceClaims")
    errors += validate_containers(containers, around, f"{field}.containers")
    errors += validate_init_containers(inits, containers, around, f"{field}.initContainers")
    if spec.get("ephemeralContainers"):
        where = f"{field}.ephemeralContainers"
        errors += validate_ephemeral_containers(spec["ephemeralContainers"], spec, around, where)
    errors += validate_pod_resources(spec, f"{field}.resources")
    if spec.get("hostNetwork"):
        errors += _host_network_ports(containers, f"{field}.containers", is_pod=is_pod)
    errors += one_of(f"{field}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    errors += one_of(f"{field}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    if spec.get("nodeSelector"):
        errors += validate_labels(spec["nodeSelector"], f"{field}.nodeSelector")
    errors += validate_pod_security(spec.get("securityContext") or {}, spec, f"{field}.securityContext")
    if spec.get("affinity"):
        errors += validate_affinity(spec["affinity"], f"{field}.affinity")
    errors += _dns_config(spec, f"{field}.dnsConfig")
    errors += _gates(spec, field)
    if spec.get("topologySpreadConstraints"):
        where = f"{field}.topologySpreadConstraints"
        errors += validate_topology_spread(spec["topologySpreadConstraints"], where)
    errors += validate_host_users(spec, field)
    errors += _hostname_override(spec, f"{field}.hostnameOverride")
    return errors + _names_and_rest(spec, field)


#: What sethostname(2) takes.
HOSTNAME_LENGTH = 64
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def _names_and_rest(spec: Json, field: str) -> Errors:
    errors: Errors = []
    for key in ("serviceAccountName", "nodeName"):
        if spec.get(key):
            errors += named(f"{field}.{key}", spec[key], names.dns_subdomain)
    errors += between(f"{field}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1, MAX_INT32)
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            errors += named(f"{field}.{key}", spec[key], names.dns_label)
    if spec.get("tolerations"):
        errors += validate_tolerations(spec["tolerations"], f"{field}.tolerations")
    for number, alias in enumerate(spec.get("hostAliases") or ()):
        where = f"{field}.hostAliases[{number}]"
        errors += ip_address(f"{where}.ip", alias.get("ip", ""))
        for position, name in enumerate(alias.get("hostnames") or ()):
            errors += named(f"{where}.hostnames[{position}]", name, names.dns_subdomain)
    for key in ("priorityClassName", "runtimeClassName"):
        if spec.get(key):
            errors += named(f"{field}.{key}", spec[key], names.dns_subdomain)
    if spec.get("preemptionPolicy") is not None:
        policies = ("PreemptLowerPriority", "Never")
        errors += one_of(f"{field}.preemptionPolicy", spec["preemptionPolicy"], policies)
    if spec.get("overhead"):
        errors += validate_resources({"limits": spec["overhead"]}, f"{field}.overhead")
    return errors + validate_os(spec, field) + _file_keys(spec, field)


def _hostname_override(spec: Json, field: str) -> Errors:
    """A host name that may have dots (KEP-4762); it rules out what else would set one."""
    name = spec.get("hostnameOverride")
    if name is None:
        return []
    errors: Errors = []
    for key in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(key):
            errors.append(forbidden(field, f"may not be specified when {key} is true"))
    if len(name.encode()) > HOSTNAME_LENGTH:
        errors.append(too_long(field, HOSTNAME_LENGTH))
    return errors + named(field, name, names.dns_subdomain)


def _file_keys(spec: Json, field: str) -> Errors:
    """Variables that come from a file need an emptyDir to hold it (KEP-3721)."""
    volumes = {volume.get("name"): volume for volume in spec.get("volumes") or ()}
    errors: Errors = []
    for container, path in every_container(spec, field):
        for number, variable in enumerate(container.get("env") or ()):
            reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if reference is None:
                continue
            where, name = f"{path}.env[{number}].valueFrom.fileKeyRef.volumeName", reference.get("volumeName", "")
            if name not in volumes:
                errors.append(not_found(where, name))
            elif volumes[name].get("emptyDir") is None:
                errors.append(invalid(where, name, "referenced volume must be of type emptyDir"))
    return errors


def _host_network_ports(containers: list[Json], field: str, *, is_pod: bool) -> Errors:
    """On the host's network the host port is the container's (in a template it may be left out)."""
    errors: Errors = []
    for number, container in enumerate(containers):
        for position, port in enumerate(container.get("ports") or ()):
            host_port = port.get("hostPort", 0)
            if (is_pod or host_port) and host_port != port.get("containerPort", 0):
                why = "must match `containerPort` when `hostNetwork` is true"
                errors.append(invalid(f"{field}[{number}].ports[{position}].hostPort", host_port, why))
    return errors


def _dns_config(spec: Json, field: str) -> Errors:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            return [required(field, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [required(f"{field}.nameservers", why)]
    if not config:
        return []
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    errors: Errors = []
    if len(servers) > MAX_NAMESERVERS:
        why = f"must not have more than {MAX_NAMESERVERS} nameservers"
        errors.append(invalid(f"{field}.nameservers", servers, why))
    for number, server in enumerate(servers):
        errors += ip_address(f"{field}.nameservers[{number}]", server)
    if len(searches) > MAX_SEARCHES:
        errors.append(invalid(f"{field}.searches", searches, f"must not have more than {MAX_SEARCHES} search paths"))
    if len(" ".join(searches)) > MAX_SEARCH_LENGTH:
        why = f"must not have more than {MAX_SEARCH_LENGTH} characters (including spaces) in the search list"
        errors.append(invalid(f"{field}.searches", searches, why))
    for number, search in enumerate(searches):
        if search != ".":
            errors += named(f"{field}.searches[{number}]", search.removesuffix("."), _underscored_subdomain)
    for number, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{field}.options[{number}]", "must not be empty"))
    return errors


def _underscored_subdomain(text: str) -> list[str]:
    complaints = names.dns_subdomain(text)[:1] if len(text) > names.SUBDOMAIN_LENGTH else []
    return complaints if re.fullmatch(_UNDERSCORED, text) else [*complaints, _UNDERSCORED_RULE]


def _gates(spec: Json, field: str) -> Errors:
    errors: Errors = []
    for number, gate in enumerate(spec.get("readinessGates") or ()):
        where = f"{field}.readinessGates[{number}].conditionType"
        errors += named(where, gate.get("conditionType", ""), names.qualified_name)
    seen: set[str] = set()
    for number, gate in enumerate(spec.get("schedulingGates") or ()):
        where, name = f"{field}.schedulingGates[{number}]", gate.get("name", "")
        errors += named(where, name, names.qualified_name) + unique(where, name, seen)
    return errors


def _resource_claims(claims: list[Json], field: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for number, claim in enumerate(claims):
        where, name = f"{field}[{number}]", claim.get("name", "")
        errors += (
            unique(f"{where}.name", name, seen)
            if name in seen
            else required_name(f"{where}.name", name, names.dns_label)
        )
        seen.add(name)
        given = [key for key in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(key) is not None]
        if len(given) > 1:
            why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(where, internal(claim, "PodClaim"), why))
        if not given:
            why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(where, internal(claim, "PodClaim"), why))
        for key in given:
            errors += named(f"{where}.{key}", claim[key], names.dns_subdomain)
    return errors


def _tokens_without_account(spec: Json) -> Errors:
    why = "must not be specified when serviceAccountName is not set"
    return [
        forbidden(f"spec.volumes[{number}].projected.sources[{position}].serviceAccountToken", why)
        for number, volume in enumerate(spec.get("volumes") or ())
        for position, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]
