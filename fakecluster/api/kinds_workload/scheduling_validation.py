"""Validation of what decides a Pod's node: affinity, tolerations, topology spread (pkg/apis/core/validation)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.field_checks import Errors, named
from fakecluster.api.kinds_workload.match_label_keys import check_label_keys
from fakecluster.api.label_rules import validate_label_selector
from fakecluster.api.strategy import duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_POLICIES = ("Honor", "Ignore")
_ANY_TAINT = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'


def validate_affinity(affinity: Json, field: str) -> Errors:
    errors: Errors = []
    if affinity.get("nodeAffinity") is not None:
        errors += _node_affinity(affinity["nodeAffinity"], f"{field}.nodeAffinity")
    for kind in ("podAffinity", "podAntiAffinity"):
        if affinity.get(kind) is not None:
            errors += _pod_affinity(affinity[kind], f"{field}.{kind}")
    return errors


def validate_tolerations(tolerations: list[Json], field: str) -> Errors:
    errors: Errors = []
    for number, toleration in enumerate(tolerations):
        errors += _toleration(toleration, f"{field}[{number}]")
    return errors


def _toleration(toleration: Json, field: str) -> Errors:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    errors = named(f"{field}.key", key, names.qualified_name) if key else []
    if not key and operator != "Exists":
        errors.append(invalid(f"{field}.operator", operator, _ANY_TAINT))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        errors.append(invalid(f"{field}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    if operator in ("", "Equal"):
        complaints = names.label_value(value)
        if complaints:
            errors.append(invalid(f"{field}.operator", value, ";".join(complaints)))
    elif operator == "Exists":
        if value:
            errors.append(invalid(f"{field}.operator", value, "value must be empty when `operator` is 'Exists'"))
    else:
        compared = ("Lt", "Gt") if operator in ("Lt", "Gt") else ()  # behind a feature gate (KEP-5471)
        errors.append(not_supported(f"{field}.operator", operator, ("Equal", "Exists", *compared)))
    if effect and effect not in EFFECTS:
        errors.append(not_supported(f"{field}.effect", effect, EFFECTS))
    return errors


def _node_affinity(affinity: Json, field: str) -> Errors:
    errors: Errors = []
    selector = affinity.get(_REQUIRED)
    if selector is not None:
        where = f"{field}.{_REQUIRED}.nodeSelectorTerms"
        terms = selector.get("nodeSelectorTerms") or []
        if not terms:
            errors.append(required(where, "must have at least one node selector term"))
        for number, term in enumerate(terms):
            errors += node_selector_term(term, f"{where}[{number}]", check_values=True)
    for number, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{field}.{_PREFERRED}[{number}]"
        errors += _weight(weighted, where)
        errors += node_selector_term(weighted.get("preference") or {}, f"{where}.preference", check_values=False)
    return errors


def node_selector_term(term: Json, field: str, *, check_values: bool) -> Errors:
    errors: Errors = []
    for number, requirement in enumerate(term.get("matchExpressions") or ()):
        errors += _node_requirement(requirement, f"{field}.matchExpressions[{number}]", check_values=check_values)
    for number, requirement in enumerate(term.get("matchFields") or ()):
        errors += _node_field(requirement, f"{field}.matchFields[{number}]")
    return errors


def _node_requirement(requirement: Json, field: str, *, check_values: bool) -> Errors:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    errors: Errors = []
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{field}.values", why))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.append(required(f"{field}.values", why))
    else:
        errors.append(invalid(f"{field}.operator", operator, "not a valid selector operator"))
    errors += named(f"{field}.key", requirement.get("key", ""), names.qualified_name)
    for number, value in enumerate(values if check_values else ()):
        errors += named(f"{field}.values[{number}]", value, names.label_value)
    return errors


def _node_field(requirement: Json, field: str) -> Errors:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    errors: Errors = []
    if operator not in ("In", "NotIn"):
        errors.append(invalid(f"{field}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(f"{field}.values", why))
    if requirement.get("key") != "metadata.name":
        errors.append(invalid(f"{field}.key", requirement.get("key", ""), "not a valid field selector key"))
        return errors
    for number, value in enumerate(values):
        errors += named(f"{field}.values[{number}]", value, names.dns_subdomain)
    return errors


def _pod_affinity(affinity: Json, field: str) -> Errors:
    errors: Errors = []
    for number, term in enumerate(affinity.get(_REQUIRED) or ()):
        errors += _pod_term(term, f"{field}.{_REQUIRED}[{number}]")
    for number, weighted in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{field}.{_PREFERRED}[{number}]"
        errors += _weight(weighted, where)
        errors += _pod_term(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return errors


def _weight(weighted: Json, field: str) -> Errors:
    weight = weighted.get("weight", 0)
    return [] if 0 < weight <= 100 else [invalid(f"{field}.weight", weight, "must be in the range 1-100")]


def _pod_term(term: Json, field: str) -> Errors:
    errors = validate_label_selector(term.get("labelSelector"), f"{field}.labelSelector")
    errors += validate_label_selector(term.get("namespaceSelector"), f"{field}.namespaceSelector")
    for namespace in term.get("namespaces") or ():
        errors += named(f"{field}.namespace", namespace, names.dns_label)
    errors += check_label_keys(term, field)
    key = term.get("topologyKey", "")
    if not key:
        errors.append(required(f"{field}.topologyKey", "can not be empty"))
    return errors + named(f"{field}.topologyKey", key, names.qualified_name)


def validate_topology_spread(constraints: list[Json], field: str) -> Errors:
    errors: Errors = []
    pairs = [(c.get("topologyKey", ""), c.get("whenUnsatisfiable", "")) for c in constraints]
    for number, constraint in enumerate(constraints):
        where, pair = f"{field}[{number}]", pairs[number]
        errors += _spread_basics(constraint, where)
        if pair in pairs[number + 1 :]:
            errors.append(duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}"))
        errors += _spread_details(constraint, where)
    return errors


def _spread_basics(constraint: Json, field: str) -> Errors:
    errors: Errors = []
    skew, unsatisfiable = constraint.get("maxSkew", 0), constraint.get("whenUnsatisfiable", "")
    if skew <= 0:
        errors.append(invalid(f"{field}.maxSkew", skew, "must be greater than zero"))
    if not constraint.get("topologyKey"):
        errors.append(required(f"{field}.topologyKey", "can not be empty"))
    if unsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
        words = ("DoNotSchedule", "ScheduleAnyway")
        errors.append(not_supported(f"{field}.whenUnsatisfiable", unsatisfiable, words))
    return errors


def _spread_details(constraint: Json, field: str) -> Errors:
    errors: Errors = []
    domains, unsatisfiable = constraint.get("minDomains"), constraint.get("whenUnsatisfiable", "")
    if domains is not None and domains <= 0:
        errors.append(invalid(f"{field}.minDomains", domains, "must be greater than zero"))
    if domains is not None and unsatisfiable != "DoNotSchedule":
        why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {unsatisfiable}"
        errors.append(invalid(f"{field}.minDomains", domains, why))
    for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = constraint.get(name)
        if policy is not None and policy not in _POLICIES:
            errors.append(not_supported(f"{field}.{name}", policy, _POLICIES))
    errors += check_label_keys(constraint, field)
    return errors + validate_label_selector(constraint.get("labelSelector"), f"{field}.labelSelector")
