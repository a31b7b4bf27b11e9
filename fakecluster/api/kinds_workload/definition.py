"""CustomResourceDefinitions: defaults, validation, and what serving one means (apiextensions-apiserver).

A definition that is accepted is served at once; the write that says so (conditions, accepted names) follows it as the
naming controller's does. Its deletion takes the objects first, and the definition when the last of them has gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fakecluster.api import names as name_rules
from fakecluster.api.kinds_workload.custom_resource import resource_of
from fakecluster.api.kinds_workload.definition_schema import validate_schema
from fakecluster.api.kinds_workload.field_checks import Errors, named, one_of
from fakecluster.api.object_meta import timestamp
from fakecluster.api.strategy import Request, invalid, required

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer

Json = dict[str, Any]

RESOURCE = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
#: v2 before v1 before v1beta1 before anything else: the order in which discovery prefers versions.
_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = {"alpha": 0, "beta": 1, None: 2}
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


def default_definition(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    kinds = spec.setdefault("names", {})
    if not kinds.get("singular"):
        kinds["singular"] = kinds.get("kind", "").lower()
    if not kinds.get("listKind") and kinds.get("kind"):
        kinds["listKind"] = f"{kinds['kind']}List"
    conversion = spec.setdefault("conversion", {})
    if not conversion.get("strategy"):
        conversion["strategy"] = "None"


def prepare_create(obj: Json, request: Request) -> None:
    obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored(obj)}


def stored(obj: Json) -> list[str] | None:
    """The version that new objects are stored in, as a list; None where the definition does not say."""
    marked = [version.get("name", "") for version in obj["spec"].get("versions") or () if version.get("storage")]
    return marked or None


def prepare_update(new: Json, old: Json, request: Request) -> None:
    status = new["status"]
    before = status.get("storedVersions") or []
    added = [version for version in stored(new) or () if version not in before]
    if added:
        status["storedVersions"] = [*before, *added]


# --- validation


def validate_definition(obj: Json) -> Errors:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    errors: Errors = []
    if name and name != f"{spec['names'].get('plural', '')}.{spec.get('group', '')}":
        errors.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    errors += _group(spec.get("group", ""))
    errors += one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    versions = spec.get("versions") or []
    for number, version in enumerate(versions):
        errors += _version(version, f"spec.versions[{number}]", hoisted=len(versions) == 1)
    errors += _versions_together(versions)
    errors += _names(spec["names"], "spec.names")
    if not (obj.get("status") or {}).get("storedVersions"):
        errors.append(invalid("status.storedVersions", None, "must have at least one stored version"))
    return errors


def validate_definition_update(new: Json, old: Json) -> Errors:
    errors = validate_definition(new)
    established = is_established(old)
    fixed = [("spec.group", ("group",)), ("spec.names.plural", ("names", "plural"))]
    if established:
        fixed += [("spec.scope", ("scope",)), ("spec.names.kind", ("names", "kind"))]
    for field, path in fixed:
        before, after = old["spec"], new["spec"]
        for key in path:
            before, after = before.get(key), after.get(key)
        if before != after:
            errors.append(invalid(field, after, "field is immutable"))
    return errors


def _group(group: str) -> Errors:
    if not group:
        return [required("spec.group")]
    errors = named("spec.group", group, name_rules.dns_subdomain)
    if not errors and "." not in group:
        errors.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    return errors


def _version(version: Json, field: str, *, hoisted: bool) -> Errors:
    """One version; with a single one the server finds its schema in `spec.validation`."""
    errors = named(f"{field}.name", version.get("name", ""), name_rules.dns_1035_label)
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        errors.append(required(f"{field}.schema.openAPIV3Schema"))
    else:
        place = "spec.validation.openAPIV3Schema" if hoisted else f"{field}.schema.openAPIV3Schema"
        errors += validate_schema(schema, place)
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        place = "spec.subresources.scale" if hoisted else f"{field}.subresources.scale"
        errors += _scale(scale, place)
    for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
        place = "spec.additionalPrinterColumns" if hoisted else f"{field}.additionalPrinterColumns"
        errors += _column(column, f"{place}[{number}]")
    return errors


def _versions_together(versions: list[Json]) -> Errors:
    errors: Errors = []
    named_versions = [version.get("name", "") for version in versions]
    if len(set(named_versions)) != len(named_versions):
        errors.append(invalid("spec.versions", _internal(versions), "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        words = "must have exactly one version marked as storage version"
        errors.append(invalid("spec.versions", _internal(versions), words))
    return errors


def _internal(versions: list[Json]) -> list[Json] | None:
    """Versions as the server keeps them: what all have in common lies above them."""
    alone = len(versions) == 1
    return [
        {
            "Name": version.get("name", ""),
            "Served": bool(version.get("served")),
            "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")),
            "DeprecationWarning": version.get("deprecationWarning"),
            "Schema": None if alone else version.get("schema"),
            "Subresources": None if alone else version.get("subresources"),
            "AdditionalPrinterColumns": None if alone else version.get("additionalPrinterColumns"),
            "SelectableFields": None if alone else version.get("selectableFields"),
        }
        for version in versions
    ] or None


def _scale(scale: Json, field: str) -> Errors:
    errors: Errors = []
    for key, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        path = scale.get(key, "")
        if not path:
            errors.append(required(f"{field}.{key}"))
        elif not path.startswith(f"{root}."):
            errors.append(invalid(f"{field}.{key}", path, f"should be a json path under {root}"))
    return errors


def _column(column: Json, field: str) -> Errors:
    errors: Errors = [] if column.get("name") else [required(f"{field}.name")]
    errors += one_of(f"{field}.type", column.get("type"), _COLUMN_TYPES)
    if not column.get("jsonPath"):
        errors.append(required(f"{field}.JSONPath"))
    return errors


def _names(kinds: Json, field: str) -> Errors:
    errors: Errors = []
    for key in ("plural", "singular"):
        text = kinds.get(key, "")
        errors += named(f"{field}.{key}", text, name_rules.dns_1035_label) if text or key == "plural" else []
    for key in ("kind", "listKind"):
        text = kinds.get(key, "")
        if not text and key == "kind":
            errors.append(required(f"{field}.kind"))
        for why in name_rules.dns_1035_label(text.lower()) if text else ():
            errors.append(invalid(f"{field}.{key}", text, f"may have mixed case, but should otherwise match: {why}"))
    for key in ("shortNames", "categories"):
        for number, text in enumerate(kinds.get(key) or ()):
            errors += named(f"{field}.{key}[{number}]", text, name_rules.dns_1035_label)
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        errors.append(invalid(f"{field}.listKind", kinds["listKind"], "kind and listKind may not be the same"))
    return errors


# --- serving


def created(obj: Json, request: Request) -> None:
    """Serve the definition and say so in its status."""
    register(request.server, obj)
    stamp = timestamp(request.clock.unix_s)
    accepted = _condition("NamesAccepted", stamp, "NoConflicts", "no conflicts found")
    established = "the initial names have been accepted"
    conditions = [accepted, _condition("Established", stamp, "InitialNamesAccepted", established)]
    status = {**obj["status"], "conditions": conditions, "acceptedNames": dict(obj["spec"]["names"])}
    _server_client(request.server).update_status(RESOURCE, {**obj, "status": status})


def updated(new: Json, old: Json, request: Request) -> None:
    if new["spec"] != old["spec"]:
        register(request.server, new)


def may_go(obj: Json) -> bool:
    """A definition goes only after its objects: never straight away."""
    return "deletionTimestamp" in obj["metadata"] and not obj["metadata"].get("finalizers")


def prepare_delete(obj: Json, request: Request) -> None:
    meta, status = obj["metadata"], obj["status"]
    if CLEANUP in (meta.get("finalizers") or ()):
        return
    meta["generation"] -= 1  # unlike other kinds, a definition neither counts its deletion
    meta.pop("deletionGracePeriodSeconds", None)  # nor names a grace period
    meta["finalizers"] = [*(meta.get("finalizers") or ()), CLEANUP]
    words = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    going = _condition("Terminating", timestamp(request.clock.unix_s), "InstanceDeletionPending", words)
    status["conditions"] = [*(status.get("conditions") or ()), going]


def marked(obj: Json, request: Request) -> None:
    """Delete every object of a definition that is on its way out."""
    client = _server_client(request.server)
    key = obj["metadata"]["name"]
    for item in list(request.store.list(key)):
        if not item["metadata"].get("deletionTimestamp"):
            client.delete(key, item["metadata"]["name"], item["metadata"].get("namespace", ""))
    finish_deletion(request.server, key)


def finish_deletion(server: ApiServer, key: str) -> None:
    """Let a terminating definition go once nothing of its kind is left."""
    definition = server.store.get(RESOURCE, "", key)
    if definition is None or not definition["metadata"].get("deletionTimestamp") or server.store.list(key):
        return
    meta = dict(definition["metadata"])
    meta["finalizers"] = [name for name in meta.get("finalizers") or () if name != CLEANUP]
    _server_client(server).update(RESOURCE, {**definition, "metadata": meta})


def deleted(obj: Json, request: Request) -> None:
    request.server.registry = request.server.registry.without(obj["metadata"]["name"])


def register(server: ApiServer, definition: Json) -> None:
    """Put the served versions of a definition into the server's registry."""
    spec = definition["spec"]
    served = [version for version in spec["versions"] if version.get("served")]
    ordered = sorted(served, key=lambda version: version_rank(version["name"]), reverse=True)
    resources = [resource_of(definition, version) for version in ordered]
    others = (version for version in server.registry.versions(spec["group"]))
    versions = dict.fromkeys(_by_rank([*others, *(version["name"] for version in served)]))
    server.registry = server.registry.with_custom(spec["group"], tuple(versions), resources)


def _by_rank(versions: list[str]) -> Iterator[str]:
    yield from sorted(versions, key=version_rank, reverse=True)


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions by how much Kubernetes trusts them: stable, beta, alpha, then by number."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (-1, 0, 0, version)
    major, stage, minor = match.groups()
    return (_STAGES[stage], int(major), int(minor or 0), "")


def is_established(definition: Json) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _condition(kind: str, stamp: str, reason: str, message: str) -> Json:
    return {"type": kind, "status": "True", "lastTransitionTime": stamp, "reason": reason, "message": message}


def _server_client(server: ApiServer) -> Any:
    from fakecluster.api.client import Client

    return Client(server, user="system:apiserver", agent="kube-apiserver")
