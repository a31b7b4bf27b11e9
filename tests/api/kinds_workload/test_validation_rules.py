"""Validation rules of a CustomResourceDefinition, in the server's words."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.kinds_workload.validation_rules import check_rules, is_cidr, violations
from fakecluster.api.strategy import required
from fakecluster.errors import Unsupported

Json = dict[str, Any]


def ruled(*rules: Json, **schema: Any) -> Json:
    return {"type": "object", **schema, "x-kubernetes-validations": list(rules)}


def words(obj: Json, schema: Json) -> list[str]:
    return [f"{one.field}: {one.message}" for one in violations(obj, schema, [])]


def test_a_rule_that_holds_says_nothing() -> None:
    assert words({"a": 1, "b": 2}, ruled({"rule": "self.a < self.b"})) == []


def test_a_broken_rule_is_told_by_its_message_or_its_text() -> None:
    schema = ruled({"rule": "self.a < self.b", "message": " a before b "}, {"rule": "self.a == 3"})
    assert words({"a": 2, "b": 1}, schema) == [
        "<nil>: Invalid value: a before b",
        "<nil>: Invalid value: failed rule: self.a == 3",
    ]


def test_rules_are_asked_deep_inside_and_show_values_that_are_plain() -> None:
    item = {"type": "string", "x-kubernetes-validations": [{"rule": "isCIDR(self)", "message": "not a CIDR"}]}
    schema = {"type": "object", "properties": {"spec": {"properties": {"to": {"type": "array", "items": item}}}}}
    assert words({"spec": {"to": ["10.0.0.0/8", "10.0.0.0"]}}, schema) == [
        'spec.to[1]: Invalid value: "10.0.0.0": not a CIDR'
    ]


def test_of_the_metadata_only_the_name_is_seen() -> None:
    obj = {"metadata": {"name": "x", "labels": {"a": "b"}}}
    assert words(obj, ruled({"rule": "self.metadata.name == 'x' && !has(self.metadata.labels)"})) == []


def test_a_reason_decides_the_kind_of_error() -> None:
    schema = ruled({"rule": "false", "message": "m", "reason": "FieldValueForbidden"})
    assert words({}, schema) == ["<nil>: Forbidden: m"]


def test_rules_are_not_asked_of_an_object_that_has_not_the_shape() -> None:
    (error,) = violations({}, ruled({"rule": "self.a == 1"}), [required("a")])
    assert (error.field, error.message) == (
        "<nil>",
        "Invalid value: null: some validation rules were not checked because the object was invalid;"
        " correct the existing errors to complete validation",
    )


def test_an_expression_that_is_none_is_refused() -> None:
    (error,) = check_rules(ruled({"rule": "self.a <"}), "s")
    assert error.field == "s.x-kubernetes-validations[0].rule"
    assert error.message.startswith('Invalid value: "self.a <": compilation failed: ')


@pytest.mark.parametrize(
    ("rule", "gap"),
    [
        ({"rule": "self.a == oldSelf.a"}, "oldSelf"),
        ({"rule": "quantity(self.a).isLessThan(quantity('1'))"}, "function (quantity|isLessThan)"),
        ({"rule": "true", "messageExpression": "'x'"}, "this field"),
    ],
)
def test_what_cannot_be_evaluated_is_said_to_be_a_gap(rule: Json, gap: str) -> None:
    with pytest.raises(Unsupported, match=gap):
        check_rules(ruled(rule), "s")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10.0.0.1/8", True), ("fd00::/8", True), ("10.0.0.0/33", False), ("10.0.0.0/08", False), ("10.0.0.0", False),
        ("::ffff:10.0.0.0/104", False), ("fe80::%eth0/64", False), ("/8", False),
    ],
)  # fmt: skip
def test_a_cidr_is_an_address_with_a_length(text: str, wanted: bool) -> None:
    assert is_cidr(text) is wanted
