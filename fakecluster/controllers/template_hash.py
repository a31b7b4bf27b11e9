"""The pod-template-hash of the real controllers: FNV-1a over the template as Go prints it.

The real one hashes what the spew library prints for a PodTemplateSpec: every field of every nested struct with its
type, set or not (kubernetes pkg/controller/controller_utils.go ComputeHash, apimachinery pkg/util/dump ForHash). The
names and types of the fields, in the order of the Go structs of 1.36, are in data/pod-template-1.36.json.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import attrs

Json = dict[str, Any]
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_BASIS, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
_ZERO_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
_SCALES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_MAP = re.compile(r"map\[([\w.]+)\](.+)")
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([a-zA-Z]*?)(?:[eE]([+-]?[0-9]+))?")


@attrs.frozen
class GoTypes:
    """Go's view of a Pod template: fields (name, JSON key, type) of each struct, what named types are."""

    structs: dict[str, list[tuple[str, str, str]]]
    named: dict[str, str]


@functools.cache
def go_types() -> GoTypes:
    text = resources.files("fakecluster.controllers").joinpath("data/pod-template-1.36.json").read_text()
    return GoTypes(**json.loads(text))


def template_hash(template: Json, collisions: int | None = None) -> str:
    """The hash in the names of a Deployment's ReplicaSets and in their Pods' labels."""
    text = printed("v1.PodTemplateSpec", template).encode()
    if collisions is not None:
        text += collisions.to_bytes(8, "little")
    return safe_text(fnv1a(text))


def fnv1a(data: bytes) -> int:
    found = _BASIS
    for byte in data:
        found = (found ^ byte) * _PRIME & _MASK
    return found


def fnv1(data: bytes) -> int:
    found = _BASIS
    for byte in data:
        found = (found * _PRIME & _MASK) ^ byte
    return found


def safe_text(number: int) -> str:
    """A number in letters that spell no words (apimachinery pkg/util/rand SafeEncodeString)."""
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(number))


def printed(go_type: str, value: Any) -> str:
    """A value with its type, as spew's `%#v` prints it."""
    if go_type.startswith("*"):
        return f"({go_type})" + ("<nil>" if value is None else _bare(go_type[1:], value))
    return f"({go_type})" + _bare(go_type, value)


def _bare(go_type: str, value: Any) -> str:
    types = go_types()
    if go_type in SPECIAL:
        return SPECIAL[go_type](value)
    if go_type in types.structs:
        return _struct(types.structs[go_type], value or {})
    if go_type in types.named:
        return _bare(types.named[go_type], value)
    if go_type.startswith("[]"):
        return f"[{' '.join(_bare(go_type[2:], one) for one in value)}]" if value else "<nil>"
    if match := _MAP.fullmatch(go_type):
        entries = (f"{key}:{_bare(match[2], value[key])}" for key in sorted(value)) if value else ()
        return f"map[{' '.join(entries)}]" if value else "<nil>"
    return PLAIN[go_type](value)


def _struct(fields: list[tuple[str, str, str]], value: Json) -> str:
    """A field without a JSON key is embedded: its fields stand in the outer object."""
    return (
        "{" + " ".join(f"{name}:{printed(kind, value.get(key) if key else value)}" for name, key, kind in fields) + "}"
    )


def _quantity(value: Any) -> str:
    """resource.Quantity as it is after parsing its canonical text."""
    text = str(value)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"no quantity: {text!r}")
    digits, suffix, exponent = match.groups()
    whole, _, fraction = digits.partition(".")
    if suffix in _BINARY:
        amount, scale, kind = int(whole) << _BINARY[suffix], 0, "BinarySI"
    else:
        amount = int(whole + fraction)
        scale = _SCALES[suffix] + int(exponent or 0) - len(fraction)
        kind = "DecimalExponent" if exponent else "DecimalSI"
    inner = f"i:(resource.int64Amount){{value:(int64){amount} scale:(resource.Scale){scale}}}"
    return (
        f"{{{inner} d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){kind}}}"
    )


def _int_or_string(value: Any) -> str:
    is_text = isinstance(value, str)
    number, text = (0, value) if is_text else (value or 0, "")
    return f"{{Type:(intstr.Type){int(is_text)} IntVal:(int32){number} StrVal:(string){text}}}"


SPECIAL: dict[str, Callable[[Any], str]] = {
    "v1.Time": lambda value: _ZERO_TIME,
    "v1.ManagedFieldsEntry": lambda value: "{}",
    "resource.Quantity": _quantity,
    "intstr.IntOrString": _int_or_string,
}
PLAIN: dict[str, Callable[[Any], str]] = {
    "string": lambda value: value or "",
    "bool": lambda value: "true" if value else "false",
    **{kind: lambda value: str(value or 0) for kind in ("int", "int32", "int64")},
}
