"""What the server itself does to `metadata`: identity, times, names, and the checks that all kinds share.

Facts from apimachinery's `pkg/api/validation/objectmeta.go` and the registry's `rest/meta.go`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime

from fakecluster.api import names
from fakecluster.api.go_values import go_quote
from fakecluster.api.label_rules import validate_labels
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, forbidden, invalid, required, too_long
from fakecluster.sim import Choices

NameCheck = Callable[[str, bool], list[str]]
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
GENERATED_NAME_MAX = 63
ANNOTATIONS_MAX_BYTES = 256 * 1024
IMMUTABLE = "field is immutable"


@functools.lru_cache(maxsize=1024)
def timestamp(unix_s: int) -> str:
    """RFC 3339 in UTC with whole seconds, as objects carry it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid(choices: Choices) -> str:
    """A version 4 UUID."""
    number = choices.draw(1 << 122, "uid")
    high, low = number >> 62, number & ((1 << 62) - 1)
    bits = (high >> 12) << 80 | 4 << 76 | (high & 0xFFF) << 64 | 2 << 62 | low
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def generate_name(prefix: str, choices: Choices) -> str:
    """`prefix` (cut so that the whole fits a DNS label) and five random letters."""
    room = GENERATED_NAME_MAX - SUFFIX_LENGTH
    letters = "".join(SUFFIX_ALPHABET[choices.draw(len(SUFFIX_ALPHABET), "name suffix")] for _ in range(SUFFIX_LENGTH))
    return prefix[:room] + letters


#: The check of most kinds' names; a prefix may end with a dash.
dns_subdomain = names.with_prefix(names.dns_subdomain)
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def validate_object_meta(meta: JsonObject, namespaced: bool, name_check: NameCheck) -> list[FieldError]:
    """`ValidateObjectMeta`: names, namespace, labels, annotations, owners, finalizers."""
    errors: list[FieldError] = []
    if prefix := meta.get("generateName"):
        errors += [invalid("metadata.generateName", prefix, words) for words in name_check(prefix, True)]
    name = meta.get("name", "")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [invalid("metadata.name", name, words) for words in name_check(name, False)]
    if not namespaced and meta.get("namespace"):
        errors.append(forbidden("metadata.namespace", "not allowed on this type"))
    return errors + _validate_rest(meta)


def _validate_rest(meta: JsonObject) -> list[FieldError]:
    errors: list[FieldError] = []
    if (labels := meta.get("labels")) and not all(map(_fine_label, labels.items())):
        errors += validate_labels(labels, "metadata.labels")
    if annotations := meta.get("annotations"):
        errors += validate_annotations(annotations)
    if owners := meta.get("ownerReferences"):
        errors += validate_owners(owners)
    if finalizers := meta.get("finalizers"):
        errors += validate_finalizers(finalizers)
    return errors


@functools.lru_cache(maxsize=16384)
def _fine_label(label: tuple[str, str]) -> bool:
    """Whether nothing is wrong with a key and its value: the same few labels stand on most objects."""
    return not names.qualified_name(label[0]) and not names.label_value(label[1])


@functools.lru_cache(maxsize=16384)
def _annotation_key_errors(key: str) -> tuple[str, ...]:
    return tuple(names.qualified_name(key.lower()))


def validate_annotations(annotations: dict[str, str]) -> list[FieldError]:
    """Keys are qualified names in lower case; all of them together have a bound."""
    errors = [
        invalid("metadata.annotations", key, words)
        for key in annotations
        for words in names.qualified_name(key.lower())
    ]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_MAX_BYTES:
        errors.append(too_long("metadata.annotations", ANNOTATIONS_MAX_BYTES))
    return errors


def validate_owners(owners: list[JsonObject]) -> list[FieldError]:
    """Every owner is named completely, and at most one of them is the controller."""
    place = "metadata.ownerReferences"
    errors: list[FieldError] = []
    controller = ""
    for owner in owners:
        version = owner.get("apiVersion", "")
        if not version.rpartition("/")[2]:
            errors.append(invalid(f"{place}.apiVersion", version, "version must not be empty"))
        errors += [
            invalid(f"{place}.{key}", "", "must not be empty") for key in ("kind", "name", "uid") if not owner.get(key)
        ]
        if owner.get("kind") == "Event" and version == "v1":
            errors.append(
                invalid(place, f"{version}, Kind=Event", f"{version}, Kind=Event is disallowed from being an owner")
            )
        if owner.get("controller"):
            who = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                words = (
                    f'Only one reference can have Controller set to true. Found "true" in references for {controller} '
                    f"and {who}"
                )
                errors.append(invalid(place, owners, words))
            controller = who
    return errors


def validate_finalizers(finalizers: list[str]) -> list[FieldError]:
    """Qualified names, or one of the server's own; not orphaning and foreground deletion at once."""
    errors: list[FieldError] = []
    for index, name in enumerate(finalizers):
        place = f"metadata.finalizers[{index}]"
        errors += [invalid("metadata.finalizers", name, words) for words in names.qualified_name(name)]
        if "/" not in name and name not in STANDARD_FINALIZERS:
            errors.append(invalid(place, name, "name is neither a standard finalizer name nor is it fully qualified"))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        words = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.append(invalid("metadata.finalizers", finalizers, words))
    return errors


def validate_object_meta_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """`ValidateObjectMetaUpdate`: what no update may change."""
    errors: list[FieldError] = []
    if old.get("deletionTimestamp"):
        added = sorted(set(new.get("finalizers", ())) - set(old.get("finalizers", ())))
        if added:
            listed = ", ".join(go_quote(name) for name in added)
            words = "no new finalizers can be added if the object is being deleted, found new finalizers "
            errors.append(forbidden("metadata.finalizers", f"{words}[]string{{{listed}}}"))
    errors += [
        invalid(f"metadata.{key}", new.get(key, ABSENT_AS.get(key)), IMMUTABLE)
        for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
        if new.get(key) != old.get(key)
    ]
    if (labels := new.get("labels")) and not all(map(_fine_label, labels.items())):
        errors += validate_labels(labels, "metadata.labels")
    if annotations := new.get("annotations"):
        errors += validate_annotations(annotations)
    if owners := new.get("ownerReferences"):
        errors += validate_owners(owners)
    return errors


#: How Go shows a field that is not there: empty strings are values, times and numbers are null.
ABSENT_AS = {"name": "", "namespace": "", "uid": ""}
