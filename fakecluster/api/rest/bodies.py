"""Request bodies: media types, JSON and YAML, and the object inside."""

from __future__ import annotations

from typing import Any

from fakecluster.api import decoding, status
from fakecluster.api.diagnose import json_word
from fakecluster.api.resources import Resource
from fakecluster.api.rest.go_json import SyntaxProblem, parse_json, parse_yaml
from fakecluster.api.rest.protobuf import parse_protobuf
from fakecluster.api.status import JsonObject

ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
READERS = {
    "application/json": parse_json,
    "application/yaml": parse_yaml,
    "application/vnd.kubernetes.protobuf": parse_protobuf,
}
#: Bigger bodies are refused, as the real server does.
BODY_LIMIT = 3 * 1024 * 1024
SUMMARY_BYTES = 30
NO_KIND = "couldn't get version/kind; json parse error"
SCHEME = 'scheme "pkg/api/legacyscheme/scheme.go:30"'
META_STRUCT = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


def media_type(headers: dict[str, str]) -> str:
    """The media type of the body without parameters; empty when none is given."""
    return headers.get("content-type", "").partition(";")[0].strip()


def too_large() -> status.ApiError:
    return status.failure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}", {})


def value_of(body: bytes, headers: dict[str, str]) -> Any:
    """The JSON value of a body; raises SyntaxProblem, or ApiError 413 and 415."""
    if len(body) > BODY_LIMIT:
        raise too_large()
    media = media_type(headers) or "application/json"
    reader = READERS.get(media)
    if reader is None:
        words = f"the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
        raise status.failure(415, "UnsupportedMediaType", words)
    return reader(body)


def object_of(resource: Resource, kind: str, version: str, body: bytes, headers: dict[str, str]) -> JsonObject:
    """The object of a body as it was sent, its kind checked against what the endpoint takes."""
    try:
        value = value_of(body, headers)
    except SyntaxProblem as problem:
        words = str(problem)
        if media_type(headers) in ("", "application/json"):
            words = f"{NO_KIND}: {words}"
        raise unrecognized(kind, words, body) from problem
    if value is None:
        value = {}
    if not isinstance(value, dict):
        word = json_word(value)
        words = f"json: cannot unmarshal {word} into Go value of type {META_STRUCT}"
        raise unrecognized(kind, f"{NO_KIND}: {words}", body)
    for key in ("apiVersion", "kind"):
        if value.get(key) is not None and not isinstance(value[key], str):
            words = f"json: cannot unmarshal {json_word(value[key])} into Go struct field .{key} of type string"
            raise unrecognized(kind, f"{NO_KIND}: {words}", body)
    return value


def unrecognized(kind: str, words: str, body: bytes) -> status.ApiError:
    return status.bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {words} ({summary(body)})"
    )


def summary(body: bytes) -> str:
    """The beginning of a body: text when it looks like an object, hexadecimal otherwise."""
    if not body:
        return "<empty>"
    shown = body[:SUMMARY_BYTES]
    text = shown.decode("utf-8", "replace") if body[:1] == b"{" else shown.hex()
    return text + (" ..." if len(body) > SUMMARY_BYTES else "")


def check_kind(resource: Resource, value: JsonObject, known: bool) -> None:
    """400 when the body names another kind or version; `known`: whether the named kind exists."""
    kind = value.get("kind") or resource.kind
    api_version = value.get("apiVersion") or resource.api_version
    version = api_version.rpartition("/")[2]
    if resource.custom is not None and api_version == resource.api_version:
        return  # validation will say that the kind is another
    if not known:
        why = f'no kind "{kind}" is registered for version "{api_version}" in {SCHEME}'
        raise decoding.cannot_be_handled(kind, version, resource.kind, why)
    if api_version != resource.api_version:
        words = f"the API version in the data ({api_version}) does not match the expected API version"
        raise status.bad_request(f"{words} ({resource.api_version})")
    if kind != resource.kind:
        why = unknown_conversion(resource, api_version, kind)
        raise decoding.cannot_be_handled(kind, version, resource.kind, why)


def unknown_conversion(resource: Resource, api_version: str, kind: str) -> str:
    """The words for an object of another kind that does exist."""
    version = api_version.rpartition("/")[2]
    return f"converting ({version}.{kind}) to ({_internal(resource)}.{resource.kind}): unknown conversion"


def _internal(resource: Resource) -> str:
    return resource.group.partition(".")[0] or "core"
