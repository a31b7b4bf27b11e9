"""Command lines of small tools: short options in clusters (`-zv`), values in the same word or the next, long options."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

import attrs


class BadOption(ValueError):
    """An option that the tool does not have here, or that lacks its value."""


@attrs.frozen
class Options:
    """`flags` that were set, `values` by option (the last one given), `lists` all of them, and the other `words`."""

    flags: frozenset[str]
    lists: dict[str, list[str]]
    words: tuple[str, ...]

    def value(self, *names: str, default: str = "") -> str:
        return next((self.lists[name][-1] for name in names if name in self.lists), default)

    def has(self, *names: str) -> bool:
        return any(name in self.flags or name in self.lists for name in names)

    def seconds(self, *names: str, default: float) -> float:
        """An option's value as seconds. Raises BadOption."""
        text = self.value(*names)
        try:
            return float(text.removesuffix("s")) if text else default
        except ValueError:
            raise BadOption(f"invalid number '{text}'") from None


def parse(words: Iterable[str], *, flags: str, valued: str) -> Options:
    """Read a command line; `flags` and `valued` are the names of options (`-z -v --spider`), separated by blanks.

    Raises BadOption.
    """
    flag_names, valued_names = set(flags.split()), set(valued.split())
    found: set[str] = set()
    lists: dict[str, list[str]] = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            rest += queue
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, given = _split(word)
        if name in valued_names:
            if given is None and not queue:
                raise BadOption(f"option {name}: requires parameter")
            lists.setdefault(name, []).append(queue.pop(0) if given is None else given)
        elif name in flag_names and (given is None or not word.startswith("--")):
            found.add(name)
            if given:
                queue.insert(0, f"-{given}")
        else:
            raise BadOption(f"option {name}: is unknown")
    return Options(frozenset(found), lists, tuple(rest))


def _split(word: str) -> tuple[str, str | None]:
    """(option, what stands in the same word)."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def is_address(text: str) -> bool:
    """Whether a word is an IP address and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
