"""`portRange`, from which userspace mode takes its ports: ``1024-2048``, ``1024+1024``, one port, or "" for any.

Source: apimachinery pkg/util/net/port_range.go.
"""

from __future__ import annotations

import re

_RANGE = re.compile(r"\s*(\d+)(?:\s*([-+])\s*(\d+))?\s*")
_HIGHEST = 65535


def is_port_range(text: str) -> bool:
    """Whether the text is a range of ports, the second not lower than the first and none above 65535."""
    ports = port_range(text)
    return not text.strip() or (bool(ports) and ports[-1] <= _HIGHEST)


def port_range(text: str) -> range:
    """The ports of a range; only 0, which stands for any port, where there is none; empty when the text is wrong."""
    if not text.strip():
        return range(1)
    found = _RANGE.fullmatch(text)
    if found is None:
        return range(0)
    first, last = int(found[1]), int(found[3] or found[1])
    return range(first, (min(first + last, _HIGHEST) if found[2] == "+" else last) + 1)
