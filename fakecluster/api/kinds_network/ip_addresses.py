"""IPAddress objects: every cluster IP has one, made and removed with the Service that uses it (KEP-1880)."""

from __future__ import annotations

from fakecluster.api import managed, object_meta
from fakecluster.api.managed import Writer
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import Request

RESOURCE = "ipaddresses.networking.k8s.io"
_WRITER = Writer("kube-apiserver", "Update", "networking.k8s.io/v1")
_LABELS = "ipaddress.kubernetes.io"


def publish_address(address: str, family: str, service: JsonObject, request: Request) -> str:
    """Store the IPAddress of a cluster IP; the answer is why the server refuses it, empty when all is well."""
    meta = service["metadata"]
    if not meta.get("name"):
        return f'IPAddress.networking.k8s.io "{address}" is invalid: spec.parentRef.name: Required value'
    obj: JsonObject = {
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address,
            "uid": object_meta.new_uid(request.choices),
            "creationTimestamp": object_meta.timestamp(request.clock.unix_s),
            "labels": {f"{_LABELS}/ip-family": family, f"{_LABELS}/managed-by": "ipallocator.k8s.io"},
        },
        "spec": {"parentRef": {"resource": "services", "namespace": meta["namespace"], "name": meta["name"]}},
    }
    request.store.put(RESOURCE, obj, managed.written(None, _WRITER, request.clock.unix_s, None, obj))
    return ""


def withdraw_address(address: str, request: Request) -> None:
    """Remove the IPAddress of a cluster IP that is free again."""
    if request.store.stored(RESOURCE, "", address) is not None:
        request.store.remove(RESOURCE, "", address)
