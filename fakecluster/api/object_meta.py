"""What the server itself does to `metadata`: identity, times, names, and the checks that all kinds share.

Facts from apimachinery's `pkg/api/validation/objectmeta.go` and the registry's `rest/meta.go`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

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


_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def dns_subdomain(name: str, prefix: bool) -> list[str]:
    """The check of most kinds' names; a prefix may end with a dash."""
    if prefix and name.endswith("-"):
        name = name[:-1] + "a"
    errors = []
    if len(name) > 253:
        errors.append("must be no more than 253 bytes")
    if not _SUBDOMAIN.fullmatch(name):
        errors.append(_SUBDOMAIN_WORDS)
    return errors


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
    annotations = meta.get("annotations") or {}
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_MAX_BYTES:
        errors.append(too_long("metadata.annotations", ANNOTATIONS_MAX_BYTES))
    return errors


def validate_object_meta_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """`ValidateObjectMetaUpdate`: what no update may change."""
    errors: list[FieldError] = []
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if new.get(key) != old.get(key):
            errors.append(invalid(f"metadata.{key}", absent_or(new.get(key)), IMMUTABLE))
    return errors


def absent_or(value: Any) -> Any:
    return value
