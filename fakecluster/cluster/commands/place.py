"""Where a command runs, and what it leaves."""

from __future__ import annotations

from typing import Protocol

import attrs

from fakecluster.handles import Host, Pod


@attrs.frozen
class Place:
    """A container, `host` the network namespace that the command sees, `stdin` all of its input.

    `patience_s` is the virtual time that it may wait for an answer; 0: only what comes at once counts.
    """

    pod: Pod
    container: str
    host: Host
    patience_s: float = 0.0
    stdin: bytes = b""


@attrs.frozen
class Finished:
    """What a command left: its output, its error output, its exit code."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0


class Command(Protocol):
    """A program: its place, and its words after its own name."""

    def __call__(self, place: Place, words: list[str]) -> Finished: ...


def failed(words: str, code: int = 1, *, stdout: str = "") -> Finished:
    """A line of complaint, and an exit code."""
    return Finished(stdout.encode(), f"{words}\n".encode(), code)
