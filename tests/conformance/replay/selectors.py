"""Area `selectors`: selector texts and objects -> canonical text, requirements, matches, errors; checks of names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.api import label_rules, names, selectors
from replay.result import Difference, Recording

Row = dict[str, Any]


def replay(recording: Recording) -> Iterator[Difference]:
    for number, row in enumerate(recording.data["rows"]):
        given, expected = row["input"], row["output"]
        found = OPERATIONS[given["op"]](given)
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key) != found.get(key) and expected.get(key) != "{{any}}":
                shown = given.get("selector", given.get("labelSelector", given.get("set", given.get("value"))))
                text = f"{shown!r}: {key} is {found.get(key)!r}, not {expected.get(key)!r}"
                yield Difference(f"{number} {given['op']}", text)


def _label_parse(given: Row) -> Row:
    try:
        selector = selectors.parse(given["selector"])
    except selectors.SelectorError as error:
        return {"error": str(error)}
    found = [{"key": r.key, "operator": r.operator, "values": list(r.values)} for r in selector.requirements]
    return {**_matched(selector, given), "requirements": found}


def _matched(selector: selectors.Selector, given: Row) -> Row:
    return {
        "canonical": str(selector),
        "empty": selector.empty,
        "error": None,
        "matches": [selector.matches(labels) for labels in given["labelSets"]],
    }


def _field_parse(given: Row) -> Row:
    try:
        selector = selectors.parse_fields(given["selector"])
    except selectors.SelectorError as error:
        return {"error": str(error)}
    return {
        "canonical": str(selector),
        "empty": selector.empty,
        "error": None,
        "matches": [selector.matches(fields) for fields in given["fieldSets"]],
        "requirements": [{"field": r.field, "operator": r.operator, "value": r.value} for r in selector.requirements],
    }


def _label_selector(given: Row) -> Row:
    given_selector = given["labelSelector"]
    found: Row = {"formatted": selectors.format_label_selector(given_selector)}
    if given_selector is not None:
        complaints = label_rules.validate_label_selector(given_selector, "spec.selector")
        found["validation"] = [f"{complaint.field}: {complaint.message}" for complaint in complaints]
    try:
        return {**found, **_matched(selectors.from_label_selector(given_selector), given)}
    except selectors.SelectorError as error:
        return {**found, "error": str(error)}


def _set_selector(given: Row) -> Row:
    labels = given["set"]
    found: Row = {"error": None, "string": selectors.format_set(labels), "selector": str(selectors.from_set(labels))}
    try:
        return {**found, "validated": str(selectors.from_checked_set(labels))}
    except selectors.SelectorError as error:
        return {**found, "error": str(error)}


def _names(given: Row) -> Row:
    return {name: check(given["value"]) for name, check in names.CHECKS.items()}


OPERATIONS: dict[str, Callable[[Row], Row]] = {
    "label-parse": _label_parse,
    "field-parse": _field_parse,
    "labelselector": _label_selector,
    "setselector": _set_selector,
    "names": _names,
}
