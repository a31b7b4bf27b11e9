"""What kube-proxy logs, in its own words and at its usual verbosity.

Source: k8s.io/klog/v2 (structured logging).
"""

from __future__ import annotations

import json

import attrs

#: A kube-proxy that fails again and again keeps this many of its last lines.
LINES_KEPT = 1000


@attrs.frozen
class LogLine:
    """One line: when (virtual seconds), what, and the Service that it is about, ``namespace/name`` or none."""

    time_s: float
    text: str
    service: str = ""


def structured(message: str, **values: object) -> str:
    """klog's form of a message with values: ``"message" key="value" number=1``."""
    return " ".join([_quoted(message), *[f"{key}={_quoted(value)}" for key, value in values.items()]])


def _quoted(value: object) -> str:
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, (str, list)) else str(value)
    )
