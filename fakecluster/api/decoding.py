"""From what a client sent to a clean working copy of an object, or the server's refusal."""

from __future__ import annotations

from fakecluster.api import schema, status
from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject


def clean_copy(resource: Resource, obj: JsonObject) -> JsonObject:
    """The object as Go's types would keep it; ApiError 400 when a value has the wrong type."""
    decoded, found = schema.decode(resource.api_version, resource.kind, obj)
    if found.bad:
        raise status.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        )
    decoded.setdefault("metadata", {})
    decoded["apiVersion"], decoded["kind"] = resource.api_version, resource.kind
    return decoded
