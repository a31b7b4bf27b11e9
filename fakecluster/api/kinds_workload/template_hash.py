"""The name that a Deployment gives to a template: a hash of how Go prints it.

The controller prints the `v1.PodTemplateSpec` with go-spew (`%#v`: types, field names, pointers followed, sorted keys)
and hashes the text with 32-bit FNV-1a; the decimal digits of the hash are spelled in letters that form no words.
Sources: Kubernetes pkg/controller/controller_utils.go (ComputeHash), pkg/util/hash; types in v1_types.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fakecluster.api.kinds_workload.quantity import BINARY, DECIMAL
from fakecluster.api.kinds_workload.v1_types import STRUCTURES
from fakecluster.errors import Unsupported

Json = dict[str, Any]

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
_NIL = "<nil>"
#: number, suffix, decimal exponent
_CANONICAL = re.compile(r"([+-]?\d+)(?:([numkMGTPE]|[KMGTPE]i)|e(-?\d+))?")


def template_hash(template: Json, collisions: int | None = None) -> str:
    """The value of the label `pod-template-hash`; `collisions` is the Deployment's `status.collisionCount`."""
    text = "(v1.PodTemplateSpec)" + _structure(template, "v1.PodTemplateSpec")
    tail = b"" if collisions is None else collisions.to_bytes(4, "little") + bytes(4)
    found = _OFFSET
    for byte in text.encode() + tail:
        found = (found ^ byte) * _PRIME & 0xFFFFFFFF
    return "".join(_LETTERS[ord(digit) % len(_LETTERS)] for digit in str(found))


def _structure(wire: Json, kind: str) -> str:
    """`{Name:(string)x Image:(string)y ...}` of a structure without its own type."""
    fields = STRUCTURES.get(kind)
    if fields is None:
        raise Unsupported("the hash of a Pod template with this part", token=kind)
    return "{" + " ".join(_field(wire, *field) for field in fields) + "}"


def _field(wire: Json, name: str, key: str, kind: str) -> str:
    if not key:  # an embedded structure: its fields lie beside those of its owner
        return f"{name}:({kind}){_structure(wire, kind)}"
    return f"{name}:{_typed(wire.get(key), kind)}"


def _typed(value: Any, kind: str) -> str:
    return f"({kind}){_bare(value, kind)}"


def _bare(value: Any, kind: str) -> str:
    """A value without its type."""
    if kind.startswith("*"):
        return _NIL if value is None else _bare(value, kind[1:])
    if kind.startswith("[]"):
        return "[" + " ".join(_bare(item, kind[2:]) for item in value) + "]" if value else _NIL
    if kind == "v1.ResourceList":
        return _map(value, "resource.Quantity")
    if kind.startswith("map["):
        return _map(value, kind.partition("]")[2])
    if kind in _SPECIAL:
        return _SPECIAL[kind](value)
    if kind in STRUCTURES or value.__class__ is dict:
        return _structure(value or {}, kind)
    if value is None:
        return _ZEROS.get(kind, "")
    if value.__class__ is bool:
        return "true" if value else "false"
    return str(value)


_ZEROS = {"int32": "0", "int64": "0", "bool": "false"}


def _map(value: Json | None, kind: str) -> str:
    if not value:
        return _NIL
    return "map[" + " ".join(f"{key}:{_bare(value[key], kind)}" for key in sorted(value)) + "]"


def _int_or_string(value: int | str | None) -> str:
    number, text = (0, value) if isinstance(value, str) else (value or 0, "")
    return f"{{Type:(intstr.Type){int(isinstance(value, str))} IntVal:(int32){number} StrVal:(string){text}}}"


def _quantity(value: str | None) -> str:
    """A quantity as it comes off the wire: number, power of ten, and the text that it was."""
    match = _CANONICAL.fullmatch(value or "0")
    if match is None:
        raise Unsupported("the hash of a Pod template with this amount", token=str(value))
    number, suffix, exponent = int(match[1]), match[2] or "", match[3]
    family, scale = "DecimalSI", DECIMAL.get(suffix, 0)
    if suffix in BINARY:
        family, number = "BinarySI", number << BINARY[suffix]
    elif exponent:
        family, scale = "DecimalExponent", int(exponent)
    amount = f"(resource.int64Amount){{value:(int64){number} scale:(resource.Scale){scale}}}"
    rest = f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){value or ''}"
    return f"{{i:{amount} {rest} Format:(resource.Format){family}}}"


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "intstr.IntOrString": _int_or_string,
    "resource.Quantity": _quantity,
    "v1.Time": lambda value: _TIME,
}
