"""`campaign`: a property, a stateful machine or any function, over many seeds, on many machines.

result = campaign(ClusterMachine, seeds=range(1000), executor=ProcessPoolExecutor(8))
result = campaign(my_property, seeds=range(1000), executor=dask_client, resume="search.jsonl")
assert result, result                      # str(result) has the seeds and the shrunken examples
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakecluster.campaigns.engine import Engine, Executor, InThisProcess, WorkersDied
from fakecluster.campaigns.journal import Journal, key_of
from fakecluster.campaigns.outcome import CampaignResult, Outcome, Seed
from fakecluster.campaigns.work import Work
from fakecluster.errors import FakeclusterError


class CampaignBroken(FakeclusterError):
    """The executor's workers died and it cannot be used any more; `result` is what was done by then."""

    def __init__(self, result: CampaignResult, resume: Path | None) -> None:
        self.result = result
        kept = f"; call again to go on from {resume}" if resume else "; with `resume` it could go on from here"
        how = "give a function that makes an executor, and it will be made again"
        super().__init__(f"the executor broke after {len(result.outcomes)} seeds{kept}; {how}")


def campaign(
    what: Any,
    *,
    seeds: Iterable[Seed],
    executor: Any = None,
    examples: int | None = None,
    resume: str | Path | None = None,
    progress: bool | None = None,
    max_failures: int | None = None,
) -> CampaignResult:
    """Run `what` once for every seed and collect what came of it.

    `what` is a Hypothesis property (`@given`), a stateful machine, or a function that takes the seed (or a capture's
    path, or any other JSON data) and returns JSON data; or its name, `module:name`. A seed decides a run entirely, so
    that a failure is repeated by `campaign(what, seeds=[seed])` anywhere.

    `executor` is anything like `concurrent.futures.Executor` (None: this process), a function that makes one (called
    again when its workers die), or a `distributed.Client`. `examples` is Hypothesis' `max_examples` for each seed.
    `resume` names a file that keeps what is done; seeds found there are not run again. `progress` shows a bar (None: on
    a terminal). The campaign ends early after `max_failures`.

    Raises TypeError and ValueError for what cannot be run, LookupError for a name that cannot be imported,
    `CampaignBroken` when the workers of an executor died that cannot be made again.
    """
    work = Work.of(what, examples)
    if max_failures is not None and max_failures < 1:
        raise ValueError(f"max_failures={max_failures}: expected 1 or more")
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds={seeds!r}: expected many, such as range(100) or [17]")
    path = Path(resume) if resume is not None else None
    journal = Journal(path, work)
    order: dict[str, None] = {}
    engine = Engine(work, *_factory(executor))
    total = len(seeds) if isinstance(seeds, Sized) else None
    with journal, _bar(progress, work.name, total) as show:
        count = 0
        try:
            for outcome in engine.run(_left(seeds, order, journal, show)):
                journal.add(outcome)
                show(outcome)
                count += not outcome.ok
                if max_failures is not None and count >= max_failures:
                    break
        except WorkersDied:
            raise CampaignBroken(_result(order, journal), path) from None
    return _result(order, journal)


def _left(
    seeds: Iterable[Seed], order: dict[str, None], journal: Journal, show: Callable[[Outcome], None]
) -> Iterator[Seed]:
    """The seeds that are to be run, each once."""
    for seed in seeds:
        key = key_of(seed)
        if key in order:
            continue
        order[key] = None
        if key in journal.done:
            show(journal.done[key])
        else:
            yield seed


def _result(order: dict[str, None], journal: Journal) -> CampaignResult:
    return CampaignResult(tuple(journal.done[key] for key in order if key in journal.done))


def _factory(executor: Any) -> tuple[Callable[[], Executor], bool]:
    """How to get an executor, and whether another one can be made."""
    if executor is None:
        return InThisProcess, True
    if hasattr(executor, "get_executor"):  # distributed.Client: it replaces dead workers itself
        return lambda: executor.get_executor(pure=False), False
    if hasattr(executor, "submit"):
        return lambda: executor, False
    if callable(executor):
        return executor, True
    raise TypeError(f"{executor!r} has no submit, and is no function that makes an executor")


@contextmanager
def _bar(progress: bool | None, name: str, total: int | None) -> Iterator[Callable[[Outcome], None]]:
    """A progress bar with the number of failures, where it is wanted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if progress is False or (progress is None and not console.is_terminal):
        yield lambda outcome: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=total, failed=0)
        failures = 0

        def show(outcome: Outcome) -> None:
            nonlocal failures
            failures += not outcome.ok
            bar.update(task, advance=1, failed=failures)

        yield show
