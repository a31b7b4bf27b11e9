"""What containers have printed: lines with their time, by start of the container, as the container runtime keeps them.

Source: kubernetes pkg/kubelet/kuberuntime/logs (what is kept and what `kubectl logs` may ask for).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from fakecluster.sim import Clock

#: Lines of one start that are kept; a real log is rotated by size (10 MiB).
KEPT = 5000
#: Starts of one container whose logs are kept: this one and the previous, as the kubelet keeps one dead container.
STARTS_KEPT = 2
#: Pods that have ended whose logs are kept; a real node keeps them as long as the Pod object lives.
ENDED_KEPT = 200
#: (Pod uid, container's name)
Container = tuple[str, str]
_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


class Line(NamedTuple):
    """One line, without its newline; `stream` is stdout or stderr, `end` False for the end of output without one."""

    when_ns: int
    text: str
    stream: str = "stdout"
    end: bool = True


@attrs.define
class Start:
    """What one start of a container has printed; `number` counts starts, `first` is the oldest line that is kept."""

    number: int = 0
    lines: list[Line] = attrs.field(factory=list)
    first: int = 0

    def since(self, number: int) -> Sequence[Line]:
        """The lines from that number on."""
        return self.lines[max(number - self.first, 0) :]

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return self.first + len(self.lines)


class Logs:
    """The logs of all containers. A copy shares what was printed before, until one of both goes on."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: how many lines were printed in all, for those who wait for more
        self.count = 0
        self._starts: dict[Container, tuple[Start, ...]] = {}
        #: present starts that no copy shares
        self._own: dict[Container, Start] = {}
        self._ended: tuple[str, ...] = ()

    def begin(self, container: Container) -> None:
        """A container starts (again)."""
        before = self._starts.get(container, ())
        number = before[-1].number + 1 if before else 0
        start = self._own[container] = Start(number)
        self._starts[container] = (*before[1 - STARTS_KEPT :], start)

    def take(self, payload: tuple[Container, str]) -> None:
        """A line was printed."""
        container, text = payload
        self.write(container, _new(Line, (self.clock.now_ns, text, "stdout", True)))

    def write(self, container: Container, line: Line) -> None:
        """Add a line to the present start of a container."""
        start = self._own.get(container)
        if start is None:
            *before, last = self._starts.get(container) or (None,)
            if last is None:
                return
            start = self._own[container] = Start(last.number, last.lines.copy(), last.first)
            self._starts[container] = (*before, start)
        start.lines.append(line)
        self.count += 1
        if len(start.lines) > 2 * KEPT:
            del start.lines[:KEPT]
            start.first += KEPT

    def start(self, container: Container, *, previous: bool = False) -> Start | None:
        """The present start of a container, or the one before it; None when there is none."""
        starts = self._starts.get(container, ())
        wanted = 2 if previous else 1
        return starts[-wanted] if len(starts) >= wanted else None

    def numbered(self, container: Container, number: int) -> Start | None:
        """That start of a container; None when it is not kept (any more)."""
        return next((start for start in self._starts.get(container, ()) if start.number == number), None)

    def ended(self, uid: str) -> None:
        """Nothing of a Pod runs any more; what it printed can be read for a while."""
        self._ended = (*(one for one in self._ended if one != uid), uid)
        for old in self._ended[:-ENDED_KEPT]:
            for container in [container for container in self._starts if container[0] == old]:
                del self._starts[container]
                self._own.pop(container, None)
        self._ended = self._ended[-ENDED_KEPT:]

    def fork(self, clock: Clock) -> Logs:
        copy = Logs(clock)
        copy.count, copy._starts, copy._ended = self.count, self._starts.copy(), self._ended
        self._own.clear()
        return copy
