from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakecluster.api.rest import Response
from fakecluster.api.rest.go_json import SyntaxProblem
from fakecluster.api.rest.protobuf import fields, parse_protobuf
from fakecluster.errors import Unsupported

Call = Callable[..., Response]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def part(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value % (1 << 64))
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def sent(api_version: str, kind: str, message: bytes) -> bytes:
    return b"k8s\x00" + part(1, part(1, api_version) + part(2, kind)) + part(2, message) + part(3, "") + part(4, "")


META = part(1, part(1, "web") + part(3, "default") + part(8, b"") + part(11, part(1, "app") + part(2, "web")))


def test_a_service_as_kubectl_sends_it() -> None:
    target = part(1, 1) + part(3, "http")
    port = part(1, "p") + part(2, "TCP") + part(3, 80) + part(4, target) + part(5, 30080)
    spec = part(1, port) + part(2, part(1, "app") + part(2, "web")) + part(3, "") + part(4, "NodePort") + part(13, 0)
    assert parse_protobuf(sent("v1", "Service", META + part(2, spec) + part(3, part(1, b"")))) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "creationTimestamp": None,
            "labels": {"app": "web"},
        },
        "spec": {
            "ports": [{"name": "p", "protocol": "TCP", "port": 80, "targetPort": "http", "nodePort": 30080}],
            "selector": {"app": "web"},
            "clusterIP": "",
            "type": "NodePort",
            "publishNotReadyAddresses": False,
        },
        "status": {"loadBalancer": {}},
    }


def test_fields_that_go_embeds_stand_in_the_same_object() -> None:
    probe = part(1, part(2, part(1, "/x") + part(2, part(1, 0) + part(2, 8080)))) + part(4, 5)
    volume = part(1, "v") + part(2, part(19, part(1, part(1, "cm"))))
    container = part(1, "c") + part(11, probe) + part(8, part(1, part(1, "cpu") + part(2, part(1, "100m"))))
    body = parse_protobuf(sent("v1", "Pod", META + part(2, part(1, volume) + part(2, container))))
    assert body["spec"] == {
        "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
        "containers": [
            {
                "name": "c",
                "readinessProbe": {"httpGet": {"path": "/x", "port": 8080}, "periodSeconds": 5},
                "resources": {"limits": {"cpu": "100m"}},
            }
        ],
    }


def test_bytes_become_base64_and_negative_numbers_stay_negative() -> None:
    data = part(2, part(1, "k") + part(2, b"\x00\xff"))
    assert parse_protobuf(sent("v1", "Secret", data))["data"] == {"k": "AP8="}
    options = parse_protobuf(sent("v1", "DeleteOptions", part(1, -7) + part(4, "Orphan")))
    assert (options["gracePeriodSeconds"], options["propagationPolicy"]) == (-7, "Orphan")


def test_the_same_kind_in_two_groups_has_its_own_numbers() -> None:
    assert parse_protobuf(sent("v1", "Event", part(3, "Why") + part(4, "text")))["message"] == "text"
    assert parse_protobuf(sent("events.k8s.io/v1", "Event", part(7, "Why") + part(10, "text")))["note"] == "text"


def test_what_is_not_known_is_refused_and_not_skipped() -> None:
    with pytest.raises(Unsupported, match="field 18 of PodSpec in protobuf"):
        parse_protobuf(sent("v1", "Pod", part(2, part(18, b""))))


def test_a_created_object_is_answered_in_json(call: Call) -> None:
    body = sent("v1", "ConfigMap", META + part(2, part(1, "a") + part(2, "b")))
    made = call(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        body,
        type="application/vnd.kubernetes.protobuf",
        accept="application/vnd.kubernetes.protobuf,application/json",
    )
    assert (made.status, made.content_type, made.value["data"]) == (201, "application/json", {"a": "b"})


@pytest.mark.parametrize("body", [b"", b"k8s", b"{}", b"k8s\x00\x0a\xff", b"k8s\x00\x0b", b"k8s\x00" + b"\xff" * 12])
def test_broken_bytes_are_a_bad_request(call: Call, body: bytes) -> None:
    response = call("POST", "/api/v1/namespaces/default/configmaps", body, type="application/vnd.kubernetes.protobuf")
    assert (response.status, response.value["reason"]) == (400, "BadRequest")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for kind in ("Service", "Deployment", "DeleteOptions"):
        api_version = "apps/v1" if kind == "Deployment" else "v1"
        with suppress(SyntaxProblem, Unsupported):
            assert isinstance(parse_protobuf(sent(api_version, kind, data)), dict)
    with suppress(SyntaxProblem):
        assert all(number >= 0 for number, _, _ in fields(data))
