"""nft's JSON form (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Iterable, Set

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.objects import Command
from fakecluster.rules.nft.printer import TableView
from fakecluster.rules.nft.scope import Known


def commands(text: str, *, known: Known | None = None) -> list[Command]:
    """The commands of a JSON document."""
    raise Unsupported("nft -j: JSON commands")


def listing(views: Iterable[TableView], *, nouns: Set[str]) -> str:
    """Tables as a JSON document."""
    raise Unsupported("nft -j: JSON listings")
