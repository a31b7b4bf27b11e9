"""Validation of what workloads share: Pod template, selector, counts and percentages (pkg/apis/apps/validation)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fakecluster.api.kinds_workload.field_checks import IMMUTABLE, Errors, nonnegative
from fakecluster.api.kinds_workload.internal_types import by_key, printed_selector
from fakecluster.api.kinds_workload.pod_annotations import validate_annotations
from fakecluster.api.kinds_workload.pod_validation import validate_pod_spec
from fakecluster.api.label_rules import validate_label_selector, validate_labels
from fakecluster.api.selectors import NOTHING, Selector, SelectorError, from_label_selector
from fakecluster.api.strategy import forbidden, invalid, not_supported, required

Json = dict[str, Any]

NO_MATCH = "`selector` does not match template `labels`"
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def validate_template(template: Json, field: str) -> Errors:
    """A Pod template by itself."""
    metadata = template.get("metadata") or {}
    errors = validate_labels(metadata.get("labels"), f"{field}.labels")
    annotations = metadata.get("annotations") or {}
    errors += validate_annotations(annotations, template["spec"], f"{field}.annotations")
    errors += validate_pod_spec(template["spec"], f"{field}.spec")
    if template["spec"].get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        errors.append(forbidden(f"{field}.spec.ephemeralContainers", why))
    return errors


def validate_selector(
    selector: Json | None, kind: str, *, field: str = "spec.selector", problem: str = "invalid label selector"
) -> tuple[Selector | None, Errors]:
    """The selector of a workload (none: nothing matches), and what is wrong with it: it may not select everything.

    The selector is None where it cannot be understood; `problem` is what the error says then.
    """
    if selector is None:
        return NOTHING, [required(field)]
    errors = validate_label_selector(selector, field)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid(field, printed_selector(selector), f"empty selector is invalid for {kind}"))
    try:
        return from_label_selector(selector), errors
    except SelectorError:
        return None, [*errors, invalid(field, printed_selector(selector), problem)]


def matches_template(selector: Selector, template: Json, field: str = "spec.template") -> Errors:
    """A workload whose selector misses its own Pods would make new ones for ever."""
    labels = (template.get("metadata") or {}).get("labels")
    if selector.matches(labels or {}):
        return []
    return [invalid(f"{field}.metadata.labels", labels and by_key(labels), NO_MATCH)]


def always_restarted(template: Json, kind: str, field: str = "spec.template") -> Errors:
    """Pods of these workloads run until somebody removes them."""
    spec = template["spec"]
    errors: Errors = []
    if spec.get("restartPolicy") != "Always":
        errors.append(not_supported(f"{field}.spec.restartPolicy", spec.get("restartPolicy", ""), ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden(f"{field}.spec.activeDeadlineSeconds", why))
    return errors


def as_it_is(value: Any) -> Any:
    return value


def immutable(field: str, new: Any, old: Any, printed: Callable[[Any], Any] = as_it_is) -> Errors:
    """The complaint about a value that changed, with the new one as `printed` shows it."""
    return [] if new == old else [invalid(field, None if new is None else printed(new), IMMUTABLE)]


def count_or_percent(field: str, value: int | str | None) -> Errors:
    if isinstance(value, str):
        return [] if re.fullmatch("[0-9]+%", value) else [invalid(field, value, _PERCENT_RULE)]
    return nonnegative(field, value)


def at_most_all(field: str, value: int | str | None) -> Errors:
    if isinstance(value, str) and re.fullmatch("[0-9]+%", value) and int(value[:-1]) > 100:
        return [invalid(field, value, "must not be greater than 100%")]
    return []


def is_zero(value: int | str | None) -> bool:
    """Whether a count or a percentage is nothing."""
    if isinstance(value, str):
        digits = value.removesuffix("%")
        return not digits.isdigit() or int(digits) == 0
    return not value
