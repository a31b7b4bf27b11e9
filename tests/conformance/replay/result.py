"""What a replay takes and gives: a Recording in, Differences out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen
class Recording:
    """One recorded file: `data` is its JSON, `sibling(name)` reads another file of the same folder."""

    name: str
    area: str
    data: Any
    sibling: Callable[[str], Any]


@attrs.frozen
class Difference:
    """One place where the model answered otherwise than the real thing did."""

    step: str
    text: str


class NotReplayable(Exception):
    """The file belongs to other recordings (a fixture, a list of nodes) and is no case by itself."""
