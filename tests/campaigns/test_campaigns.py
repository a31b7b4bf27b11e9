"""Campaigns: the same outcomes wherever they run; failures as seeds and examples; stopped, resumed, robbed of workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fakecluster
from fakecluster.campaigns import CampaignBroken, CampaignResult, Outcome, campaign

from . import searches


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2) as made:
        yield made


def test_a_function_is_run_for_every_seed_and_the_outcomes_are_in_their_order(pool: Executor) -> None:
    seeds = [5, 3, 4, 3]
    alone = campaign(searches.odd_ones_fail, seeds=seeds)
    assert alone.outcomes == (
        Outcome(5, ok=False, error="ValueError", message="5 is odd"),
        Outcome(3, ok=False, error="ValueError", message="3 is odd"),
        Outcome(4, ok=True, value="4"),
    )
    assert (bool(alone), alone.values) == (False, {4: "4"})
    assert str(alone) == "3 seeds, 2 failed\n\nseed 5: ValueError: 5 is odd\n\nseed 3: ValueError: 3 is odd"
    assert campaign(searches.odd_ones_fail, seeds=seeds, executor=pool) == alone
    with ThreadPoolExecutor(2) as threads:
        assert campaign("campaigns.searches:odd_ones_fail", seeds=seeds, executor=threads) == alone
    assert fakecluster.campaign is campaign


def test_a_property_fails_with_its_shrunken_example_the_same_in_every_process(pool: Executor) -> None:
    alone = campaign(searches.small_numbers, seeds=range(2), examples=40)
    assert {one.ok for one in alone.outcomes} == {False}
    assert all("number=77" in one.example and "text=''" in one.example for one in alone.failures)
    assert campaign(searches.small_numbers, seeds=range(2), examples=40, executor=pool) == alone
    with pytest.raises(AssertionError):
        searches.small_numbers()  # its own settings are as they were


def test_a_stateful_machine_fails_with_its_steps(pool: Executor) -> None:
    alone = campaign(searches.Counting, seeds=range(2), examples=20)
    (first, _) = alone.failures
    assert (first.error, first.example.count("state.go(step=1)")) == ("AssertionError", 3)
    assert campaign(searches.Counting, seeds=range(2), examples=20, executor=pool) == alone


def test_simulations_under_faults_are_equal_in_one_process_and_in_many(pool: Executor) -> None:
    alone = campaign(searches.a_rough_hour, seeds=range(3))
    assert alone
    assert campaign(searches.a_rough_hour, seeds=range(3), executor=pool) == alone
    assert {value[-1] for value in alone.values.values()} == {2}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    file = tmp_path / "search.jsonl"
    campaign(searches.odd_ones_fail, seeds=range(3), resume=file)
    with file.open("a") as kept:
        kept.write('{"seed": 3, "ok": tr')  # killed while it wrote
    done: list[int] = []
    resumed = campaign(searches.odd_ones_fail, seeds=range(5), resume=file)
    again = campaign(searches.odd_ones_fail, seeds=range(5), resume=file, executor=partial(_Telling, done))
    assert resumed == again == campaign(searches.odd_ones_fail, seeds=range(5))
    assert done == []
    assert [json.loads(line)["seed"] for line in file.read_text().splitlines()[1:]] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"belongs to another campaign: .*odd_ones_fail"):
        campaign(searches.doubled, seeds=range(3), resume=file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("garbage\n", r"search.jsonl, line 1: no line of a campaign's file: Expecting value"),
        ("garbage", "search.jsonl belongs to another campaign: \"garbage\""),
        ('{"campaign": "campaigns.searches:doubled", "examples": null}\n{"se\n', "search.jsonl, line 2: no line of"),
    ],
)
def test_a_file_that_is_no_campaigns_is_left_alone(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "search.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        campaign(searches.doubled, seeds=range(3), resume=file)
    assert file.read_text() == text


class _Telling:
    """An executor that says what it is asked to do."""

    def __init__(self, done: list[int]) -> None:
        self.done = done

    def submit(self, fn: Callable[..., Any], *args: Any) -> Any:
        self.done.append(args[0])
        raise NotImplementedError


def test_a_campaign_ends_early_after_so_many_failures() -> None:
    result = campaign(searches.odd_ones_fail, seeds=iter(range(10**9)), max_failures=2)
    assert [one.seed for one in result.outcomes] == [0, 1, 2, 3]


def test_workers_that_die_are_replaced_and_their_seeds_tried_again(tmp_path: Path) -> None:
    items = [[number, str(tmp_path)] for number in range(6)]
    result = campaign(searches.kills_its_worker_once, seeds=items, executor=partial(ProcessPoolExecutor, 2))
    assert [one.value for one in result.outcomes] == [0, 1, 4, 9, 16, 25]


def test_a_seed_that_kills_every_worker_is_called_so() -> None:
    result = campaign(searches.kills_every_worker, seeds=[1], executor=partial(ProcessPoolExecutor, 1))
    assert result.outcomes == (Outcome(1, ok=False, error="WorkerDied", message="its worker died 3 times"),)


def test_an_executor_that_breaks_leaves_what_was_done_to_be_resumed(tmp_path: Path) -> None:
    items, file = [[number, str(tmp_path)] for number in range(6)], tmp_path / "search.jsonl"
    with (
        ProcessPoolExecutor(1) as fragile,
        pytest.raises(CampaignBroken, match=r"the executor broke after \d seeds; call again to go on from"),
    ):
        campaign(searches.kills_its_worker_once, seeds=items, executor=fragile, resume=file)
    result = campaign(searches.kills_its_worker_once, seeds=items, resume=file)
    assert [one.value for one in result.outcomes] == [0, 1, 4, 9, 16, 25]


def test_dask_gives_the_same_result_and_survives_the_death_of_a_worker(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    items = [[number, str(tmp_path)] for number in range(6)]
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        hours = campaign(searches.a_rough_hour, seeds=range(2), executor=client)
        examples = campaign(searches.small_numbers, seeds=[1], examples=40, executor=client)
        survived = campaign(searches.kills_its_worker_once, seeds=items, executor=client)
    assert hours == campaign(searches.a_rough_hour, seeds=range(2))
    assert examples == campaign(searches.small_numbers, seeds=[1], examples=40)
    assert [one.value for one in survived.outcomes] == [0, 1, 4, 9, 16, 25]


def test_a_bar_shows_how_far_it_is_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    campaign(searches.odd_ones_fail, seeds=range(4), progress=True)
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "2 failed" in shown


@pytest.mark.parametrize(
    ("what", "options", "error", "words"),
    [
        (3, {}, TypeError, "expected a stateful machine, a property"),
        ("no_colon", {}, TypeError, "'no_colon': expected module:attribute"),
        (":no_module", {}, TypeError, "':no_module': expected module:attribute"),
        ("json:", {}, TypeError, "'json:': expected module:attribute"),
        ("no:such", {}, LookupError, "'no:such': no module 'no' can be imported; expected module:attribute"),
        ("json.nowhere:x", {}, LookupError, "no module 'json.nowhere' can be imported"),
        ("json:nothing", {}, LookupError, "'json:nothing': module 'json' has no 'nothing'; expected module:attribute"),
        ("json:JSONEncoder.no", {}, LookupError, "JSONEncoder'> has no 'no'"),
        (searches.doubled, {"seeds": 7}, TypeError, r"seeds=7: expected many, such as range\(100\)"),
        (searches.doubled, {"examples": 3}, TypeError, "it has no examples"),
        (searches.small_numbers, {"examples": 0}, ValueError, "examples=0"),
        (searches.doubled, {"max_failures": 0}, ValueError, "max_failures=0"),
        (searches.doubled, {"executor": 3}, TypeError, "3 has no submit"),
        (searches.doubled, {"seeds": [object()]}, TypeError, "JSON serializable"),
    ],
)
def test_what_cannot_be_run_is_refused(what: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        campaign(what, **{"seeds": [1], **options})


def test_what_cannot_be_written_down_is_a_failure_that_says_so() -> None:
    result = campaign(searches.no_json, seeds=[1])
    assert isinstance(result, CampaignResult)
    assert "returns is no JSON data" in result.failures[0].message
