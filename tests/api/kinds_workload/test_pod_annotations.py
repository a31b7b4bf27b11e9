"""Annotations that the server checks or turns into fields, amounts that it rounds, and what it then says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakecluster.api.kinds_workload.quantity import rounded_to_milli
from fakecluster.api.rest import Response

Call = Callable[..., Response]
PODS = "/api/v1/namespaces/default/pods"
COST = "controller.kubernetes.io/pod-deletion-cost"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "i", **spec.pop("container", {})}
    meta = {"name": "p", "annotations": annotations or {}}
    return {"metadata": meta, "spec": {"containers": [container], **spec}}


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({COST: "x"}, f'[{COST}]: Invalid value: "x": must be a 32bit integer'),
        ({COST: "01"}, f'[{COST}]: Invalid value: "01": must be a 32bit integer'),
        ({COST: "+1"}, f'[{COST}]: Invalid value: "+1": must be a 32bit integer'),
        ({COST: "2147483648"}, f'[{COST}]: Invalid value: "2147483648": must be a 32bit integer'),
        ({SECCOMP: "x"}, f'.{SECCOMP}: Invalid value: "x": must be a valid seccomp profile'),
        ({SECCOMP: "localhost//x"}, f'.{SECCOMP}: Invalid value: "/x": must be a relative path'),
        ({f"{APPARMOR}c": "x"}, f'[{APPARMOR}c]: Invalid value: "x": invalid AppArmor profile name: "x"'),
        ({f"{APPARMOR}d": "unconfined"}, f'[{APPARMOR}d]: Invalid value: "d": container not found'),
    ],
)
def test_annotations_that_mean_nothing_are_refused(call: Call, annotations: dict[str, str], words: str) -> None:
    answer = call("POST", PODS, pod(annotations))
    assert (answer.status, answer.value["message"]) == (422, f'Pod "p" is invalid: metadata.annotations{words}')


@pytest.mark.parametrize("cost", ["0", "-5", "2147483647", "-2147483648"])
def test_a_deletion_cost_is_a_32_bit_integer(call: Call, cost: str) -> None:
    assert call("POST", PODS, pod({COST: cost})).status == 201


@pytest.mark.parametrize(
    ("annotation", "profile"),
    [
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/x", {"type": "Localhost", "localhostProfile": "x"}),
    ],
)
def test_an_apparmor_annotation_becomes_the_field_and_is_warned_of(
    call: Call, annotation: str, profile: dict[str, str]
) -> None:
    answer = call("POST", PODS, pod({f"{APPARMOR}c": annotation}))
    assert answer.value["spec"]["containers"][0]["securityContext"] == {"appArmorProfile": profile}
    assert answer.warnings == [
        f'metadata.annotations[{APPARMOR}c]: deprecated since v1.30; use the "appArmorProfile" field instead'
    ]


def test_an_apparmor_annotation_that_says_what_the_pod_says_changes_nothing(call: Call) -> None:
    security = {"appArmorProfile": {"type": "RuntimeDefault"}}
    answer = call("POST", PODS, pod({f"{APPARMOR}c": "runtime/default"}, securityContext=security))
    assert "securityContext" not in answer.value["spec"]["containers"][0]
    assert answer.warnings == []


def test_apparmor_annotations_stay_as_they_are(call: Call) -> None:
    call("POST", PODS, pod())
    patch = {"metadata": {"annotations": {f"{APPARMOR}c": "unconfined"}}}
    answer = call("PATCH", f"{PODS}/p", patch, type="application/merge-patch+json")
    words = f"metadata.annotations[{APPARMOR}c]: Forbidden: may not add AppArmor annotations"
    assert (answer.status, answer.value["message"]) == (422, f'Pod "p" is invalid: {words}')


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0.0001", "1m"), ("1500u", "2m"), ("100m", "100m"), ("1Gi", "1Gi"), ("0.1Ki", "0.1Ki"), ("-1u", "-1m")],
)
def test_amounts_of_resources_are_rounded_up_to_thousandths(text: str, wanted: str) -> None:
    assert rounded_to_milli(text) == wanted


def test_a_container_asks_for_thousandths(call: Call) -> None:
    answer = call("POST", PODS, pod(container={"resources": {"limits": {"cpu": "0.0001"}}}))
    amounts = {"limits": {"cpu": "1m"}, "requests": {"cpu": "1m"}}
    assert answer.value["spec"]["containers"][0]["resources"] == amounts


def test_a_search_domain_is_no_longer_than_a_name(call: Call) -> None:
    answer = call("POST", PODS, pod(dnsConfig={"searches": ["a" * 254]}))
    words = f'spec.dnsConfig.searches[0]: Invalid value: "{"a" * 254}": must be no more than 253 characters'
    assert answer.value["message"] == f'Pod "p" is invalid: {words}'


def test_an_image_volume_has_a_pull_policy_that_exists(call: Call) -> None:
    volume = {"name": "v", "image": {"reference": "a", "pullPolicy": "Sometimes"}}
    answer = call("POST", PODS, pod(volumes=[volume]))
    supported = 'supported values: "Always", "IfNotPresent", "Never"'
    words = f'spec.volumes[0].image.pullPolicy: Unsupported value: "Sometimes": {supported}'
    assert answer.value["message"] == f'Pod "p" is invalid: {words}'
