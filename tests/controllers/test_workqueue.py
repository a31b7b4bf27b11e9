"""Dirty keys, later keys, and trying again."""

from fakecluster.controllers.workqueue import MAX_RETRIES, WorkQueue
from fakecluster.sim import Clock

KEY, OTHER = ("shop", "web"), ("shop", "db")


def queue():
    clock = Clock()
    made = WorkQueue(clock, "controller", first_s=1.0, longest_s=10.0)
    woken = []
    clock.bind("controller", lambda payload: (made.wake(payload), woken.append((clock.now_s, made.take()))))
    return clock, made, woken


def test_a_key_is_taken_once_however_often_it_was_added():
    _, made, _ = queue()
    for key in (KEY, OTHER, KEY):
        made.add(key)
    assert made.take() == [KEY, OTHER]
    assert made.take() == []


def test_a_later_key_comes_when_its_time_has_come_and_only_once():
    clock, made, woken = queue()
    made.add_later(KEY, 2.0)
    made.add_later(KEY, 3.0)
    clock.advance(5.0)
    assert woken == [(2.0, [KEY])]
    made.add_later(KEY, 1.0)
    clock.advance(5.0)
    assert woken[1:] == [(6.0, [KEY])]


def test_a_sooner_moment_goes_before_a_later_one():
    clock, made, woken = queue()
    made.add_later(KEY, 3.0)
    made.add_later(KEY, 1.0)
    clock.advance(1.5)
    assert woken == [(1.0, [KEY])]


def test_failures_wait_twice_as_long_each_time_up_to_the_longest():
    clock, made, woken = queue()
    clock.bind(
        "controller", lambda payload: (made.wake(payload), made.take(), woken.append(clock.now_s), made.failed(KEY))
    )
    made.failed(KEY)
    clock.advance(36.0)
    assert woken == [1.0, 3.0, 7.0, 15.0, 25.0, 35.0]


def test_success_forgets_the_failures():
    clock, made, woken = queue()
    for _ in range(3):
        made.failed(KEY)
        clock.advance(10.0)
    made.done(KEY)
    woken.clear()
    made.failed(KEY)
    clock.advance(1.0)
    assert woken == [(31.0, [KEY])]


def test_a_key_that_never_succeeds_is_dropped():
    clock, made, woken = queue()
    clock.bind("controller", lambda payload: (made.wake(payload), made.take(), woken.append(1), made.failed(KEY)))
    made.failed(KEY)
    clock.advance(100_000.0)
    assert len(woken) == MAX_RETRIES


def test_a_fork_goes_its_own_way():
    clock, made, _ = queue()
    made.add(KEY)
    other_clock = clock.fork()
    copy = made.fork(other_clock)
    copy.add(OTHER)
    assert (made.take(), copy.take()) == ([KEY], [KEY, OTHER])
