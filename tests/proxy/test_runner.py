"""The sync runner on the virtual clock."""

from fakecluster.proxy.runner import SyncRunner
from fakecluster.sim import Clock


class Runs:
    def __init__(self, *, fail=()):
        self.clock, self.times, self.fail = Clock(), [], set(fail)
        self.runner = SyncRunner(self.clock, "sync", min_interval_s=1, retry_interval_s=30, max_interval_s=3600)
        self.clock.bind("sync", self.run)

    def run(self, payload):
        self.runner.started()
        self.times.append(self.clock.now_s)
        self.runner.finished(failed=len(self.times) in self.fail)


def test_the_first_request_runs_at_once():
    runs = Runs()
    runs.runner.request()
    runs.clock.settle()
    assert runs.times == [0.0]


def test_requests_during_the_minimum_interval_merge_into_one_run_at_its_end():
    runs = Runs()
    runs.runner.request()
    runs.clock.settle()
    for _ in range(3):
        runs.clock.advance(0.1)
        runs.runner.request()
    runs.clock.advance(5)
    assert runs.times == [0.0, 1.0]


def test_without_requests_a_run_happens_every_hour():
    runs = Runs()
    runs.runner.request()
    runs.clock.advance(7300)
    assert runs.times == [0.0, 3600.0, 7200.0]


def test_a_failed_run_is_repeated_after_the_retry_interval():
    runs = Runs(fail={1})
    runs.runner.request()
    runs.clock.advance(40)
    assert runs.times == [0.0, 30.0]


def test_a_request_comes_before_the_retry():
    runs = Runs(fail={1})
    runs.runner.request()
    runs.clock.advance(5)
    runs.runner.request()
    runs.clock.advance(40)
    assert runs.times == [0.0, 5.0]


def test_a_stopped_runner_never_wakes_up():
    runs = Runs()
    runs.runner.request()
    runs.clock.settle()
    runs.runner.request()
    runs.runner.stop()
    runs.clock.advance(4000)
    assert runs.times == [0.0]
