"""/openapi/v2: one Swagger document with all kinds and paths, made of the v3 documents.

Differences of the older language: schemas stand in `definitions`, a reference has nothing beside it, there is no `oneOf`
and no `nullable`, parameters have their type themselves and bodies are parameters. Source: kube-openapi pkg/handler.
"""

from __future__ import annotations

import functools
from typing import Any

from fakecluster.api import schema, status
from fakecluster.api.resources import Registry
from fakecluster.api.rest import negotiation, openapi_protobuf
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response, text

JSON = negotiation.JSON
#: A protobuf of its own, by its proper name and by the one with a character that media types may not have.
PROTOBUF = (
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
)
DEFINITIONS = "#/definitions/"
#: Words of v3 that v2 does not have.
UNKNOWN = frozenset(("nullable", "oneOf", "anyOf", "allOf", "not"))
PRODUCES = [JSON, "application/yaml", "application/vnd.kubernetes.protobuf"]
SECURITY = {
    "BearerToken": {
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    }
}


def answer(call: Call) -> Response:
    """GET /openapi/v2, in JSON or in the protobuf that kubectl wants; 406 for those who take neither."""
    if call.method not in ("GET", "HEAD"):
        raise status.method_not_allowed()
    for clause in negotiation.clauses(call.headers.get("accept", "") or JSON):
        if clause.media in (JSON, "application/*", "*/*"):
            return Response(200, document(call.server.registry))
        if clause.media in PROTOBUF:
            return Response(200, content_type=PROTOBUF[0], content=_protobuf(call.server.registry))
    return text(406, "")


@functools.lru_cache(maxsize=4)
def _protobuf(registry: Registry) -> bytes:
    return openapi_protobuf.message("Document", document(registry))


@functools.lru_cache(maxsize=4)
def document(registry: Registry) -> dict[str, Any]:
    """The whole document; not to be changed."""
    from fakecluster.api.rest import openapi

    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name in openapi.documents(registry):
        found = openapi.document(registry, name)
        definitions |= found["components"]["schemas"]
        paths |= {path: _item(item) for path, item in found["paths"].items()}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": dict(sorted(paths.items())),
        "definitions": {name: converted(found) for name, found in sorted(definitions.items())},
        "securityDefinitions": SECURITY,
        "security": [{"BearerToken": []}],
    }


def converted(found: Any) -> Any:
    """A schema in the older language."""
    if isinstance(found, list):
        return [converted(one) for one in found]
    if not isinstance(found, dict):
        return found
    references = [found["$ref"]] if "$ref" in found else [one.get("$ref") for one in found.get("allOf", ())]
    if len(references) == 1 and references[0]:
        return {"$ref": references[0].replace(schema.PREFIX, DEFINITIONS)}
    out = {key: _part(key, value) for key, value in found.items() if key not in UNKNOWN}
    if found.get("format") == "int-or-string" or found.get("x-kubernetes-int-or-string"):
        out |= {"type": "string", "format": "int-or-string"}
    return out


def _part(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties") and isinstance(value, dict):
        return {name: converted(one) for name, one in value.items()}
    return converted(value) if key in ("items", "additionalProperties") else value


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [_parameter(one) for one in value] if key == "parameters" else _operation(value)
        for key, value in item.items()
    }


def _parameter(found: dict[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in found.items() if key != "schema"}, **found["schema"]}


def _operation(found: dict[str, Any]) -> dict[str, Any]:
    parameters = [_parameter(one) for one in found["parameters"]]
    consumes = ["*/*"]
    if "requestBody" in found:
        content = found["requestBody"]["content"]
        consumes = list(content)
        shape = converted(content[consumes[0]]["schema"])
        parameters.insert(0, {"in": "body", "name": "body", "required": True, "schema": shape})
    responses = {
        code: {"description": one["description"], "schema": converted(one["content"][JSON]["schema"])}
        for code, one in found["responses"].items()
    }
    rest = {key: value for key, value in found.items() if key.startswith("x-")}
    schemes = ["https"]
    return {
        "consumes": consumes,
        "parameters": parameters,
        "produces": PRODUCES,
        "responses": responses,
        "schemes": schemes,
        **rest,
    }
