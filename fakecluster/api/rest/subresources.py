"""Subresources: status, scale, binding, eviction and the rest, each with the verbs that discovery names."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api import status
from fakecluster.api.kinds_network import service_proxy
from fakecluster.api.resources import Resource
from fakecluster.api.rest import negotiation, objects, pods, scale
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response
from fakecluster.errors import Unsupported

Handler = Callable[[Call, Resource], Response]


def answer(call: Call, resource: Resource) -> Response:
    """Run the verb on a subresource; 404 when the kind has none of that name, 405 for a verb that it does not take."""
    target = call.target
    sub = resource.subresources.get(target.subresource)
    if sub is None or (target.rest and target.subresource not in PROXIED):
        raise status.no_such_resource()
    if target.verb not in sub.verbs or call.method == "HEAD":
        raise status.method_not_allowed()
    call.accepted = negotiation.negotiate(call.headers.get("accept", ""))
    if call.accepted.media == negotiation.PROTOBUF and target.verb != "get":
        raise negotiation.not_acceptable((negotiation.JSON, negotiation.YAML))
    handler = HANDLERS.get(target.subresource)
    if handler is None:
        raise Unsupported(f"{resource.plural}/{target.subresource}")
    return handler(call, resource)


PROXIED = ("proxy",)


def plain(call: Call, resource: Resource) -> Response:
    """Subresources that read and write a part of the object itself."""
    return objects.VERBS[call.target.verb](call, resource)


def proxied(call: Call, resource: Resource) -> Response:
    """A request to a program behind the object: without an endpoint it ends here; passing it on is not modelled."""
    if resource.key == "services":
        service_proxy.locate(call.server.store, call.target.namespace, call.target.name)
    raise Unsupported(f"{resource.plural}/{call.target.subresource}")


HANDLERS: dict[str, Handler] = {
    "status": plain,
    "scale": scale.answer,
    "ephemeralcontainers": plain,
    "resize": plain,
    "finalize": plain,
    "binding": pods.bind,
    "eviction": pods.evict,
    "token": pods.token,
    "proxy": proxied,
    **dict.fromkeys(("attach", "exec", "log", "portforward"), pods.through_kubelet),
}
