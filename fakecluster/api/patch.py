"""JSON patch (RFC 6902), merge patch (RFC 7396): pure functions on JSON that leave their arguments alone."""

from __future__ import annotations

from typing import Any

from fakecluster.api.schema import copied


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: null removes, objects merge, everything else replaces."""
    if patch.__class__ is not dict:
        return copied(patch)
    out = dict(target) if target.__class__ is dict else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out
