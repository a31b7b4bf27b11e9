"""Jobs by the clock."""

from datetime import UTC, datetime

import pytest
from workshop import Workshop, container

from fakecluster.controllers.cronjobs.schedule import parse
from fakecluster.errors import Unsupported


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("*/15 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:15:00"),
        ("*/15 * * * *", "2026-01-01T00:59:59", "2026-01-01T01:00:00"),
        ("30 4 * * *", "2026-01-01T04:30:00", "2026-01-02T04:30:00"),
        ("0 0 31 * *", "2026-02-01T00:00:00", "2026-03-31T00:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 9 * * mon-fri", "2026-01-02T10:00:00", "2026-01-05T09:00:00"),
        ("0 0 13 * fri", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("5,10-12/2 * * * *", "2026-01-01T00:05:00", "2026-01-01T00:10:00"),
        ("50/5 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:50:00"),
        ("@hourly", "2026-01-01T00:10:00", "2026-01-01T01:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
    ],
)
def test_a_schedule_names_the_next_minute(schedule, after, expected):
    assert parse(schedule).after(at(after)) == at(expected)


def test_a_schedule_that_never_comes_has_no_next_minute():
    assert parse("0 0 30 2 *").after(at("2026-01-01T00:00:00")) is None


def test_a_schedule_in_another_form_is_refused():
    with pytest.raises(Unsupported, match="CronJob schedule"):
        parse("@every 5m")


def cron_job(**spec: object) -> dict:
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    whole = {"schedule": "*/10 * * * *", "jobTemplate": {"spec": {"template": template}}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "mail"}, "spec": whole}


def jobs(shop: Workshop) -> list[str]:
    return [one["metadata"]["name"] for one in shop.client.list("jobs.batch", "default")]


def start(shop: Workshop, **spec: object) -> None:
    shop.client.create("cronjobs.batch", cron_job(**spec), "default")
    shop.clock.settle()


def finish(shop: Workshop) -> None:
    for name, phase in shop.phases().items():
        if phase == "Running":
            shop.exit(name, 0)


def test_a_job_is_made_at_every_moment_of_the_schedule():
    shop = Workshop("a")
    start(shop)
    shop.clock.advance(599)
    assert jobs(shop) == []
    shop.clock.advance(1)
    minute = at("2026-01-01T00:10:00") // 60
    assert jobs(shop) == [f"mail-{minute}"]
    status = shop.client.get("cronjobs.batch", "mail", "default")["status"]
    assert status["lastScheduleTime"] == "2026-01-01T00:10:00Z"
    assert [one["name"] for one in status["active"]] == [f"mail-{minute}"]
    finish(shop)
    status = shop.client.get("cronjobs.batch", "mail", "default")["status"]
    assert ("active" in status, status["lastSuccessfulTime"]) == (False, "2026-01-01T00:10:00Z")


@pytest.mark.parametrize(("policy", "count", "running"), [("Allow", 2, 2), ("Forbid", 1, 1), ("Replace", 1, 1)])
def test_what_happens_while_the_last_job_still_runs_depends_on_the_policy(policy, count, running):
    shop = Workshop("a")
    start(shop, concurrencyPolicy=policy)
    shop.clock.advance(600)
    first = jobs(shop)
    shop.clock.advance(600)
    assert (len(jobs(shop)), list(shop.phases().values())) == (count, ["Running"] * running)
    assert (first[0] in jobs(shop)) == (policy != "Replace")


def test_only_the_last_three_jobs_that_succeeded_are_kept():
    shop = Workshop("a")
    start(shop)
    for _ in range(5):
        shop.clock.advance(600)
        finish(shop)
    assert len(jobs(shop)) == 3
    assert jobs(shop)[-1] == f"mail-{at('2026-01-01T00:50:00') // 60}"


def test_a_suspended_cron_job_makes_nothing_and_then_only_the_latest_it_missed():
    shop = Workshop("a")
    start(shop, suspend=True)
    shop.clock.advance(3000)
    assert jobs(shop) == []
    shop.client.patch("cronjobs.batch", "mail", {"spec": {"suspend": False}}, "default")
    shop.clock.settle()
    assert jobs(shop) == [f"mail-{at('2026-01-01T00:50:00') // 60}"]
