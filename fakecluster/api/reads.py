"""Get and list: selectors, pages, versions.

A page token carries the revision of the first page and the last key of this one, so that later pages show the same
state.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.api import selectors, status
from fakecluster.api.field_labels import fields_of
from fakecluster.api.resources import Resource
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.store import Store, Stored

Matcher = Callable[[JsonObject], bool]
#: How long the server would wait for a version that does not exist yet.
RETRY_AFTER_S = 1
#: In a page token: go on with whatever is there now.
NEWEST = -1


def matcher(resource: Resource, label_selector: str, field_selector: str) -> Matcher:
    """Whether an object is selected; both selectors in their text form, empty ones select everything."""
    try:
        labels = selectors.parse(label_selector) if label_selector else None
        fields = selectors.parse_fields(field_selector) if field_selector else None
    except selectors.SelectorError as problem:
        raise status.bad_request(str(problem)) from problem
    wanted = fields_of(resource, fields) if fields is not None else None

    def matches(obj: JsonObject) -> bool:
        if labels is not None and not labels.matches(obj["metadata"].get("labels") or {}):
            return False
        return fields is None or wanted is None or fields.matches(wanted(obj))

    return matches


@attrs.frozen
class Page:
    """A list's items and what its metadata says about the rest."""

    items: list[Stored]
    revision: int
    continue_: str = ""
    remaining: int | None = None


@attrs.frozen
class ListRequest:
    """Which objects, of when, how many."""

    resource: Resource
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""


def list_page(store: Store, request: ListRequest) -> Page:
    """One page of a list; ApiError 400, 410 and 504 as the real server answers."""
    matches = matcher(request.resource, request.label_selector, request.field_selector)
    revision, after = _start(store, request)
    key = request.resource.key
    stored = (
        store.stored_list(key, request.namespace)
        if revision is None or revision >= store.revision
        else store.snapshot(key, request.namespace, revision)
    )
    shown = store.revision if revision is None else revision
    rows = [item for item in stored if _key(item) > after] if after else stored
    selective = bool(request.label_selector or request.field_selector)
    limit = 0 if request.resource_version == "0" and not request.continue_ else request.limit
    page: list[Stored] = []
    for place, item in enumerate(rows):
        if not selective or matches(item.object):
            page.append(item)
            left = len(rows) - place - 1
            if limit and len(page) == limit and left:
                return Page(page, shown, _token(shown, _key(item)), None if selective else left)
    return Page(page, shown)


def _start(store: Store, request: ListRequest) -> tuple[int | None, str]:
    """(the revision to show or None for the newest, the key after which the page starts)."""
    if request.continue_:
        if request.resource_version not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        revision, after = _read_token(request.continue_)
        if revision == NEWEST:
            return None, after
        if revision < max(store.compacted, store.oldest):
            error = expired(_EXPIRED_TOKEN)
            error.status["metadata"] = {"continue": _token(NEWEST, after)}
            raise error
        return revision, after
    if not request.resource_version:
        return None, ""  # a read of etcd itself: never stale
    revision = parse_revision(request.resource_version, listing=True)
    exact = request.match == "Exact" or (request.limit and not request.match and revision)
    if revision > store.revision:
        raise too_large_revision(revision, store.revision)
    if not exact:
        return (store.stale_revision if revision <= (store.stale_revision or 0) else None), ""
    if revision < max(store.compacted, store.oldest):
        raise expired("The resourceVersion for the provided list is too old.")
    return revision, ""


_EXPIRED_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def _key(stored: Stored) -> str:
    meta = stored.object["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def _token(revision: int, key: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": key + "\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as problem:
        raise status.bad_request(f"invalid continue token: continue key is not valid: {problem}") from problem
    try:
        parsed: Any = json.loads(text)
        return int(parsed["rv"]), str(parsed["start"]).rstrip("\0")
    except (ValueError, KeyError, TypeError) as problem:
        char = chr(text[0]) if text else ""
        shown = char if char.isprintable() and char.isascii() else f"\\u{ord(char):04x}" if char else ""
        words = f"invalid character '{shown}' looking for beginning of value"
        raise status.bad_request(f"invalid continue token: continue key is not valid: {words}") from problem


def parse_revision(text: str, *, listing: bool = False) -> int:
    """The number of a resourceVersion; 400 in lists, 500 elsewhere, as on the real server."""
    if text.isdigit() and text.isascii() and int(text) < 1 << 64:
        return int(text)
    why = "value out of range" if text.isdigit() else "invalid syntax"
    words = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {why}'
    if listing:
        raise status.bad_request(f"invalid resource version: {words}")
    raise status.failure(500, "", words)


def expired(message: str) -> ApiError:
    return status.failure(410, "Expired", message)


def too_large_revision(wanted: int, current: int) -> ApiError:
    """504: the version asked for lies in the future."""
    error = status.failure(
        504,
        "Timeout",
        f"Too large resource version: {wanted}, current: {current}",
        {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": RETRY_AFTER_S,
        },
    )
    error.headers = (("Retry-After", str(RETRY_AFTER_S)),)
    return error
