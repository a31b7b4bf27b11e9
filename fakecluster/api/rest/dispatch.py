"""From an HTTP request to its answer: authenticate, authorize, find the resource, negotiate, run the verb."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import yaml

from fakecluster.api import status
from fakecluster.api.errors_protobuf import status_bytes
from fakecluster.api.faults import REQUEST_TIMEOUT_S, disturb, wait
from fakecluster.api.resources import Resource
from fakecluster.api.rest import authorization, discovery, health, negotiation, objects, pods, reviews, subresources
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.path import Target, parse
from fakecluster.api.rest.response import JSON, Response, page_not_found
from fakecluster.api.rest.users import ADMIN, ANONYMOUS, User, authenticate, impersonated
from fakecluster.api.status import ApiError
from fakecluster.errors import Unsupported

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer

READING = ("get", "list", "watch")
#: Kinds whose every use is warned about.
DEPRECATED = {"endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}


def answer(
    server: ApiServer, method: str, path: str, query: str, headers: dict[str, str], body: bytes, user: str
) -> Response:
    """The whole of it; whatever is wrong with the request becomes a Status."""
    low = {name.lower(): value for name, value in headers.items()}
    parameters = parse_qs(query, keep_blank_values=True)
    target = parse(method, path, parameters)
    call = Call(server, method, target, parameters, low, body, ANONYMOUS)
    try:
        call.user = authenticate(low, server.tokens, known_user(server, user))
        _impersonate(call)
        authorization.authorize(call)
        response = _resource(call) if target.is_resource else _path(call)
    except ApiError as problem:
        response = refused(call, problem)
    except Unsupported as gap:
        response = refused(call, status.failure(501, "NotImplemented", str(gap), {}))
    if method == "HEAD":
        response.content, response.content_type = b"", JSON
    response.warnings = list(dict.fromkeys(call.warnings))
    return response


def known_user(server: ApiServer, name: str) -> User:
    """The user that a transport names: one the server was told of, otherwise one without groups."""
    if name == ADMIN.name:
        return server.users.get(name, ADMIN)
    return server.users.get(name) or (ANONYMOUS if name == ANONYMOUS.name else User(name))


def _impersonate(call: Call) -> None:
    groups = call.headers.get("impersonate-group", "")
    other = impersonated(call.headers, tuple(group for group in groups.split(",") if group))
    if other is not None:
        authorization.authorize_impersonation(call, other)
        call.user = other


def refused(call: Call, problem: ApiError) -> Response:
    """A Status in the encoding that the client wants, if it can be had."""
    headers = list(problem.headers)
    accept = call.headers.get("accept", "")
    try:
        media = negotiation.negotiate(accept).media
    except ApiError:
        media = negotiation.JSON
    if media == negotiation.YAML:
        text = yaml.safe_dump(problem.status, sort_keys=True, default_flow_style=False)
        return Response(problem.code, problem.status, negotiation.YAML, text.encode(), headers)
    if media == negotiation.PROTOBUF:
        return Response(problem.code, problem.status, negotiation.PROTOBUF, status_bytes(problem.status), headers)
    return Response(problem.code, problem.status, JSON, headers=headers)


def _path(call: Call) -> Response:
    for handler in (health.answer, discovery.answer):
        response = handler(call)
        if response is not None:
            return response
    return page_not_found()


def _resource(call: Call) -> Response:
    target, registry = call.target, call.server.registry
    resource = registry.find(target.group, target.version, target.resource)
    if resource is None:
        if target.group and not registry.versions(target.group):
            return page_not_found()
        raise status.no_such_resource()
    _check_scope(target, resource)
    if target.verb != "watch":
        wait(call.server, REQUEST_TIMEOUT_S)
    disturb(call.server, target.verb, resource, target.name, call.user.name)
    if resource.key in DEPRECATED and target.verb != "watch":
        call.warnings.append(DEPRECATED[resource.plural])
    if target.subresource:
        return _encoded(call, subresources.answer(call, resource))
    verb = _verb(call, resource)
    call.accepted = negotiation.negotiate(call.headers.get("accept", ""))
    if call.accepted.media == negotiation.PROTOBUF and verb not in READING:
        raise negotiation.not_acceptable((negotiation.JSON, negotiation.YAML))
    verbs = pods.BINDINGS if resource.key == "bindings" else objects.VERBS
    handler = reviews.answer if resource.key in reviews.QUESTIONS else verbs[verb]
    return _encoded(call, handler(call, resource))


def _check_scope(target: Target, resource: Resource) -> None:
    if resource.key == "namespaces":
        return
    if resource.namespaced and not target.namespace and target.name:
        raise status.no_such_resource()
    if not resource.namespaced and target.namespace:
        raise status.no_such_resource()


def _verb(call: Call, resource: Resource) -> str:
    target = call.target
    verb = target.verb
    fits = bool(target.name) == (verb in ("get", "update", "patch", "delete"))
    if verb == "watch":
        fits = True
    if call.method == "HEAD" or not fits or verb not in resource.verbs:
        raise status.method_not_allowed()
    if verb == "create" and resource.namespaced and not target.namespace:
        raise status.method_not_allowed()
    if verb == "deletecollection" and resource.namespaced and not target.namespace:
        raise status.method_not_allowed()
    return verb


def _encoded(call: Call, response: Response) -> Response:
    """Objects are JSON or YAML; protobuf, which the real server can, is refused."""
    if response.stream is not None or response.content is not None or response.status >= 400:
        return response
    if call.accepted.media == negotiation.PROTOBUF:
        raise negotiation.not_acceptable((negotiation.JSON, negotiation.YAML))
    if call.accepted.media == negotiation.YAML:
        response.content = yaml.safe_dump(response.value, sort_keys=True, default_flow_style=False).encode()
        response.content_type = negotiation.YAML
    return response
