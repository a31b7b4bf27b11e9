"""What was done to a cluster, as the lines of a script that does it again.

Only the outermost call of a test is kept: what it causes inside is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

import attrs

JsonObject = dict[str, Any]
#: Lines that are kept; a cluster that served this many requests is told apart by more than its script.
HISTORY_LIMIT = 2000


@attrs.frozen
class Manifests:
    """Objects that were applied, written as YAML: `call` is the name of the method that took them."""

    call: str
    objects: tuple[JsonObject, ...]
    options: str = ""

    def __str__(self) -> str:
        import yaml

        text = yaml.safe_dump_all(self.objects, sort_keys=False).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        return f'{self.call}("""\n{text}"""{self.options})'


Line = str | Manifests


class History:
    """The lines so far; `count` numbers the connections that a script gives names to."""

    def __init__(self, *, is_muted: bool = False) -> None:
        self.lines: list[Line] = []
        self.is_cut = False
        self._depth = int(is_muted)
        self._connections = 0

    @property
    def listens(self) -> bool:
        """Whether a line would be kept now."""
        return not self._depth

    @contextmanager
    def call(self, line: Line) -> Iterator[None]:
        """Keep the line of what is done inside the block, unless that is part of something kept already."""
        if not self._depth:
            self.add(line)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def add(self, line: Line) -> None:
        """Keep a line. Beyond `HISTORY_LIMIT` nothing is kept, and the script says so."""
        if self._depth:
            return
        if len(self.lines) < HISTORY_LIMIT:
            self.lines.append(line)
        else:
            self.is_cut = True

    def new_connection(self) -> str:
        """The name of one more connection in the script."""
        if not self._depth:
            self._connections += 1
        return f"connection{self._connections}"

    def fork(self) -> History:
        copy = History()
        copy.lines, copy.is_cut, copy._connections = self.lines.copy(), self.is_cut, self._connections
        return copy


def named(name: str, namespace: str) -> tuple[str, ...]:
    """The arguments that name an object: its namespace only where that is another than `default`."""
    return (name,) if namespace == "default" else (name, namespace)


def words(value: Any) -> str:
    """An argument as it stands in a script: handles by how they are got, all else by its repr."""
    expression = getattr(value, "expression", "")
    if not expression and hasattr(value, "command") and hasattr(value, "fields"):
        expression = value.command()  # a Scapy packet
    return str(expression or repr(value))


def called(on: str, method: str, *arguments: Any, **options: Any) -> str:
    """The text of a call."""
    given = [words(argument) for argument in arguments]
    given += [f"{name}={words(value)}" for name, value in options.items()]
    return f"{on}.{method}({', '.join(given)})"


class Told(Protocol):
    """Something whose calls are kept: how a script gets hold of it, and the history that it belongs to."""

    @property
    def expression(self) -> str: ...

    @property
    def history(self) -> History: ...


Method = TypeVar("Method", bound=Callable[..., Any])


def kept(method: Method) -> Method:
    """Decorates a method of something `Told`: calls of a test become lines of the history."""

    @wraps(method)
    def keeping(self: Told, *args: Any, **options: Any) -> Any:
        history = self.history
        if not history.listens:
            return method(self, *args, **options)
        with history.call(called(self.expression, method.__name__, *args, **options)):
            return method(self, *args, **options)

    return cast("Method", keeping)
