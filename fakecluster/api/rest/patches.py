"""PATCH: which kind of patch, decoding it, applying it to the present state, and the words when that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import applies, conversion, decoding, managed, status, strategy, updates
from fakecluster.api.go_order import in_go_order, touched_by_merge, touched_by_operations
from fakecluster.api.go_values import go_json, go_map_text
from fakecluster.api.json_patch import PatchError, json_patch, unknown_fields
from fakecluster.api.patch import merge_patch
from fakecluster.api.resources import Resource
from fakecluster.api.rest import bodies, options
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.go_json import SyntaxProblem, parse_json, parse_yaml
from fakecluster.api.restoring import restore_problem
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategic import strategic_patch
from fakecluster.api.strategy import Request

APPLY, JSON, MERGE, STRATEGIC = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
#: More operations in one JSON patch are refused.
OPERATIONS_LIMIT = 10_000

CUSTOM_ACCEPTED = f"{JSON}, {MERGE}, {APPLY}"
REJECTED = "the server rejected our request due to an error in our request"

MakeRequest = Callable[..., Request]


def patch(call: Call, resource: Resource, make: MakeRequest) -> tuple[Stored, bool]:
    """(the patched object, whether it is new)."""
    media = bodies.media_type(call.headers)
    if resource.custom is not None and media == STRATEGIC:
        words = f"the body of the request was in an unknown format - accepted media types include: {CUSTOM_ACCEPTED}"
        raise status.failure(415, "UnsupportedMediaType", words)
    if media not in READERS:
        raise status.failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    wanted = options.write_options("PatchOptions", call.query, apply=media == APPLY)
    if len(call.body) > bodies.BODY_LIMIT:
        raise bodies.too_large()
    request = make(call, resource, dry_run=wanted.dry_run, manager=wanted.field_manager)
    if media == APPLY:
        outcome = _apply(call, request, wanted)
    else:
        value = READERS[media](call.body)
        stored = updates.update(
            request, lambda before: _patched(call, request, media, before, value, wanted.field_validation)
        )
        outcome = stored, False
    call.warnings += request.warnings
    return outcome


def _patched(call: Call, request: Request, media: str, before: Stored, value: Any, validation: str) -> JsonObject:
    resource = request.resource
    old = managed.with_managed_fields(conversion.presented(resource, before.object), before.managed)
    try:
        result = APPLIERS[media](resource, old, value)
    except PatchError as problem:
        raise status.failure(422, "Invalid", REJECTED, {}) from problem
    text = quoted(resource, media, old, value)
    if media == JSON and validation != decoding.IGNORE and (unknown := unknown_fields(value)):
        if validation == decoding.STRICT:
            raise patch_invalid(text(), f"strict decoding error: {', '.join(unknown)}")
        call.warnings += unknown
    if media == STRATEGIC and resource.custom is None and (why := restore_problem(resource, result)):
        raise patch_invalid(text(), why)
    return decoded_patch(call, request, result, text, validation)


def quoted(resource: Resource, media: str, old: JsonObject, value: Any) -> Callable[[], str]:
    """The patch, or the object after it, as error messages quote it (worked out only then)."""

    def text() -> str:
        if media == STRATEGIC:
            return go_map_text(without_merged(old, value))
        result = APPLIERS[media](resource, in_go_order(resource.api_version, resource.kind, old), value)
        touched = touched_by_merge if media == MERGE else touched_by_operations
        return go_json(touched(result, value))

    return text


def without_merged(old: JsonObject, patch: JsonObject) -> JsonObject:
    """A strategic patch after its use: lists whose order it directs were taken out of it."""
    word = "$setElementOrder/"
    gone = {name for key in patch if key.startswith(word) for name in (key, key.removeprefix(word))}
    return {
        key: without_merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in patch.items()
        if key not in gone
    }


def decoded_patch(call: Call, request: Request, result: Any, quote: Callable[[], str], validation: str) -> JsonObject:
    """The patched object as a clean working copy; 422 about `patch` when it no longer fits its kind."""
    resource = request.resource
    if not isinstance(result, dict):
        raise status.failure(422, "Invalid", REJECTED, {})
    api_version, kind = result.get("apiVersion", ""), result.get("kind", "")
    if (api_version, kind) != (resource.api_version, resource.kind):
        if call.server.registry.by_kind(api_version, kind) is None:
            raise patch_invalid(
                quote(), f'no kind "{kind}" is registered for version "{api_version}" in {bodies.SCHEME}'
            )
        raise patch_invalid(quote(), bodies.unknown_conversion(resource, api_version, kind))
    try:
        obj, warnings = decoding.decoded(resource, result, validation)
    except decoding.Undecodable as problem:
        raise patch_invalid(quote(), str(problem)) from problem
    call.warnings += warnings
    updates.check_name(request, obj)
    return obj


def patch_invalid(text: str, why: str) -> ApiError:
    return status.invalid("", "", "", [("FieldValueInvalid", "patch", strategy.invalid("patch", text, why).message)])


def _merge_body(body: bytes) -> Any:
    try:
        value = parse_json(body)
    except SyntaxProblem as problem:
        raise status.bad_request(f"error decoding patch: {problem}") from problem
    return _object_or_400(value, "error decoding patch: ")


def _strategic_body(body: bytes) -> Any:
    try:
        value = parse_json(body)
    except SyntaxProblem as problem:
        raise status.bad_request(str(problem)) from problem
    return _object_or_400(value, "")


def _object_or_400(value: Any, prefix: str) -> Any:
    if value is not None and not isinstance(value, dict):
        from fakecluster.api.diagnose import json_word

        words = f"json: cannot unmarshal {json_word(value)} into Go value of type map[string]interface {{}}"
        raise status.bad_request(prefix + words)
    return value or {}


def _json_body(body: bytes) -> Any:
    try:
        value = parse_json(body)
    except SyntaxProblem as problem:
        raise status.bad_request(f"error decoding patch: {problem}") from problem
    if value is not None and not isinstance(value, list):
        from fakecluster.api.diagnose import json_word

        words = f"json: cannot unmarshal {json_word(value)} into Go value of type []handlers.jsonPatchOp"
        raise status.bad_request(f"error decoding patch: {words}")
    operations = value or []
    if len(operations) > OPERATIONS_LIMIT:
        words = f"The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {len(operations)}"
        raise status.failure(413, "RequestEntityTooLarge", words)
    if not all(isinstance(operation, dict) for operation in operations):
        raise status.bad_request(
            "error decoding patch: json: cannot unmarshal into Go value of type handlers.jsonPatchOp"
        )
    return operations


def _apply_body(body: bytes) -> Any:
    try:
        value = parse_yaml(body)
    except SyntaxProblem as problem:
        raise status.bad_request(f"error decoding YAML: {problem}") from problem
    if not isinstance(value, dict):
        raise status.bad_request(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
            "into Go value of type map[string]interface {}"
        )
    return value


READERS: dict[str, Callable[[bytes], Any]] = {
    APPLY: _apply_body,
    JSON: _json_body,
    MERGE: _merge_body,
    STRATEGIC: _strategic_body,
}
APPLIERS: dict[str, Callable[[Resource, JsonObject, Any], Any]] = {
    JSON: lambda resource, old, value: json_patch(old, value),
    MERGE: lambda resource, old, value: merge_patch(old, value),
    STRATEGIC: lambda resource, old, value: strategic_patch(resource.api_version, resource.kind, old, value),
}


def _apply(call: Call, request: Request, wanted: options.WriteOptions) -> tuple[Stored, bool]:
    config = _apply_body(call.body)
    stored, created = apply_config(request, config, force=wanted.force)
    return stored, created


def apply_config(request: Request, config: JsonObject, *, force: bool) -> tuple[Stored, bool]:
    """Server-side apply of a configuration by `request.agent`: (the object, whether it is new)."""
    return applies.apply(request, config, force=force)


def patched_value(
    call: Call, resource: Resource, request: Request, old: JsonObject, wanted: options.WriteOptions
) -> JsonObject:
    """A patch applied to an object that is not stored as such (a Scale)."""
    media = bodies.media_type(call.headers)
    if media not in APPLIERS:
        raise status.failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    value = READERS[media](call.body)
    try:
        result = APPLIERS[media](resource, old, value)
    except PatchError as problem:
        raise status.failure(422, "Invalid", REJECTED, {}) from problem
    try:
        obj, warnings = decoding.decoded(resource, result, wanted.field_validation)
    except decoding.Undecodable as problem:
        raise patch_invalid(quoted(resource, media, old, value)(), str(problem)) from problem
    call.warnings += warnings
    return obj
