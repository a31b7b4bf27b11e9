"""The namespaces of a network's twin: each is copied from the original when it is first touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping

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
