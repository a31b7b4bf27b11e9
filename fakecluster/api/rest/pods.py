"""Subresources that are actions: a Pod is bound or evicted, its kubelet is asked, an account wants a token."""

from __future__ import annotations

from fakecluster.api import status
from fakecluster.api.kinds_workload import eviction, pod_binding
from fakecluster.api.resources import Resource
from fakecluster.api.rest import objects, options, pod_streams
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import Request, invalid
from fakecluster.errors import Unsupported

#: A token lives at least ten minutes.
TOKEN_MIN_S = 600


def bind(call: Call, resource: Resource) -> Response:
    """POST pods/<name>/binding, or a Binding to `bindings`, whose name is the Pod's."""
    binding, request = _action(call, "", "Binding")
    if not call.target.name:
        request.name = (binding.get("metadata") or {}).get("name", "")
    pod_binding.bind(request, binding)
    return _done()


#: The verbs of the resource `bindings`: nothing is stored there.
BINDINGS = {"create": bind}


def evict(call: Call, resource: Resource) -> Response:
    """POST pods/<name>/eviction."""
    body, request = _action(call, "policy", "Eviction")
    eviction.evict(request, body)
    return _done()


def _action(call: Call, group: str, kind: str) -> tuple[JsonObject, Request]:
    """The object in the body, and the request as one on the Pod."""
    wanted = options.write_options("CreateOptions", call.query)
    shape = Resource(group, "v1", "pods", "pod", kind, True, ())
    body = objects.incoming(call, shape, wanted.field_validation)
    pods = call.server.registry.by_key("pods")
    return body, objects.request_of(call, pods, dry_run=wanted.dry_run, manager=wanted.field_manager)


def _done() -> Response:
    return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def through_kubelet(call: Call, resource: Resource) -> Response:
    """Logs, commands, port forwarding: the server finds the Pod's node, whose kubelet is asked from outside the API."""
    request = objects.request_of(call, resource)
    wanted = options.first(call.query, "container")
    if call.target.subresource == "log":
        wanted = pod_streams.log_options(call.query, request.name).container
    pod = objects.stored_or_404(request).object
    if call.target.subresource != "portforward":
        pod_streams.container_of(pod, wanted)
    node = pod["spec"].get("nodeName", "")
    if not node and call.target.subresource == "log":
        return Response(204, content=b"")  # the real server knows no place to ask and says nothing
    if not node:
        raise status.bad_request(f"pod {request.name} does not have a host assigned")
    if call.server.store.get("nodes", "", node) is None:
        raise status.not_found("pods", "", node)
    raise Unsupported(f"pods/{call.target.subresource}: a kubelet's own API")


def token(call: Call, resource: Resource) -> Response:
    """POST serviceaccounts/<name>/token: checked, but nothing here signs tokens."""
    wanted = options.write_options("CreateOptions", call.query)
    shape = Resource("authentication.k8s.io", "v1", "serviceaccounts", "", "TokenRequest", True, ())
    body = objects.incoming(call, shape, wanted.field_validation)
    objects.stored_or_404(objects.request_of(call, resource))
    seconds = (body.get("spec") or {}).get("expirationSeconds")
    errors = []
    if seconds is not None and seconds < TOKEN_MIN_S:
        why = "may not specify a duration less than 10 minutes"
        errors.append(invalid("spec.expirationSeconds", seconds, why))
    if seconds is not None and seconds > 1 << 32:
        why = "may not specify a duration larger than 2^32 seconds"
        errors.append(invalid("spec.expirationSeconds", seconds, why))
    if errors:
        causes = [(error.type, error.field, error.message) for error in errors]
        raise status.invalid("TokenRequest", "authentication.k8s.io", "", causes)
    raise Unsupported("serviceaccounts/token: signed tokens")
