"""Small checks that many fields share, in the server's words (apimachinery pkg/api/validation)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fakecluster.api import names
from fakecluster.api.strategy import FieldError, duplicate, invalid, not_supported, required

Json = dict[str, Any]
Errors = list[FieldError]
#: Complaints about a text.
Check = Callable[[str], list[str]]

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
MAX_INT32 = 2**31 - 1
_LEADING_ZERO = re.compile(r"(^|\.)0\d")


def named(field: str, text: str, check: Check) -> Errors:
    """The complaints of `check` about `text`."""
    return [invalid(field, text, complaint) for complaint in check(text)]


def required_name(field: str, text: str, check: Check) -> Errors:
    return named(field, text, check) if text else [required(field)]


def nonnegative(field: str, value: int | None) -> Errors:
    return [invalid(field, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


def between(field: str, value: int | None, low: int, high: int) -> Errors:
    if value is None or low <= value <= high:
        return []
    return [invalid(field, value, f"must be between {low} and {high}, inclusive")]


def one_of(field: str, value: Any, allowed: Iterable[str]) -> Errors:
    """A word out of a closed list; a missing one is required. `allowed` keeps its order in the message."""
    if not value:
        return [required(field)]
    words = tuple(allowed)
    return [] if value in words else [not_supported(field, value, words)]


def port_or_name(field: str, port: int | str) -> Errors:
    """A port number, or the name of a container's port."""
    complaints = names.port_number(port) if isinstance(port, int) else names.port_name(port)
    return [invalid(field, port, complaint) for complaint in complaints]


def unique(field: str, value: str, seen: set[str]) -> Errors:
    """Duplicate when `value` was seen before; remembers it."""
    if value in seen:
        return [duplicate(field, value)]
    seen.add(value)
    return []


def ip_address(field: str, text: str) -> Errors:
    """An address of either family (KEP-4858 legacy rules: no leading zeros, no IPv4 in IPv6 clothes)."""
    return [invalid(field, text, complaint) for complaint in ip_complaints(text)]


def ip_complaints(text: str) -> list[str]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        if _LEADING_ZERO.search(text) and re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", text):
            return ["must not have leading 0s"]
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if "%" in text:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if address.version == 6 and address.ipv4_mapped is not None:
        return ["must not be an IPv4-mapped IPv6 address"]
    return []


def family(text: str) -> int:
    """4, 6, or 0 for a text that is no address."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0


def labels(field: str, values: Mapping[str, str] | None) -> Errors:
    """The keys and values of a label map, key by key in alphabetical order."""
    errors: Errors = []
    for key in sorted(values or {}):
        errors += named(field, key, names.qualified_name)
        errors += named(field, (values or {})[key], names.label_value)
    return errors


def no_backsteps(field: str, path: str) -> Errors:
    return [invalid(field, path, "must not contain '..'")] if ".." in path.split("/") else []


def descending_path(field: str, path: str) -> Errors:
    """A relative path that stays below where it starts."""
    absolute = [invalid(field, path, "must be a relative path")] if path.startswith("/") else []
    return absolute + no_backsteps(field, path)


def file_path(field: str, path: str) -> Errors:
    """A descending path whose first part does not look like the kubelet's own `..data`."""
    errors = descending_path(field, path)
    if path.startswith("..") and not path.startswith("../"):
        errors.append(invalid(field, path, "must not start with '..'"))
    return errors


def file_mode(field: str, mode: int | None) -> Errors:
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")]


def label_selector(field: str, selector: Mapping[str, Any] | None) -> Errors:
    """A LabelSelector: labels and expressions (apimachinery pkg/apis/meta/v1/validation)."""
    if not selector:
        return []
    errors = labels(f"{field}.matchLabels", selector.get("matchLabels"))
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        errors += _expression(f"{field}.matchExpressions[{number}]", expression)
    return errors


def _expression(field: str, expression: Mapping[str, Any]) -> Errors:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    errors: Errors = []
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(FieldError("FieldValueForbidden", f"{field}.values", detail=why))
    else:
        errors.append(invalid(f"{field}.operator", operator, "not a valid selector operator"))
    errors += named(f"{field}.key", expression.get("key", ""), names.qualified_name)
    for number, value in enumerate(values):
        errors += named(f"{field}.values[{number}]", value, names.label_value)
    return errors
