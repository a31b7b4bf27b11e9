from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.kinds_workload import structural
from fakecluster.api.kinds_workload.definition import version_rank
from fakecluster.api.kinds_workload.definition_schema import validate_schema

Json = dict[str, Any]


def of(**spec: Any) -> Json:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}


def test_unknown_fields_are_dropped_and_named() -> None:
    schema = of(known={"type": "integer"}, list={"type": "array", "items": {"type": "object", "properties": {"a": {}}}})
    value = {"kind": "K", "metadata": {"x": 1}, "spec": {"known": 1, "other": 2, "list": [{"a": 1, "b": 2}]}, "more": 3}
    assert structural.prune(value, schema) == ["more", "spec.list[0].b", "spec.other"]
    assert value == {"kind": "K", "metadata": {"x": 1}, "spec": {"known": 1, "list": [{"a": 1}]}}


def test_what_is_to_be_preserved_stays() -> None:
    value = {"spec": {"any": {"thing": [1]}}}
    schema = of(any={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    assert structural.prune(value, schema) == []
    assert value == {"spec": {"any": {"thing": [1]}}}


def test_defaults_fill_in_only_below_what_is_there() -> None:
    schema = of(replicas={"type": "integer", "default": 1})
    values: list[Json] = [{}, {"spec": {}}, {"spec": {"replicas": None}}]
    for value in values:
        structural.default(value, schema)
    assert values == [{}, {"spec": {"replicas": 1}}, {"spec": {"replicas": 1}}]


@pytest.mark.parametrize(
    ("schema", "value", "wanted"),
    [
        ({"type": "integer"}, "x", 'Invalid value: "string": spec.f in body must be of type integer: "string"'),
        ({"type": "integer"}, True, 'Invalid value: "boolean": spec.f in body must be of type integer: "boolean"'),
        ({"type": "string"}, None, 'Invalid value: "null": spec.f in body must be of type string: "null"'),
        (
            {"type": "integer", "minimum": 1},
            0,
            "Invalid value: 0: spec.f in body should be greater than or equal to 1",
        ),
        (
            {"type": "number", "maximum": 2, "exclusiveMaximum": True},
            2,
            "Invalid value: 2: spec.f in body should be less than 2",
        ),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"type": "string", "pattern": "^a$"}, "b", "Invalid value: \"b\": spec.f in body should match '^a$'"),
        ({"type": "string", "minLength": 2}, "b", 'Invalid value: "b": spec.f in body should be at least 2 chars long'),
        ({"type": "array", "minItems": 1}, [], "Invalid value: 0: spec.f in body should have at least 1 items"),
        (
            {"type": "string", "format": "ipv4"},
            "x",
            'Invalid value: "x": spec.f in body must be of type ipv4: "x"',
        ),
    ],
)
def test_a_value_is_refused_in_the_servers_words(schema: Json, value: Any, wanted: str) -> None:
    (error,) = structural.validate({"spec": {"f": value}}, of(f=schema))
    assert (error.field, error.message) == ("spec.f", wanted)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number"}, 1),
        ({"type": "integer"}, 1.0),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "50%"),
        ({"type": "string", "format": "date-time"}, "2020-01-01T00:00:00Z"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}),
    ],
)
def test_a_value_that_fits_is_accepted(schema: Json, value: Any) -> None:
    assert structural.validate({"spec": {"f": value}}, of(f=schema)) == []


def test_required_fields_and_map_keys_are_checked() -> None:
    item = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = of(f={"type": "array", "items": item, **keyed})
    errors = structural.validate({"spec": {"f": [{"name": "a"}, {"name": "a"}, {}]}}, schema)
    assert [f"{e.field}: {e.message}" for e in errors] == [
        "spec.f[2].name: Required value",
        'spec.f[1]: Duplicate value: {"name":"a"}',
    ]


def test_a_schema_must_be_structural() -> None:
    errors = validate_schema({"type": "object", "properties": {"a": {}, "b": {"type": "array"}}}, "s")
    assert [f"{e.field}: {e.message}" for e in errors] == [
        "s.properties[a].type: Required value: must not be empty for specified object fields",
        "s.properties[b].items: Required value: must be specified",
    ]


def test_versions_are_preferred_as_kubernetes_does() -> None:
    versions = ["foo1", "v1", "v2beta1", "v10", "v1alpha1", "v2", "v1beta2"]
    wanted = ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo1"]
    assert sorted(versions, key=version_rank, reverse=True) == wanted
