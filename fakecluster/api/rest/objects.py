"""The verbs on resources: from a call to a status code and a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import creates, decoding, deletes, managed, reads, status, updates
from fakecluster.api.deletes import DeleteOptions
from fakecluster.api.resources import Resource
from fakecluster.api.rest import bodies, options, patches
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.go_json import SyntaxProblem
from fakecluster.api.rest.response import Response
from fakecluster.api.rest.shapes import list_shape, object_shape, watch_shape
from fakecluster.api.rest.watching import WatchStream
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request, invalid


def request_of(call: Call, resource: Resource, *, dry_run: bool = False, manager: str = "") -> Request:
    """The call as the registry and the kinds see it."""
    target = call.target
    namespace = target.namespace if resource.namespaced else ""
    agent = manager or call.agent
    return Request(
        call.server, resource, target.verb, namespace, target.name, target.subresource, call.user.name, agent, dry_run
    )


def seen(stored: Stored) -> JsonObject:
    """An object as clients see it, with its managedFields."""
    return managed.with_managed_fields(stored.object, stored.managed)


def stored_or_404(request: Request) -> Stored:
    resource = request.resource
    stored = request.store.stored(resource.key, request.namespace, request.name)
    if stored is None:
        raise status.not_found(resource.plural, resource.group, request.name)
    return stored


def get(call: Call, resource: Resource) -> Response:
    revision = options.first(call.query, "resourceVersion")
    if revision and (wanted := reads.parse_revision(revision)) > call.server.store.revision:
        raise reads.too_large_revision(wanted, call.server.store.revision)
    return Response(200, object_shape(call, resource)(seen(stored_or_404(request_of(call, resource)))))


def list_(call: Call, resource: Resource) -> Response:
    if options.boolean(call.query, "watch"):
        return watch(call, resource)
    wanted = options.list_options(call.query, watch=False)
    page = reads.list_page(call.server.store, _list_request(call, resource, wanted))
    return Response(200, list_shape(call, resource)(page))


def _list_request(call: Call, resource: Resource, wanted: options.ListOptions) -> reads.ListRequest:
    return reads.ListRequest(
        resource,
        call.target.namespace if resource.namespaced else "",
        wanted.label_selector,
        wanted.field_selector,
        wanted.limit,
        wanted.continue_,
        wanted.resource_version,
        wanted.match,
    )


def watch(call: Call, resource: Resource) -> Response:
    wanted = options.list_options(call.query, watch=True)
    matches = reads.matcher(resource, wanted.label_selector, wanted.field_selector)
    stream = WatchStream(
        call.server.store,
        resource,
        call.target.namespace if resource.namespaced else "",
        call.target.name,
        matches,
        watch_shape(call, resource),
        wanted.bookmarks,
        wanted.timeout_s,
    )
    stream.start(wanted)
    return Response(200, stream=stream)


def create(call: Call, resource: Resource) -> Response:
    wanted = options.write_options("CreateOptions", call.query)
    request = request_of(call, resource, dry_run=wanted.dry_run, manager=wanted.field_manager)
    obj = incoming(call, resource, wanted.field_validation)
    stored = creates.create(request, obj)
    call.warnings += request.warnings
    return Response(201, object_shape(call, resource)(seen(stored)))


def incoming(call: Call, resource: Resource, validation: str) -> JsonObject:
    """The object in the body as a clean working copy; its managedFields stay in for the registry."""
    value = bodies.object_of(resource, resource.kind, resource.version, call.body, call.headers)
    kind, api_version = value.get("kind") or resource.kind, value.get("apiVersion") or resource.api_version
    known = call.server.registry.by_kind(api_version, kind) is not None
    if (kind, api_version) != (resource.kind, resource.api_version):
        if resource.custom is not None:
            raise _other_kind(resource, value)
        bodies.check_kind(resource, value, known)
    try:
        obj, warnings = decoding.decoded(resource, value, validation)
    except decoding.Undecodable as problem:
        raise decoding.cannot_be_handled(kind, resource.version, resource.kind, str(problem)) from problem
    call.warnings += warnings
    return obj


def _other_kind(resource: Resource, value: JsonObject) -> ApiError:
    """A custom resource's endpoint takes the body first and then finds that it is something else."""
    fields = (("apiVersion", resource.api_version), ("kind", resource.kind))
    wrong = [(field, wanted) for field, wanted in fields if value.get(field, wanted) != wanted]
    errors = [invalid(field, value[field], f"must be {wanted}") for field, wanted in wrong]
    meta = value.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    causes = [(error.type, error.field, error.message) for error in errors]
    kind = value.get("kind") or resource.kind
    return status.invalid(kind, resource.group, name if isinstance(name, str) else "", causes)


