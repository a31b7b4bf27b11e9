"""Running work on executors: this process, or anything with `submit` that gives futures as concurrent.futures does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any, Protocol

import attrs

from fakecluster.campaigns.outcome import Outcome, Seed
from fakecluster.campaigns.work import Work, failed

#: Seeds under way at once: enough to keep a rack busy, few enough that seeds may be endless.
UNDER_WAY = 256
#: How often a seed may be under way when its workers die, before it is called the reason.
DEATHS = 3


class Executor(Protocol):
    """What concurrent.futures and its likes have."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]: ...


class WorkersDied(Exception):
    """The executor is broken, and there is no way to make another one."""


@attrs.define
class Engine:
    """Runs seeds and gives outcomes as they come. `make` gives an executor, and another one when that breaks."""

    work: Work
    make: Callable[[], Executor]
    can_repeat: bool
    deaths: dict[int, int] = attrs.field(factory=dict)

    def run(self, seeds: Iterable[Seed]) -> Iterator[Outcome]:
        """Outcomes in the order in which they are ready. Raises `WorkersDied`."""
        waiting = enumerate(seeds)
        again: list[tuple[int, Seed]] = []
        executor = self.make()
        under_way: dict[Future[Any], tuple[int, Seed]] = {}
        try:
            while True:
                is_broken = not self._submit(executor, under_way, again, waiting)
                if not under_way and not again:
                    return
                done = set(under_way) if is_broken else wait(under_way, return_when=FIRST_COMPLETED)[0]
                lost: list[tuple[int, Seed]] = []
                for future in done:
                    item = under_way.pop(future)
                    outcome = self._outcome(future, item[1]) if future.done() else None
                    if outcome is None:
                        lost.append(item)
                    else:
                        yield outcome
                if lost or is_broken:
                    executor = self._after_death()
                    yield from self._sort_out((*lost, *under_way.values()), again)
                    under_way.clear()
        finally:
            for future in under_way:
                future.cancel()

    def _submit(
        self,
        executor: Executor,
        under_way: dict[Future[Any], tuple[int, Seed]],
        again: list[tuple[int, Seed]],
        waiting: Iterator[tuple[int, Seed]],
    ) -> bool:
        """Have as many seeds under way as there may be; False when the executor turns out to be broken."""
        while len(under_way) < getattr(executor, "under_way", UNDER_WAY):
            item = again.pop() if again else next(waiting, None)
            if item is None:
                break
            try:
                under_way[executor.submit(self.work, item[1])] = item
            except BrokenExecutor:
                again.append(item)
                return False
        return True

    def _outcome(self, future: Future[Any], seed: Seed) -> Outcome | None:
        """What came of a seed; None when the executor broke under it."""
        error = future.exception()
        if error is None:
            result: Outcome = future.result()
            return result
        if isinstance(error, BrokenExecutor):
            return None
        if not isinstance(error, Exception):
            raise error
        return failed(seed, error, "")  # the engine itself gave up: Dask's KilledWorker, pickling...

    def _after_death(self) -> Executor:
        if not self.can_repeat:
            raise WorkersDied
        return self.make()

    def _sort_out(self, lost: Iterable[tuple[int, Seed]], again: list[tuple[int, Seed]]) -> Iterator[Outcome]:
        """What was under way is tried again, unless it has been there too often."""
        for number, seed in lost:
            self.deaths[number] = self.deaths.get(number, 0) + 1
            if self.deaths[number] >= DEATHS:
                yield Outcome(seed, ok=False, error="WorkerDied", message=f"its worker died {DEATHS} times")
            else:
                again.append((number, seed))


class InThisProcess:
    """The executor that does it at once, one by one."""

    under_way = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args))
        except Exception as error:
            future.set_exception(error)
        return future
