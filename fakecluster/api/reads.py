"""Get and list: selectors, pages, versions."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api.resources import Resource
from fakecluster.api.status import JsonObject


def matcher(resource: Resource, label_selector: str, field_selector: str) -> Callable[[JsonObject], bool]:
    """Whether an object is selected; both selectors in their text form, empty ones select everything."""
    from fakecluster.api import selectors

    return selectors.matcher(resource.key, label_selector, field_selector)
