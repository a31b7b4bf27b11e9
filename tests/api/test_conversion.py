from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api.client import Client
from fakecluster.api.rest import Response

Call = Callable[..., Response]
SCALERS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"


def test_an_event_of_the_new_group_is_seen_in_the_old_one(call: Call, client: Client) -> None:
    regarding = {"kind": "Pod", "namespace": "default", "name": "p"}
    event = {
        "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "regarding": regarding,
        "note": "hello",
        "reason": "Testing",
        "action": "Test",
        "type": "Normal",
        "reportingController": "me",
        "reportingInstance": "me-1",
    }
    made = call("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event)
    assert (made.status, made.value["apiVersion"], made.value["note"]) == (201, "events.k8s.io/v1", "hello")
    core = client.get("events", "e", "default")
    assert (core["apiVersion"], core["message"], core["involvedObject"]) == ("v1", "hello", regarding)
    listed = call("GET", "/apis/events.k8s.io/v1/namespaces/default/events").value["items"]
    assert [item["regarding"]["name"] for item in listed] == ["p"]
    assert client.list("events.events.k8s.io", "default")[0]["note"] == "hello"


def scaler(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, **spec},
    }


def test_an_autoscaler_is_the_same_in_both_versions(call: Call) -> None:
    call("POST", SCALERS.format("v1"), scaler(targetCPUUtilizationPercentage=70))
    newer = call("GET", SCALERS.format("v2") + "/h").value
    target = {"type": "Utilization", "averageUtilization": 70}
    assert newer["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    older = call("GET", SCALERS.format("v1") + "/h").value
    assert (older["apiVersion"], older["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 70)
    patch = {"spec": {"targetCPUUtilizationPercentage": 50}}
    patched = call("PATCH", SCALERS.format("v1") + "/h", patch, type="application/merge-patch+json")
    assert patched.value["spec"]["targetCPUUtilizationPercentage"] == 50


def test_what_the_older_version_cannot_say_is_refused(call: Call) -> None:
    target = {"type": "AverageValue", "averageValue": "5"}
    metric = {"type": "Pods", "pods": {"metric": {"name": "x"}, "target": target}}
    call("POST", SCALERS.format("v2"), scaler(metrics=[metric]))
    refused = call("GET", SCALERS.format("v1") + "/h")
    assert (refused.status, refused.value["reason"]) == (501, "NotImplemented")


def test_discovery_is_answered_with_304_when_it_is_known(call: Call) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    first = call("GET", "/apis", accept=accept)
    tag = dict(first.headers)["ETag"]
    again = call("GET", "/apis", accept=accept, If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
