from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api import decoding, diagnose, schema
from fakecluster.api.resources import built_in


def cleaned(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    return decoding.clean_copy(built_in().by_key(resource), obj)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"hostNetwork": False}, {}),
        ({"automountServiceAccountToken": False}, {"automountServiceAccountToken": False}),
        ({"terminationGracePeriodSeconds": 0}, {"terminationGracePeriodSeconds": 0}),
        ({"nodeName": ""}, {}),
        ({"tolerations": []}, {}),
        ({"nodeSelector": {}}, {}),
        ({"securityContext": {}}, {"securityContext": {}}),
        ({"volumes": None}, {}),
    ],
)
def test_empty_optional_values_vanish_unless_go_has_a_pointer_there(
    given: dict[str, Any], kept: dict[str, Any]
) -> None:
    spec = cleaned("pods", {"spec": {"containers": [{"name": "c"}], **given}})["spec"]
    assert {key: value for key, value in spec.items() if key != "containers"} == kept


def test_structures_that_are_no_pointers_always_appear() -> None:
    assert cleaned("services", {"metadata": {"name": "a"}})["status"] == {"loadBalancer": {}}
    assert cleaned("pods", {"spec": {"containers": [{"name": "c"}]}})["spec"]["containers"][0]["resources"] == {}


def test_condition_times_that_are_not_set_are_null() -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    condition = cleaned("pods", {"spec": {}, "status": status})["status"]["conditions"][0]
    assert condition["lastTransitionTime"] is None


def test_times_and_quantities_are_written_canonically() -> None:
    meta = {"name": "a", "creationTimestamp": "2026-01-01T02:00:00+02:00"}
    limits = {"cpu": "0.5", "memory": "1024Mi"}
    pod = cleaned("pods", {"metadata": meta, "spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}})
    assert pod["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("resource", "given", "words"),
    [
        (
            "services",
            {"spec": {"ports": "x"}},
            "string into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        ("services", {"spec": []}, "array into Go struct field Service.spec of type v1.ServiceSpec"),
        (
            "services",
            {"metadata": {"labels": {"a": 1}}},
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "services",
            {"spec": {"ports": [{"port": 1.5}]}},
            "number 1.5 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            "deployments.apps",
            {"spec": {"template": {"spec": {"containers": {}}}}},
            "object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
    ],
)
def test_wrong_types_are_told_as_gos_decoder_tells_them(resource: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(decoding.Undecodable) as caught:
        decoding.decoded(built_in().by_key(resource), given)
    assert str(caught.value) == f"json: cannot unmarshal {words}"


def test_unknown_fields_are_dropped_and_told_in_their_order() -> None:
    given = {"metadata": {"nmae": "x", "name": "a"}, "spec": {"ports": [{"port": 1, "prot": 2}], "foo": 1}}
    obj, warnings = decoding.decoded(built_in().by_key("services"), given, decoding.WARN)
    assert warnings == [
        'unknown field "metadata.nmae"',
        'unknown field "spec.ports[0].prot"',
        'unknown field "spec.foo"',
    ]
    assert obj["spec"] == {"ports": [{"port": 1}]}


def test_strict_validation_refuses_them() -> None:
    with pytest.raises(decoding.Undecodable, match='strict decoding error: unknown field "data2"'):
        decoding.decoded(built_in().by_key("configmaps"), {"data2": {}}, decoding.STRICT)


def test_secrets_hold_base64() -> None:
    assert diagnose.base64_problem("aGk=") is None
    assert diagnose.base64_problem("***") == "illegal base64 data at input byte 0"
    assert diagnose.base64_problem("aGk") == "illegal base64 data at input byte 0"


def test_every_built_in_kind_with_a_schema_decodes_an_empty_object() -> None:
    tried = 0
    for resource in built_in().by_path.values():
        if schema.definition_name(resource.api_version, resource.kind):
            clean, found = schema.decode(resource.api_version, resource.kind, {})
            assert not found.bad and isinstance(clean, dict), resource.key
            tried += 1
    assert tried > 30
