"""What an update of a Pod may change (pkg/apis/core/validation: ValidatePodUpdate and its neighbours)."""

from __future__ import annotations

from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_workload.container_validation import image_blanks
from fakecluster.api.kinds_workload.field_checks import (
    IMMUTABLE,
    MAX_INT32,
    Errors,
    between,
    family,
    ip_address,
    named,
)
from fakecluster.api.kinds_workload.internal_types import by_key, difference, internal
from fakecluster.api.kinds_workload.pod_annotations import annotation_changes
from fakecluster.api.kinds_workload.pod_validation import validate_pod_and_spec
from fakecluster.api.kinds_workload.scheduling_validation import validate_tolerations
from fakecluster.api.strategy import forbidden, invalid, required

Json = dict[str, Any]

_FREE_FIELDS = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_FROZEN = f"pod updates may not change fields other than {_FREE_FIELDS}"
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def validate_pod_update(new: Json, old: Json) -> Errors:
    """The new state by itself, then every change against the few that are allowed."""
    errors = validate_pod_and_spec(new) + annotation_changes(new, old)
    spec, was = new["spec"], old["spec"]
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(was.get(kind) or ()):
            return [*errors, forbidden(f"spec.{kind}", "pod updates may not add or remove containers")]
        errors += _images(spec.get(kind) or [], f"spec.{kind}")
    errors, stop = _deadline(spec, was, errors)
    if stop:
        return errors
    errors += _added_tolerations(spec.get("tolerations") or [], was.get("tolerations") or [], "spec.tolerations")
    errors += _deleted_gates(spec, was)
    if spec != was:
        munged = _munged(spec, was)
        errors += _gated_changes(munged, was) if was.get("schedulingGates") else []
        if munged != was:
            errors.append(forbidden("spec", f"{_FROZEN}\n{difference(was, munged, 'PodSpec')}"))
    return errors


def _images(containers: list[Json], field: str) -> Errors:
    errors: Errors = []
    for number, container in enumerate(containers):
        where = f"{field}[{number}]"
        if not container.get("image"):
            errors.append(required(f"{where}.image"))
        errors += image_blanks(container, where)
    return errors


def _deadline(spec: Json, was: Json, errors: Errors) -> tuple[Errors, bool]:
    """A deadline may come and may shrink; an error here hides all that follow."""
    field, new, old = "spec.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds")
    if new is None:
        if old is None:
            return errors, False
        return [*errors, invalid(field, None, "must not update from a positive integer to nil value")], False
    found = between(field, new, 0, MAX_INT32)
    if not found and old is not None and old < new:
        found = [invalid(field, new, "must be less than or equal to previous value")]
    return errors + found, bool(found)


def _munged(spec: Json, was: Json) -> Json:
    """The new spec with every allowed change taken back."""
    munged = dict(spec)
    for kind in ("containers", "initContainers"):
        if kind in munged:
            pairs = zip(munged[kind], was.get(kind) or (), strict=True)
            munged[kind] = [{**container, "image": before.get("image", "")} for container, before in pairs]
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        munged.pop(field, None)
        if field in was:
            munged[field] = was[field]
    if was.get("terminationGracePeriodSeconds", 0) < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = was["terminationGracePeriodSeconds"]
    return munged


def _gated_changes(munged: Json, was: Json) -> Errors:
    """A Pod that waits at a scheduling gate may still become choosier about nodes (KEP-3838); `munged` forgets how."""
    errors: Errors = []
    selector, before = munged.get("nodeSelector") or {}, was.get("nodeSelector") or {}
    if selector != before:
        if any(selector.get(key) != value for key, value in before.items()):
            why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            errors.append(invalid("spec.nodeSelector", by_key(selector), why))
        munged.pop("nodeSelector", None)
        if "nodeSelector" in was:
            munged["nodeSelector"] = was["nodeSelector"]
    affinity, old_affinity = munged.get("affinity") or {}, was.get("affinity") or {}
    if affinity.get("nodeAffinity") != old_affinity.get("nodeAffinity"):
        errors += _narrower(affinity.get("nodeAffinity") or {}, old_affinity.get("nodeAffinity") or {})
        kept = {key: value for key, value in affinity.items() if key != "nodeAffinity"}
        if "nodeAffinity" in old_affinity:
            kept["nodeAffinity"] = old_affinity["nodeAffinity"]
        munged.pop("affinity", None)
        if kept or "affinity" in was:
            munged["affinity"] = kept
    return errors


def _narrower(affinity: Json, old: Json) -> Errors:
    """Required terms keep their number, and each may only gain requirements."""
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    field = f"spec.affinity.nodeAffinity.{required}.nodeSelectorTerms"
    terms, before = ((part.get(required) or {}).get("nodeSelectorTerms") or [] for part in (affinity, old))
    if not before:
        return []
    if len(terms) != len(before):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid(field, [internal(term, "NodeTerm") for term in terms] or None, why)]
    why = "only additions are allowed (no mutations or deletions)"
    return [
        invalid(f"{field}[{number}]", internal(term, "NodeTerm"), why)
        for number, (term, was) in enumerate(zip(terms, before, strict=True))
        if not _only_added(term, was)
    ]


