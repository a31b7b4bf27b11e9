"""Namespaces that come into being when they are first touched: copies of a twin's original, and those that sleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from fakecluster.kernel.netns import Netns


class CopiedNamespaces(MutableMapping[str, Netns]):
    """Namespaces by name, in the original's order; `copy` makes and connects the copy of one that is asked for.

    The original must stand still for as long as this is in use.
    """

    def __init__(self, originals: Mapping[str, Netns], copy: Callable[[Netns], Netns]) -> None:
        self._originals, self._copy = originals, copy
        self._own: dict[str, Netns | None] = dict.fromkeys(originals)
        self._afterwards: dict[str, Callable[[Netns], None]] = {}

    def __getitem__(self, name: str) -> Netns:
        found = self._own[name]
        if found is None:
            found = self._own[name] = self._copy(self._originals[name])
            if name in self._afterwards:
                self._afterwards.pop(name)(found)
        return found

    def __setitem__(self, name: str, netns: Netns) -> None:
        self._own[name] = netns

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def afterwards(self, name: str, change: Callable[[Netns], None]) -> None:
        """Let `change` be made to a namespace as soon as it is copied."""
        self._afterwards[name] = change


class SleepingNamespaces(MutableMapping[str, Netns]):
    """Namespaces by name, of which some sleep: they are made, with all others of their node, when one is asked for.

    `wake` makes those of a node. What only counts or goes through the whole network looks at `awake`.
    """

    def __init__(self) -> None:
        self.awake: dict[str, Netns] = {}
        #: name of a namespace that is not made yet -> its node
        self.sleeping: dict[str, str] = {}
        self.wake: Callable[[str], None] = self._nobody

    @staticmethod
    def _nobody(node: str) -> None:
        raise LookupError(f"nothing can wake node {node}")

    def __getitem__(self, name: str) -> Netns:
        if name in self.sleeping:
            self.wake(self.sleeping[name])
        return self.awake[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is how `get` is made

    def __setitem__(self, name: str, netns: Netns) -> None:
        self.sleeping.pop(name, None)
        self.awake[name] = netns

    def __delitem__(self, name: str) -> None:
        if self.sleeping.pop(name, None) is None:
            del self.awake[name]

    def __contains__(self, name: object) -> bool:
        return name in self.awake or name in self.sleeping

    def __iter__(self) -> Iterator[str]:
        return iter([*self.awake, *self.sleeping])

    def __len__(self) -> int:
        return len(self.awake) + len(self.sleeping)

    def wakes(self, node: str) -> list[str]:
        """The names of a node that is being woken; from now on they are no more asleep."""
        names = [name for name, home in self.sleeping.items() if home == node]
        for name in names:
            del self.sleeping[name]
        return names

    def fork(self) -> SleepingNamespaces:
        """The same names asleep, and none awake."""
        copy = SleepingNamespaces()
        copy.sleeping = self.sleeping.copy()
        return copy


def awake(namespaces: Mapping[str, Netns]) -> list[Netns]:
    """Every namespace that has been made."""
    made = namespaces.awake if isinstance(namespaces, SleepingNamespaces) else namespaces
    return list(made.values())


def when_copied(namespaces: Mapping[str, Netns], name: str, change: Callable[[Netns], None]) -> None:
    """Make a change to a namespace now, or in a twin as soon as it is copied; nothing when there is none."""
    if isinstance(namespaces, CopiedNamespaces):
        namespaces.afterwards(name, change)
    elif name in namespaces:
        change(namespaces[name])
