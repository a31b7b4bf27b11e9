"""When the change happened that an endpoint update brings."""

from endpoint_objects import pod, service

from fakecluster.controllers.publishing import TRIGGER_TIME
from fakecluster.controllers.triggers import TriggerTimes, stamped

KEY = ("shop", "web")


def since(name, time):
    made = pod(name, "10.244.0.3")
    made["status"]["conditions"][0]["lastTransitionTime"] = time
    return made


def test_a_new_services_trigger_is_its_creation_whatever_its_pods_say():
    assert TriggerTimes().update(KEY, service(), [since("a", "2026-01-01T00:00:09Z")]) == "2026-01-01T00:00:00Z"


def test_later_the_earliest_new_transition_counts():
    times = TriggerTimes()
    times.update(KEY, service(), [since("a", "2026-01-01T00:00:01Z")])
    pods = [since("a", "2026-01-01T00:00:01Z"), since("b", "2026-01-01T00:00:07Z"), since("c", "2026-01-01T00:00:05Z")]
    assert times.update(KEY, service(), pods) == "2026-01-01T00:00:05Z"
    assert times.update(KEY, service(), pods) == ""


def test_pods_without_transition_times_trigger_nothing():
    times = TriggerTimes()
    times.update(KEY, service(), [])
    assert times.update(KEY, service(), [pod("a", "10.244.0.3")]) == ""


def test_a_forgotten_service_is_new_again():
    times = TriggerTimes()
    times.update(KEY, service(), [])
    times.forget(KEY)
    assert times.update(KEY, service(), []) == "2026-01-01T00:00:00Z"


def test_the_stamp_is_set_or_taken_away_and_leaves_other_annotations():
    metadata = {"name": "web", "annotations": {"a": "1", TRIGGER_TIME: "old"}}
    assert stamped(metadata, "new")["annotations"] == {"a": "1", TRIGGER_TIME: "new"}
    assert stamped(metadata, "")["annotations"] == {"a": "1"}
    assert "annotations" not in stamped({"name": "web", "annotations": {TRIGGER_TIME: "old"}}, "")