def update(call: Call, resource: Resource) -> Response:
    wanted = options.write_options("UpdateOptions", call.query)
    request = request_of(call, resource, dry_run=wanted.dry_run, manager=wanted.field_manager)
    obj = incoming(call, resource, wanted.field_validation)
    updates.check_name(request, obj)
    stored, created = updates.update_or_create(request, obj)
    call.warnings += request.warnings
    return Response(201 if created else 200, object_shape(call, resource)(seen(stored)))


def patch(call: Call, resource: Resource) -> Response:
    stored, created = patches.patch(call, resource, request_of)
    return Response(201 if created else 200, object_shape(call, resource)(seen(stored)))


def delete(call: Call, resource: Resource) -> Response:
    wanted = options.deletion(delete_body(call), call.query)
    request = request_of(call, resource, dry_run=wanted.dry_run)
    return deletion_answer(call, request, wanted)


def deletion_answer(call: Call, request: Request, wanted: options.Deletion) -> Response:
    """Delete one object and say what became of it."""
    resource = request.resource
    outcome = deletes.delete(
        request, DeleteOptions(wanted.grace_period_s, wanted.propagation, wanted.uid, wanted.resource_version)
    )
    if outcome.stays or deletes.answers_with_object(request):
        return Response(200, object_shape(call, resource)(seen(outcome.stored)))
    meta = outcome.stored.object["metadata"]
    details = status.details_of(resource.group, resource.plural, meta["name"])
    return Response(200, status.success({**details, "uid": meta["uid"]}))


def delete_body(call: Call) -> Any:
    """The DeleteOptions in the body; None when the body is empty."""
    if not call.body:
        return None
    try:
        value = bodies.value_of(call.body, call.headers)
    except SyntaxProblem as problem:
        words = f"{bodies.NO_KIND}: {problem}"
        raise bodies.unrecognized("DeleteOptions", words, call.body) from problem
    if not isinstance(value, dict):
        return None
    kind = value.get("kind", "DeleteOptions")
    if kind != "DeleteOptions":
        where = 'scheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'
        version = value.get("apiVersion") or "meta.k8s.io/v1"
        raise status.bad_request(f'no kind "{kind}" is registered for version "{version}" in {where}')
    from fakecluster.api import diagnose, schema

    if problem_text := diagnose.type_problem(schema.META + "DeleteOptions", value):
        raise decoding.cannot_be_handled("DeleteOptions", "v1", "DeleteOptions", problem_text)
    return value


def delete_collection(call: Call, resource: Resource) -> Response:
    wanted = options.deletion(delete_body(call), call.query)
    chosen = options.list_options(call.query, watch=False)
    page = reads.list_page(call.server.store, _list_request(call, resource, chosen))
    for stored in page.items:
        meta = stored.object["metadata"]
        request = request_of(call, resource, dry_run=wanted.dry_run)
        request.name, request.namespace = meta["name"], meta.get("namespace", "")
        _delete_one(request, wanted)
    return Response(200, list_shape(call, resource)(page))


def _delete_one(request: Request, wanted: options.Deletion) -> None:
    try:
        deletes.delete(request, DeleteOptions(wanted.grace_period_s, wanted.propagation))
    except ApiError as problem:
        if problem.code != 404:  # another deletion of this collection took it along
            raise


Handler = Callable[[Call, Resource], Response]
VERBS: dict[str, Handler] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
