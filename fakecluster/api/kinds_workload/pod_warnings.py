"""What the server warns about in Pods and templates that it accepts (pkg/api/pod/warnings.go)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.api import names
from fakecluster.api.go_values import go_quote
from fakecluster.api.kinds_network.ip_text import ip_warnings
from fakecluster.api.kinds_workload.field_checks import every_container
from fakecluster.api.kinds_workload.port_warnings import port_warnings
from fakecluster.api.kinds_workload.quantity import parse_quantity

Json = dict[str, Any]

_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
#: In the order of the checks.
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SYSCTLS = 'non-functional in v1.11+; use the "sysctls" field instead'
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": _SYSCTLS,
    "security.alpha.kubernetes.io/unsafe-sysctls": _SYSCTLS,
}
_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
_SECCOMP_POD, _SECCOMP_CONTAINER = (
    "seccomp.security.alpha.kubernetes.io/pod",
    "container.seccomp.security.alpha.kubernetes.io/",
)
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_REQUIRED, _PREFERRED = (f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred"))
_HOSTNAME = "which can result in surprising behavior; a DNS label is recommended"


def pod_warnings(new: Json, old: Json | None) -> list[str]:
    """A new Pod's own; updates, most of them by programs, are not looked at."""
    if old is not None:
        return []
    found: list[str] = []
    complaints = names.dns_label(new["metadata"].get("name", ""))
    if complaints:
        found.append(f"metadata.name: this is used in the Pod's hostname, {_HOSTNAME}: [{' '.join(complaints)}]")
    return found + list(_spec_warnings(new["spec"], "spec", new["metadata"].get("annotations") or {}, "metadata"))


def template_warnings(*, named: bool = True) -> Callable[[Json, Json | None], list[str]]:
    """The warnings of a workload: about its template and, where Pods are named after it (`named`), about its name.

    An update warns when it counts for the generation.
    """

    def warnings(new: Json, old: Json | None) -> list[str]:
        found: list[str] = []
        template = new["spec"]["template"]
        complaints = names.dns_label(new["metadata"].get("name", "")) if named and old is None else []
        if complaints:
            words = f"this is used in Pod names and hostnames, {_HOSTNAME}: [{' '.join(complaints)}]"
            found.append(f"metadata.name: {words}")
        if old is not None and old["metadata"].get("generation") == new["metadata"].get("generation"):
            return found
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        field = "spec.template"
        return found + list(_spec_warnings(template["spec"], f"{field}.spec", annotations, f"{field}.metadata"))

    return warnings


def _spec_warnings(spec: Json, field: str, annotations: dict[str, str], meta_field: str) -> Iterator[str]:
    yield from _node_labels(spec, field)
    yield from _spread(spec, field)
    for key, words in _ANNOTATIONS.items():
        if key in annotations:
            yield f"{meta_field}.annotations[{key}]: {words}"
    for number, volume in enumerate(spec.get("volumes") or ()):
        for kind, words in _VOLUMES.items():
            if volume.get(kind) is not None:
                yield f"{field}.volumes[{number}].{'storageOS' if kind == 'storageos' else kind}: {words}"
    aliases = [alias.get("ip", "") for alias in spec.get("hostAliases") or ()]
    yield from (f"{field}.hostAliases[{i}].ip: duplicate ip {go_quote(ip)}" for i, ip in _repeated(aliases))
    yield from _pull_secrets(spec.get("imagePullSecrets") or [], f"{field}.imagePullSecrets")
    yield from _fractions({"overhead": spec.get("overhead") or {}}, field)
    if _SECCOMP_POD in annotations and not (spec.get("securityContext") or {}).get("seccompProfile"):
        yield f"{meta_field}.annotations[{_SECCOMP_POD}]: {_SECCOMP}"
    for container, place in every_container(spec, field):
        key = _SECCOMP_CONTAINER + container.get("name", "")
        if key in annotations and not (container.get("securityContext") or {}).get("seccompProfile"):
            yield f"{meta_field}.annotations[{key}]: {_SECCOMP}"
        yield from _fractions(container.get("resources") or {}, f"{place}.resources")
        yield from _hidden_variables(container.get("env") or [], f"{place}.env")
    yield from port_warnings(spec, field)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        words = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{field}.terminationGracePeriodSeconds: {words}"
    yield from _pod_terms(spec, field)
    for number, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        yield from ip_warnings(f"{field}.dnsConfig.nameservers[{number}]", server)
    for number, address in enumerate(aliases):
        yield from ip_warnings(f"{field}.hostAliases[{number}].ip", address)


def _node_labels(spec: Json, field: str) -> Iterator[str]:
    for label in sorted(spec.get("nodeSelector") or ()):
        if label in _LABELS:
            yield f"{field}.nodeSelector[{label}]: {_LABELS[label]}"
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    place = f"{field}.affinity.nodeAffinity"
    for number, term in enumerate((affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from _term_labels(term, f"{place}.{_REQUIRED}.nodeSelectorTerms[{number}]")
    for number, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        yield from _term_labels(weighted.get("preference") or {}, f"{place}.{_PREFERRED}[{number}].preference")


def _term_labels(term: Json, field: str) -> Iterator[str]:
    for number, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key", "")
        if key in _LABELS:
            yield f"{field}.matchExpressions[{number}].key: {key} is {_LABELS[key]}"


def _spread(spec: Json, field: str) -> Iterator[str]:
    for number, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        place, key = f"{field}.topologySpreadConstraints[{number}]", constraint.get("topologyKey", "")
        if key in _LABELS:
            yield f"{place}.topologyKey: {key} is {_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{place}.labelSelector: {_NO_SELECTOR}"


def _pod_terms(spec: Json, field: str) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity, place = (spec.get("affinity") or {}).get(kind) or {}, f"{field}.affinity.{kind}"
        for number, term in enumerate(affinity.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{place}.{_REQUIRED}[{number}].labelSelector: {_NO_SELECTOR}"
        for number, weighted in enumerate(affinity.get(_PREFERRED) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{place}.{_PREFERRED}[{number}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


def _repeated(texts: list[str]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for number, text in enumerate(texts):
        if text in seen:
            yield number, text
        seen.add(text)


def _pull_secrets(secrets: list[Json], field: str) -> Iterator[str]:
    given = [secret.get("name", "") for secret in secrets]
    yield from (f"{field}[{number}].name: duplicate name {go_quote(name)}" for number, name in _repeated(given))
    yield from (f'{field}[{number}].name: invalid empty name ""' for number, name in enumerate(given) if not name)


def _hidden_variables(variables: list[Json], field: str) -> Iterator[str]:
    """A second definition is fine where it extends the first one."""
    for number, name in _repeated([variable.get("name", "") for variable in variables]):
        again, value = f"$({name})", variables[number].get("value", "")
        if variables[number].get("valueFrom") is not None or value == again or again not in value:
            words = f"hides previous definition of {go_quote(name)}, which may be dropped when using apply"
            yield f"{field}[{number}]: {words}"


def _fractions(lists: dict[str, Any], field: str) -> Iterator[str]:
    for name in ("memory", "ephemeral-storage"):
        for kind in ("overhead", "limits", "requests"):
            text = (lists.get(kind) or {}).get(name)
            if text is not None and parse_quantity(text).value.denominator != 1:
                yield f"{field}.{kind}[{name}]: fractional byte value {go_quote(text)} is invalid, must be an integer"
