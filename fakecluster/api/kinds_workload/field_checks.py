"""Small checks that many fields share, in the server's words (apimachinery pkg/api/validation)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fakecluster.api import names
from fakecluster.api.kinds_network.ip_text import legacy_ip, parse_ip
from fakecluster.api.strategy import FieldError, duplicate, invalid, not_supported, required

Json = dict[str, Any]
Errors = list[FieldError]
#: Complaints about a text.
Check = Callable[[str], list[str]]

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
MAX_INT32 = 2**31 - 1


def every_container(spec: Json, field: str) -> Iterator[tuple[Json, str]]:
    """Each container of a Pod with its path, in the order in which the server goes through them."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(spec.get(kind) or ()):
            yield container, f"{field}.{kind}[{number}]"


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
    """An address of either family in one of the older fields."""
    return named(field, text, legacy_ip)


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


def family(text: str) -> int:
    """4, 6, or 0 for a text that is no address."""
    address = parse_ip(text)
    return address.version if address is not None else 0
