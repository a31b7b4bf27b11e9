"""What a request's path and method mean: verb, group, resource, namespace, name, subresource.

The rules of apiserver's `RequestInfo` (`pkg/endpoints/request/requestinfo.go`).
"""

from __future__ import annotations

from urllib.parse import unquote

import attrs

VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: Path words after a namespace's name that are subresources of the namespace itself.
NAMESPACE_SUBRESOURCES = ("status", "finalize")


@attrs.frozen
class Target:
    """What a request is about; `is_resource` False: a path such as /version, with the method as verb."""

    is_resource: bool
    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = ()  # what follows the subresource (proxied paths)
    legacy_watch: bool = False

    @property
    def scope_words(self) -> str:
        return f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"


def parse(method: str, path: str, query: dict[str, list[str]]) -> Target:
    """Read a path; never fails: what is no resource path is a plain one."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    plain = Target(False, method.lower(), path)
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return plain
    verb = VERBS.get(method, "")
    legacy = rest[0] == "watch" and len(rest) > 1
    if legacy:
        verb, rest = "watch", rest[1:]
    namespace, rest = _namespace(rest)
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    verb = _collection_verb(verb, name, query)
    return Target(
        True, verb, path, group, version, rest[0], namespace, name, subresource, tuple(rest[3:]), legacy_watch=legacy
    )


def _namespace(rest: list[str]) -> tuple[str, list[str]]:
    if rest[0] != "namespaces" or len(rest) < 2:
        return "", rest
    if len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
        return rest[1], rest[2:]
    return rest[1], rest  # the namespace itself: named both ways


def _collection_verb(verb: str, name: str, query: dict[str, list[str]]) -> str:
    if name:
        return verb
    if verb == "get":
        return "watch" if wants_watch(query) else "list"
    return "deletecollection" if verb == "delete" else verb


def wants_watch(query: dict[str, list[str]]) -> bool:
    """`watch=true`, `1`, or with no value at all."""
    values = query.get("watch")
    return values is not None and values[0].lower() not in ("false", "0")