def _only_added(term: Json, old: Json) -> bool:
    parts = ("matchExpressions", "matchFields")
    if not any(old.get(part) for part in parts) and any(term.get(part) for part in parts):
        return False  # an empty term matches nothing: it would match more
    return all((term.get(part) or [])[: len(old.get(part) or [])] == (old.get(part) or []) for part in parts)


def _added_tolerations(new: list[Json], old: list[Json], field: str) -> Errors:
    """Old tolerations stay, but for how long they last; new ones may come."""
    untimed = [_without(toleration, "tolerationSeconds") for toleration in new]
    if any(_without(toleration, "tolerationSeconds") not in untimed for toleration in old):
        return [forbidden(field, "existing toleration can not be modified except its tolerationSeconds")]
    return validate_tolerations(new, field)


def _without(obj: Json, key: str) -> Json:
    return {name: value for name, value in obj.items() if name != key}


def _deleted_gates(spec: Json, was: Json) -> Errors:
    known = {gate.get("name") for gate in was.get("schedulingGates") or ()}
    return [
        forbidden(
            f"spec.schedulingGates[{number}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'",
        )
        for number, gate in enumerate(spec.get("schedulingGates") or ())
        if gate.get("name") not in known
    ]


def validate_pod_status(new: Json, old: Json) -> Errors:
    """A status as a kubelet or a scheduler writes it."""
    errors = annotation_changes(new, old)
    status, was = new.get("status") or {}, old.get("status") or {}
    for number, condition in enumerate(status.get("conditions") or ()):
        errors += _observed(condition, f"status.conditions[{number}]")
        if condition.get("type", "") not in _SYSTEM_CONDITIONS:
            errors += named(f"status.conditions[{number}].Type", condition.get("type", ""), names.qualified_name)
    errors += _nominated_node(new, status, was)
    errors += _observed(status, "status")
    if status.get("qosClass") != was.get("qosClass"):
        errors.append(invalid("status.qosClass", status.get("qosClass", ""), IMMUTABLE))
    errors += _restarts(status, was, old["spec"])
    errors += _addresses(status, was, "podIPs")
    return errors + _host_addresses(status, was)


def _observed(part: Json, field: str) -> Errors:
    generation = part.get("observedGeneration") or 0
    if generation >= 0:
        return []
    return [invalid(f"{field}.observedGeneration", generation, "must be a non-negative integer")]


def _nominated_node(new: Json, status: Json, was: Json) -> Errors:
    name = status.get("nominatedNodeName", "")
    if not name or name == was.get("nominatedNodeName"):
        return []
    errors = named("status.nominatedNodeName", name, names.dns_subdomain)
    if new["spec"].get("nodeName"):
        why = "may not be set on pods that are already bound to a node"
        errors.append(forbidden("status.nominatedNodeName", why))
    return errors


#: Lists of a status, and the list of containers that they are about (None: what never restarts).
_STATUS_LISTS = {
    "containerStatuses": "containers",
    "initContainerStatuses": "initContainers",
    "ephemeralContainerStatuses": None,
}


def _restarts(status: Json, was: Json, spec: Json) -> Errors:
    """What has ended and will not be restarted does not run again."""
    errors: Errors = []
    for kind, owners in _STATUS_LISTS.items():
        known = {c.get("name"): c for c in (spec.get(owners) or () if owners else ())}
        now = {s.get("name"): bool((s.get("state") or {}).get("terminated")) for s in status.get(kind) or ()}
        for number, before in enumerate(was.get(kind) or ()):
            ended, name = (before.get("state") or {}).get("terminated"), before.get("name")
            if not ended or now.get(name, True):
                continue
            if name not in known or not _restarted(known[name], spec, ended.get("exitCode", 0)):
                why = "may not be transitioned to non-terminated state"
                errors.append(forbidden(f"status.{kind}[{number}].state", why))
    return errors


def _restarted(container: Json, spec: Json, code: int) -> bool:
    """Whether a container that ended with `code` runs again: by its rules, its own policy or the Pod's (KEP-5307)."""
    policy = container.get("restartPolicy")
    for rule in container.get("restartPolicyRules") or () if policy else ():
        codes = rule.get("exitCodes") or {}
        if (code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            return True
    policy = policy or spec.get("restartPolicy")
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _addresses(status: Json, was: Json, kind: str) -> Errors:
    """One address of each family at most; what is not an address may stay but not come."""
    field, known = f"status.{kind}", {entry.get("ip", "") for entry in was.get(kind) or ()}
    texts = [entry.get("ip", "") for entry in status.get(kind) or ()]
    errors: Errors = []
    for number, text in enumerate(texts):
        if text not in known:
            errors += ip_address(f"{field}[{number}]", text)
    if len(texts) > 1 and sorted(family(text) for text in texts) != [4, 6]:
        why = "may specify no more than one IP for each IP family"
        errors.append(invalid(field, [{"IP": text} for text in texts], why))
    return errors


def _host_addresses(status: Json, was: Json) -> Errors:
    entries = status.get("hostIPs")
    if not entries:
        return []
    first = entries[0].get("ip", "")
    errors: Errors = []
    if status.get("hostIP", "") != first:
        errors.append(invalid("status.hostIPs[0].ip", first, "must be equal to `hostIP`"))
    return errors + _addresses(status, was, "hostIPs")
