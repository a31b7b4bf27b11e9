"""Dirty keys, later keys, and trying again."""

from fakecluster.controllers.workqueue import MAX_RETRIES, WorkQueue
from fakecluster.sim import Clock

KEY, OTHER = ("shop", "web"), ("shop", "db")


class Worker:
    """A controller that only writes down when it is given which key."""

    def __init__(self, clock=None, queue=None):
        self.clock = clock or Clock()
        self.queue = queue or WorkQueue(self.clock, "controller", first_s=1.0, longest_s=10.0)
        self.worked = []
        self.fails = False
        self.clock.bind("controller", self.handle)

    def handle(self, payload):
        key = self.queue.take(payload)
        if key is not None:
            self.worked.append((self.clock.now_s, key[1]))
            if self.fails:
                self.queue.failed(key)


def test_a_key_is_worked_on_once_however_often_it_was_added():
    worker = Worker()
    for key in (KEY, OTHER, KEY):
        worker.queue.add(key)
    worker.clock.settle()
    assert worker.worked == [(0.0, "web"), (0.0, "db")]


def test_every_key_is_a_step_of_its_own():
    worker = Worker()
    worker.queue.add(KEY)
    worker.queue.add(OTHER)
    worker.clock.step()
    assert worker.worked == [(0.0, "web")]


def test_a_key_that_becomes_dirty_again_is_worked_on_again():
    worker = Worker()
    for _ in range(2):
        worker.queue.add(KEY)
        worker.clock.settle()
    assert len(worker.worked) == 2


def test_news_from_the_inbox_is_no_key():
    assert Worker().queue.take("watch") is None


def test_a_later_key_comes_when_its_time_has_come_and_only_once():
    worker = Worker()
    worker.queue.add_later(KEY, 2.0)
    worker.queue.add_later(KEY, 3.0)
    worker.clock.advance(5.0)
    assert worker.worked == [(2.0, "web")]
    worker.queue.add_later(KEY, 1.0)
    worker.clock.advance(5.0)
    assert worker.worked[1:] == [(6.0, "web")]


def test_a_sooner_moment_goes_before_a_later_one():
    worker = Worker()
    worker.queue.add_later(KEY, 3.0)
    worker.queue.add_later(KEY, 1.0)
    worker.clock.advance(5.0)
    assert worker.worked == [(1.0, "web")]


def test_a_held_key_is_still_due_when_it_is_let_go():
    worker = Worker()
    worker.queue.add_later(KEY, 1.0)
    worker.clock.hold("controller")
    worker.clock.advance(7.0)
    worker.clock.release("controller")
    worker.clock.settle()
    assert worker.worked == [(7.0, "web")]


def test_failures_wait_twice_as_long_each_time_up_to_the_longest():
    worker = Worker()
    worker.fails = True
    worker.queue.failed(KEY)
    worker.clock.advance(36.0)
    assert [when for when, _ in worker.worked] == [1.0, 3.0, 7.0, 15.0, 25.0, 35.0]


def test_success_forgets_the_failures():
    worker = Worker()
    for _ in range(3):
        worker.queue.failed(KEY)
        worker.clock.advance(10.0)
    worker.queue.done(KEY)
    worker.worked.clear()
    worker.queue.failed(KEY)
    worker.clock.advance(1.0)
    assert worker.worked == [(31.0, "web")]


def test_a_key_that_never_succeeds_is_dropped():
    worker = Worker()
    worker.fails = True
    worker.queue.failed(KEY)
    worker.clock.advance(100_000.0)
    assert len(worker.worked) == MAX_RETRIES


def test_a_fork_goes_its_own_way():
    worker = Worker()
    worker.queue.add(KEY)
    clock = worker.clock.fork()
    copy = Worker(clock, worker.queue.fork(clock))
    copy.queue.add(OTHER)
    for one in (worker, copy):
        one.clock.settle()
    assert [name for _, name in worker.worked] == ["web"]
    assert [name for _, name in copy.worked] == ["web", "db"]
