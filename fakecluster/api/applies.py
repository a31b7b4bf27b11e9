"""Server-side apply as a write: the configuration is merged (apply_merge.py), then created or updated like anything else."""

from __future__ import annotations

from fakecluster.api import apply_merge as applying
from fakecluster.api import creates, decoding, ownership, status, updates
from fakecluster.api.managed import Managed, Writer
from fakecluster.api.status import JsonObject
from fakecluster.api.store import Stored
from fakecluster.api.strategy import Request


def apply(request: Request, config: JsonObject, *, force: bool) -> tuple[Stored, bool]:
    """Server-side apply of a configuration as it was written: (the object, whether it is new)."""
    resource, meta = request.resource, config.get("metadata") or {}
    meta = meta if isinstance(meta, dict) else {}
    _check_config(request, config, meta)
    before = request.store.stored(resource.key, request.namespace, request.name)
    who = Writer(request.agent, "Apply", resource.api_version, request.subresource)
    said = applying.Application(config, who, request.clock.unix_s, force, ownership.ignored_fields(request))
    node = ownership.type_of_resource(resource)
    if before is None:
        if request.subresource:
            raise status.not_found(resource.plural, resource.group, request.name)
        if uid := meta.get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise status.conflict(resource.plural, resource.group, request.name, why)
        fresh = {**ownership.zero_object(resource), "metadata": {}}
        done = applying.apply(node, fresh, {}, said)
        obj = decoding.clean_copy(resource, done.object)
        obj["metadata"].pop("resourceVersion", None)
        return creates.create(request, obj, Managed(done.entries)), True
    outcome: list[Managed] = []

    def change(live: Stored) -> JsonObject:
        lines = live.managed.resolved() if live.managed is not None else {}
        done = applying.apply(node, live.object, lines, said)
        outcome.append(live.managed if live.managed is not None and done.entries == lines else Managed(done.entries))
        return decoding.clean_copy(resource, done.object)

    return updates.update(request, change, record=lambda _before, _new: outcome[0]), False


def _check_config(request: Request, config: JsonObject, meta: JsonObject) -> None:
    resource = request.resource
    api_version, kind = config.get("apiVersion", ""), config.get("kind", "")
    if not api_version or not kind:
        group, _, version = str(api_version).rpartition("/")
        raise status.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    if meta.get("managedFields") is not None:
        raise status.bad_request("metadata.managedFields must be nil")
    if not isinstance(api_version, str) or kind != resource.kind:
        raise status.bad_request(f"invalid object type: {api_version}, Kind={kind}")
    if api_version != resource.api_version:
        words = f"Incorrect version specified in apply patch. Specified patch version: {api_version}, expected: "
        raise status.bad_request(words + resource.api_version)
    if (name := meta.get("name", "")) and name != request.name:
        raise status.bad_request(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
