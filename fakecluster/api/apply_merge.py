"""Server-side apply: merge what a manager says into the live object, drop what it no longer says, find the conflicts.

The rules of structured-merge-diff's `merge.Updater.Apply` and apimachinery's `managedfields`.
"""

from __future__ import annotations

import attrs

from fakecluster.api import managed, status, typed
from fakecluster.api.field_sets import EMPTY, FieldSet, Path, as_text, in_order
from fakecluster.api.managed import Entries, Entry, Writer
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.type_tree import TypeNode
from fakecluster.api.typed_check import typed_problems

BEFORE_FIRST_APPLY = "before-first-apply"


@attrs.frozen
class Applied:
    """The outcome: the merged object, and the lines of managedFields that go with it."""

    object: JsonObject
    entries: Entries


@attrs.frozen
class Application:
    """One apply: which configuration, by whom, whether conflicts are overridden, what the endpoint does not write."""

    config: JsonObject
    writer: Writer
    unix_s: int
    force: bool = False
    ignored: tuple[Path, ...] = ()


def apply(node: TypeNode, live: JsonObject, entries: Entries, application: Application) -> Applied:
    """Raises ApiError 409 for conflicts, 500 when the configuration does not fit the type."""
    config = application.config
    check_typed(node, config)
    if not entries and live["metadata"].get("resourceVersion"):
        entries = _before_first_apply(node, live, application)
    writer = application.writer
    previous = entries.get(writer.key)
    said = typed.field_set(node, config)
    mine = managed.stripped(said, application.ignored)
    merged = typed.merge(node, live, config)
    lines = {**entries, writer.key: Entry(writer, said, application.unix_s)}
    if previous is not None:
        merged = _prune(node, merged, lines, previous.fields)
    lines[writer.key] = Entry(writer, mine, application.unix_s)
    lines = _take_over(node, live, merged, lines, application)
    kept = {key: entry for key, entry in lines.items() if entry.fields}
    same = previous is not None and previous.fields == mine and live == merged
    if same and writer.key in kept:
        kept[writer.key] = attrs.evolve(kept[writer.key], unix_s=previous.unix_s if previous else None)
    return Applied(merged, kept)


def _before_first_apply(node: TypeNode, live: JsonObject, application: Application) -> Entries:
    writer = Writer(BEFORE_FIRST_APPLY, "Update", application.writer.api_version)
    return managed.updated(node, {}, writer, application.unix_s, None, live, application.ignored)


def _prune(node: TypeNode, merged: JsonObject, lines: Entries, last: FieldSet) -> JsonObject:
    """Remove what this manager applied before and nobody says any more."""
    named_last = typed.with_named_fields(node, last)
    pruned = typed.remove(node, merged, named_last) or {}
    everything = typed.with_named_fields(node, typed.field_set(node, merged))
    owned = EMPTY.union(*(entry.fields for entry in lines.values()))
    kept = typed.with_named_fields(node, typed.field_set(node, pruned)) | typed.with_named_fields(node, owned)
    pruned = typed.remove(node, merged, everything - kept) or {}
    left = typed.with_named_fields(node, typed.field_set(node, pruned))
    result: JsonObject = typed.remove(node, merged, (everything - left) & named_last) or {}
    return result


def _take_over(
    node: TypeNode, live: JsonObject, merged: JsonObject, lines: Entries, application: Application
) -> Entries:
    change = typed.compare(node, live, merged)
    changed = managed.stripped(frozenset(change.modified | change.added), application.ignored)
    removed = managed.stripped(frozenset(change.removed), application.ignored)
    mine = application.writer.key
    clashes = {key: entry.fields & changed for key, entry in lines.items() if key != mine and entry.fields & changed}
    if clashes and not application.force:
        raise conflict_error([(lines[key].writer, path) for key, paths in clashes.items() for path in in_order(paths)])
    return {
        key: entry if key == mine else attrs.evolve(entry, fields=entry.fields - clashes.get(key, EMPTY) - removed)
        for key, entry in lines.items()
    }


def conflict_error(conflicts: list[tuple[Writer, Path]]) -> ApiError:
    """409 with one cause per field; with several fields the message lists them by manager."""
    rows = [(_manager_words(writer), as_text(path)) for writer, path in sorted(conflicts, key=lambda row: row[0].key)]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": field}
        for manager, field in rows
    ]
    if len(rows) == 1:
        manager, field = rows[0]
        words = f"Apply failed with 1 conflict: conflict with {manager}: {field}"
    else:
        by_manager: dict[str, list[str]] = {}
        for manager, field in rows:
            by_manager.setdefault(manager, []).append(field)
        lists = ["\n- ".join([f"conflicts with {manager}:", *fields]) for manager, fields in by_manager.items()]
        words = f"Apply failed with {len(rows)} conflicts: " + "\n".join(lists)
    return status.failure(409, "Conflict", words, {"causes": causes})


def _manager_words(writer: Writer) -> str:
    """``"kubectl" using v1``; appliers go without the version."""
    words = f'"{writer.manager}"'
    if writer.subresource:
        words += f' with subresource "{writer.subresource}"'
    return f"{words} using {writer.api_version}" if writer.operation == "Update" else words


def check_typed(node: TypeNode, config: JsonObject) -> None:
    """500 in the real server's words when the configuration does not fit its type or repeats keys."""
    problems = list(typed_problems(node, config, ""))
    if not problems:
        return
    meta = config.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    group, _, version = config["apiVersion"].rpartition("/")
    who = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={config['kind']}"
    words = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
    raise plain_500(f"failed to create typed patch object ({who}): {words}")


def plain_500(message: str) -> ApiError:
    """An error that the server did not expect: only code and message."""
    return status.failure(500, "", message)
