"""How Go prints values in error messages: strings quoted, structures as compact JSON, null for nothing."""

from __future__ import annotations

import json
from typing import Any


def go_quote(text: str) -> str:
    """`strconv.Quote`: like JSON for what names and fields contain, with \\x and \\u escapes for the unprintable."""
    out = []
    for char in text:
        if char in ESCAPES:
            out.append(ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        elif ord(char) < 0x10000:
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(f"\\U{ord(char):08x}")
    return '"' + "".join(out) + '"'


ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def go_json(value: Any) -> str:
    """`json.Marshal`: compact, with &, < and > escaped as Go does."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def go_value(value: Any) -> str:
    """A value inside a field error."""
    if isinstance(value, str):
        return go_quote(value)
    return go_json(value)


def go_map_text(value: Any) -> str:
    """A value as Go's %v prints it: ``map[spec:map[foo:1]]``."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_map_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_map_text(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
