"""Checks of labels and of LabelSelector objects inside other objects (apimachinery, metav1/validation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakecluster.api import names
from fakecluster.api.strategy import FieldError, forbidden, invalid, required

_WITH_VALUES = ("In", "NotIn")
_WITHOUT_VALUES = ("Exists", "DoesNotExist")


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """What is wrong with the labels at `path`, key by key in their order."""
    found: list[FieldError] = []
    for key, value in (labels or {}).items():
        found += [invalid(path, key, complaint) for complaint in names.qualified_name(key)]
        found += [invalid(path, value, complaint) for complaint in names.label_value(value)]
    return found


def validate_label_selector(selector: Mapping[str, Any] | None, path: str) -> list[FieldError]:
    """What is wrong with the LabelSelector at `path`; None and `{}` are fine."""
    if selector is None:
        return []
    found = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        found += _validate_expression(expression, f"{path}.matchExpressions[{number}]")
    return found


def _validate_expression(expression: Mapping[str, Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in _WITH_VALUES:
        if not values:
            found.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in _WITHOUT_VALUES:
        if values:
            complaint = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden(f"{path}.values", complaint))
    else:
        found.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    key = expression.get("key", "")
    found += [invalid(f"{path}.key", key, complaint) for complaint in names.qualified_name(key)]
    for number, value in enumerate(values):
        found += [invalid(f"{path}.values[{number}]", value, complaint) for complaint in names.label_value(value)]
    return found
