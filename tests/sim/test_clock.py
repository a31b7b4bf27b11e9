from math import inf, nan
from typing import Any

import pytest

from fakecluster.errors import SettleError
from fakecluster.sim import Clock


def recorder(clock, *targets):
    seen = []
    for target in targets:
        clock.bind(target, lambda payload, target=target: seen.append((clock.now_s, target, payload)))
    return seen


def test_events_run_by_time_then_priority_then_age():
    clock = Clock()
    seen = recorder(clock, "a", "b")
    clock.schedule("a", "late", delay_s=2)
    clock.schedule("a", "second", delay_s=1, priority=1)
    clock.schedule("b", "third", delay_s=1, priority=1)
    clock.schedule("b", "first", delay_s=1)
    clock.advance(5)
    assert seen == [(1.0, "b", "first"), (1.0, "a", "second"), (1.0, "b", "third"), (2.0, "a", "late")]
    assert clock.now_s == 5.0


def test_settle_does_not_let_time_pass():
    clock = Clock()
    seen = recorder(clock, "a")
    clock.schedule("a", "now")
    clock.schedule("a", "later", delay_s=0.001)
    assert clock.settle() == 1
    assert seen == [(0.0, "a", "now")]


def test_a_held_target_gets_its_events_in_order_on_release():
    clock = Clock()
    seen = recorder(clock, "a", "b")
    clock.hold("a")
    clock.schedule("a", 1, delay_s=1)
    clock.schedule("a", 2, delay_s=2)
    clock.schedule("b", 3, delay_s=3)
    clock.advance(4)
    assert seen == [(3.0, "b", 3)]
    clock.release("a")
    clock.settle()
    assert seen == [(3.0, "b", 3), (4.0, "a", 1), (4.0, "a", 2)]


def test_a_cancelled_event_does_not_run():
    clock = Clock()
    seen = recorder(clock, "a")
    clock.cancel(clock.schedule("a", "never", delay_s=1))
    clock.advance(2)
    assert seen == []


def test_an_endless_loop_is_named():
    clock = Clock()
    clock.bind("ping", lambda _: clock.schedule("pong"))
    clock.bind("pong", lambda _: clock.schedule("ping"))
    clock.schedule("ping")
    with pytest.raises(SettleError, match=r"no fixed point after 100 events at 0 s; still busy: ping"):
        clock.settle(limit=100)


@pytest.mark.parametrize(
    ("seconds", "error", "words"),
    [
        ("x", TypeError, "seconds='x': expected a number, not str"),
        (None, TypeError, "seconds=None: expected a number, not NoneType"),
        (nan, ValueError, "seconds=nan: expected a finite number"),
        (inf, ValueError, "seconds=inf: expected a finite number"),
        (-1, ValueError, r"time does not run backwards \(-1 s\)"),
    ],
)
def test_what_is_no_time_is_refused_by_name(seconds: Any, error: type[Exception], words: str):
    clock = Clock()
    with pytest.raises(error, match=words):
        clock.advance(seconds)
    assert clock.now_ns == 0


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="backwards"):
        Clock().advance(-1)


def test_a_fork_runs_its_own_copies_of_the_events():
    clock = Clock()
    seen = recorder(clock, "a")
    clock.schedule("a", "x", delay_s=1)
    fork = clock.fork()
    forked = recorder(fork, "a")
    fork.advance(1)
    assert (seen, forked) == ([], [(1.0, "a", "x")])
    clock.advance(1)
    assert seen == [(1.0, "a", "x")]


def test_events_of_an_unbound_target_are_dropped():
    clock = Clock()
    seen = recorder(clock, "a")
    clock.schedule("a", "x", delay_s=1)
    clock.unbind("a")
    clock.advance(1)
    assert seen == [] and clock.next_ns is None


def test_a_target_that_is_forgotten_and_bound_again_has_none_of_its_old_events():
    clock, seen = Clock(), []
    for payload in ("old", "older"):
        clock.schedule("a", payload, delay_s=5)
    clock.schedule("b", "other", delay_s=5)
    clock.forget("a")
    for target in "ab":
        clock.bind(target, seen.append)
    clock.schedule("a", "new", delay_s=6)
    clock.advance(10)
    assert seen == ["other", "new"]


def test_events_that_nobody_notices_are_handed_over_before_their_time() -> None:
    clock = Clock()
    seen: list[tuple[int, object]] = []
    clock.bind("a", lambda payload: seen.append((clock.now_ns, payload)), idle=lambda payload: payload == "idle")
    for delay_s, payload in ((1, "idle"), (2, "idle"), (3, "busy"), (4, "idle")):
        clock.schedule("a", payload, delay_s=delay_s)
    assert clock.next_noticed_ns(1_500_000_000) is None
    assert seen == [(0, "idle")]
    assert clock.next_noticed_ns(9_000_000_000) == 3_000_000_000
    assert seen == [(0, "idle"), (0, "idle")]
    clock.advance(5)
    assert seen[2:] == [(3_000_000_000, "busy"), (4_000_000_000, "idle")]


def test_held_events_are_noticed() -> None:
    clock = Clock()
    clock.bind("a", lambda payload: None, idle=lambda payload: True)
    clock.schedule("a", delay_s=1)
    clock.hold("a")
    assert clock.next_noticed_ns(2_000_000_000) == 1_000_000_000
