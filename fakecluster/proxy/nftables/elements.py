"""What the shared sets and maps hold: who put what in, and by which commands the kernel catches up.

An element may be wanted by several service ports (all ports of a Service share its cluster IP); it goes when the last
of them goes. Where two service ports want different verdicts for one key, the later one wins, as in kube-proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from fakecluster.errors import CommandError
from fakecluster.proxy.nftables.fixed import CONTAINERS, Container, Words
from fakecluster.proxy.nftables.service import Entry
from fakecluster.proxy.program import NodeKernel

_ELEMENTS = re.compile(r"elements = \{(.*?)\}", re.S)
_COMMENT = re.compile(r' comment "[^"]*"')
Key = tuple[str, str]


class SharedElements:
    """The elements of all shared sets and maps of one family."""

    def __init__(self) -> None:
        self._wanted: dict[Key, list[Entry]] = {}
        self._loaded: dict[Key, str] = {}
        self._touched: dict[Key, None] = {}

    def clear(self) -> None:
        """Forget what is wanted; what the kernel holds is still known."""
        self._wanted = {}
        self._touched = dict.fromkeys(self._loaded)

    def read_back(self, kernel: NodeKernel, words: Words) -> None:
        """Learn from the kernel what the sets and maps hold; what cannot be listed is not there yet."""
        self._loaded = {}
        for container in CONTAINERS:
            try:
                text = kernel.run(["nft", "list", container.word, words.ip, "kube-proxy", container.name])
            except CommandError:
                continue
            self._loaded.update(_listed(container, text))
        self._touched = dict.fromkeys(self._loaded)

    def want(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            key = (entry.container.name, entry.key)
            self._wanted.setdefault(key, []).append(entry)
            self._touched[key] = None

    def release(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            key = (entry.container.name, entry.key)
            wanted = self._wanted[key]
            wanted.remove(entry)
            if not wanted:
                del self._wanted[key]
            self._touched[key] = None

    def additions(self, words: Words) -> Iterator[str]:
        """Commands for elements that are new or have another verdict."""
        for key in self._touched:
            wanted = self._wanted.get(key)
            if not wanted:
                continue
            entry, loaded = wanted[-1], self._loaded.get(key)
            if loaded == entry.verdict:
                continue
            if loaded is not None:
                yield f"delete element {words.table} {key[0]} {{ {key[1]} }}"
            comment = f' comment "{entry.comment}"' if entry.comment else ""
            verdict = f" : {entry.verdict}" if entry.verdict else ""
            yield f"add element {words.table} {key[0]} {{ {key[1]}{comment}{verdict} }}"

    def deletions(self, words: Words) -> Iterator[str]:
        """Commands for elements that nobody wants any more."""
        for key in self._touched:
            if key in self._loaded and key not in self._wanted:
                yield f"delete element {words.table} {key[0]} {{ {key[1]} }}"

    def commit(self) -> None:
        """The commands were carried out."""
        for key in self._touched:
            wanted = self._wanted.get(key)
            if wanted:
                self._loaded[key] = wanted[-1].verdict
            else:
                self._loaded.pop(key, None)
        self._touched = {}

    def fork(self) -> SharedElements:
        copy = SharedElements()
        copy._wanted = {key: wanted.copy() for key, wanted in self._wanted.items()}
        copy._loaded, copy._touched = self._loaded.copy(), self._touched.copy()
        return copy


def _listed(container: Container, text: str) -> Iterator[tuple[Key, str]]:
    """(key, verdict) of every element in a listing."""
    match = _ELEMENTS.search(text)
    if match is None:
        return
    for part in match[1].split(","):
        key, _colon, verdict = _COMMENT.sub("", part).strip().rpartition(" : ")
        if not container.is_map:
            key, verdict = verdict, ""
        yield (container.name, key), verdict
