"""Jobs: completions, failures and their pauses, deadlines, suspension, what is left when they end."""

import pytest
from workshop import Workshop, container


def status(shop: Workshop, resource: str, name: str) -> dict:
    return shop.client.get(resource, name, "default")["status"]


def job(name: str, **spec: object) -> dict:
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def finish(shop: Workshop, code: int = 0) -> None:
    """Let the programs of all running Pods end."""
    for name, phase in shop.phases().items():
        if phase == "Running":
            shop.exit(name, code)


def test_a_job_runs_until_enough_pods_succeeded():
    shop = Workshop("a")
    shop.create(job("mail", completions=3, parallelism=2))
    assert status(shop, "jobs.batch", "mail")["active"] == 2
    finish(shop)
    finish(shop)
    found = status(shop, "jobs.batch", "mail")
    assert (found["succeeded"], found["ready"], "active" in found) == (3, 0, False)
    assert [(one["type"], one["status"]) for one in found["conditions"]] == [
        ("SuccessCriteriaMet", "True"),
        ("Complete", "True"),
    ]
    assert shop.events("Job")[-1] == "Completed: Job completed"


def test_an_indexed_job_gives_each_index_to_one_pod():
    shop = Workshop("a")
    shop.create(job("mail", completions=3, parallelism=3, completionMode="Indexed"))
    assert sorted(one["spec"]["hostname"] for one in shop.pods) == ["mail-0", "mail-1", "mail-2"]
    assert shop.runtime.environments["main"]["JOB_COMPLETION_INDEX"] in ("0", "1", "2")
    finish(shop)
    assert status(shop, "jobs.batch", "mail")["completedIndexes"] == "0-2"


def test_a_failing_job_tries_again_ever_later_and_gives_up():
    shop = Workshop("a")
    shop.create(job("mail", backoffLimit=2))
    for pause_s in (10, 20):
        finish(shop, 1)
        shop.clock.advance(pause_s - 1)
        assert "Running" not in shop.phases().values()
        shop.clock.advance(1)
        assert "Running" in shop.phases().values()
    finish(shop, 1)
    found = status(shop, "jobs.batch", "mail")
    assert found["failed"] == 3
    failed = found["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "BackoffLimitExceeded")
    shop.clock.advance(1000)
    assert len(shop.pods) == 3


def test_a_job_past_its_deadline_fails_and_its_pods_go():
    shop = Workshop("a")
    shop.create(job("mail", activeDeadlineSeconds=30))
    shop.clock.advance(30)
    assert status(shop, "jobs.batch", "mail")["conditions"][-1]["reason"] == "DeadlineExceeded"
    assert "Running" not in shop.phases().values()


def test_a_suspended_job_has_no_pods_until_it_is_resumed():
    shop = Workshop("a")
    shop.create(job("mail", suspend=True))
    assert shop.pods == []
    shop.client.patch("jobs.batch", "mail", {"spec": {"suspend": False}}, "default")
    shop.clock.settle()
    assert list(shop.phases().values()) == ["Running"]


def test_a_finished_job_goes_after_its_time_to_live():
    shop = Workshop("a")
    shop.create(job("mail", ttlSecondsAfterFinished=100))
    finish(shop)
    shop.clock.advance(99)
    assert len(shop.client.list("jobs.batch")) == 1
    shop.clock.advance(1)
    assert (shop.client.list("jobs.batch"), shop.pods) == ([], [])


def test_a_deleted_pod_of_a_job_counts_as_failed_and_is_replaced_later():
    shop = Workshop("a")
    shop.create(job("mail"))
    first = shop.pods[0]["metadata"]["name"]
    shop.client.delete("pods", first, "default")
    shop.clock.settle()
    assert first not in shop.phases()
    assert status(shop, "jobs.batch", "mail")["failed"] == 1
    shop.clock.advance(10)
    assert list(shop.phases().values()) == ["Running"]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_deleted_job_takes_its_pods_along(propagation):
    shop = Workshop("a")
    shop.create(job("mail", completions=2, parallelism=2))
    shop.exit(shop.pods[0]["metadata"]["name"], 0)
    shop.client.delete("jobs.batch", "mail", "default", propagation=propagation)
    shop.clock.settle()
    assert (shop.client.list("jobs.batch"), shop.pods) == ([], [])
