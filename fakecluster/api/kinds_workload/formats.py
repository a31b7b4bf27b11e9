"""String and number formats that a custom resource's schema may name (apiextensions-apiserver, supported formats)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

_INT32, _INT64 = 1 << 31, 1 << 63
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_UUID_VERSION = r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
_HOST = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*"
)
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5,7}")
_DURATION = re.compile(
    r"[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h|d|w))+|0|\d+ ?(ns|us|ms|s|m|h|d|w|hours?|minutes?|seconds?|days?)"
)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)")


def _accepts(parse: Callable[[Any], object]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            parse(value)
        except (ValueError, TypeError, binascii.Error):
            return False
        return True

    return check


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _date_time(value: Any) -> object:
    if not _DATE_TIME.fullmatch(value):
        raise ValueError(value)
    return datetime.fromisoformat(value.upper())


#: format -> whether a value has it; formats that are not here are not checked
FORMATS: dict[str, Callable[[Any], bool]] = {
    "int32": lambda value: -_INT32 <= value < _INT32,
    "int64": lambda value: -_INT64 <= value < _INT64,
    "date": _accepts(date.fromisoformat),
    "date-time": _accepts(_date_time),
    "datetime": _accepts(_date_time),
    "duration": _matches(_DURATION),
    "byte": _accepts(lambda value: base64.b64decode(value, validate=True)),
    "email": _matches(_MAIL),
    "hostname": _matches(_HOST),
    "ipv4": _accepts(ipaddress.IPv4Address),
    "ipv6": _accepts(ipaddress.IPv6Address),
    "cidr": _accepts(lambda value: ipaddress.ip_network(value, strict=False)),
    "mac": _matches(_MAC),
    "uuid": _matches(_UUID),
    "uuid3": _matches(re.compile(_UUID_VERSION % ("3", "[0-9a-f]"))),
    "uuid4": _matches(re.compile(_UUID_VERSION % ("4", "[89ab]"))),
    "uuid5": _matches(re.compile(_UUID_VERSION % ("5", "[89ab]"))),
}
