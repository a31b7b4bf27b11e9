"""What strategies say of arguments that cannot be meant: `InvalidArgument`, when something is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.cluster import Cluster


def some_of(name: str, given: Sequence[Any], known: Iterable[Any]) -> None:
    """Refuse an empty list, text in its place, and what is not `known`."""
    expected = tuple(known)
    if isinstance(given, str) or not given or not set(given) <= set(expected):
        raise InvalidArgument(f"{name}={given!r}: expected some of {', '.join(map(str, expected))}")


def strategies(**given: Any) -> None:
    """Refuse values in the place of strategies; None stands for a strategy's default."""
    for name, value in given.items():
        if value is not None and not isinstance(value, st.SearchStrategy):
            raise InvalidArgument(f"{name}={value!r}: expected a strategy, as in {name}=st.just({value!r})")


def cluster(name: str, given: Any) -> None:
    """Refuse what is no cluster."""
    if isinstance(given, st.SearchStrategy):
        raise InvalidArgument(f"{name} is a strategy: draw a Cluster from it first, as in data.draw(clusters())")
    if not isinstance(given, Cluster):
        raise InvalidArgument(f"{name}={given!r}: expected a Cluster")


def label_set(name: str, given: Any) -> None:
    """Refuse what is no mapping of labels; None stands for no labels given."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArgument(f"{name}={given!r}: expected labels, as in {name}={{'app': 'web'}}")


def port(name: str, given: Any) -> None:
    """Refuse what is no port number."""
    if not isinstance(given, int) or not 0 < given < 65536:
        raise InvalidArgument(f"{name}={given!r}: expected 1 to 65535")
