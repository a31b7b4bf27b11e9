"""Tables: what `kubectl get` prints, computed by the server (`pkg/printers/internalversion`)."""

from __future__ import annotations

from typing import Any

from fakecluster.api.resources import Resource
from fakecluster.errors import Unsupported


def for_resource(resource: Resource) -> Any:
    """The columns of a kind."""
    raise Unsupported(f"tables of {resource.plural}")
