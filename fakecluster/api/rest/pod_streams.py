"""What may be asked of a running Pod: which container, and which part of its log.

Sources: kubernetes pkg/registry/core/pod/strategy.go (validateContainer), pkg/registry/core/pod/rest/log.go,
pkg/apis/core/validation (ValidatePodLogOptions).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import attrs

from fakecluster.api import status, strategy
from fakecluster.api.rest.options import Query, boolean, first, integer
from fakecluster.api.status import JsonObject
from fakecluster.api.strategy import FieldError, invalid

STREAMS = ("All", "Stderr", "Stdout")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.(\d+))?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
NS_PER_S = 1_000_000_000


@attrs.frozen
class LogOptions:
    """`PodLogOptions`: times in nanoseconds since 1970, `tail` and `limit_bytes` None when all is wanted."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_s: int | None = None
    since_time_ns: int | None = None
    tail: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


def log_options(query: Query, pod: str) -> LogOptions:
    """The options of a query. Raises ApiError: 400 for what cannot be read, 422 for values that make no sense."""
    since_time = first(query, "sinceTime")
    found = LogOptions(
        first(query, "container"),
        bool(boolean(query, "follow")),
        bool(boolean(query, "previous")),
        bool(boolean(query, "timestamps")),
        integer(query, "sinceSeconds"),
        unix_ns(since_time) if since_time else None,
        integer(query, "tailLines"),
        integer(query, "limitBytes"),
        first(query, "stream") or "All",
    )
    errors = list(_errors(found))
    if errors:
        raise status.invalid("PodLogOptions", "", pod, [(error.type, error.field, error.message) for error in errors])
    return found


def _errors(options: LogOptions) -> list[FieldError]:
    errors = []
    if options.tail is not None and options.tail < 0:
        errors.append(invalid("tailLines", options.tail, "must be greater than or equal to 0"))
    if options.limit_bytes is not None and options.limit_bytes < 1:
        errors.append(invalid("limitBytes", options.limit_bytes, "must be greater than 0"))
    if options.since_s is not None and options.since_time_ns is not None:
        errors.append(strategy.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif options.since_s is not None and options.since_s < 1:
        errors.append(invalid("sinceSeconds", options.since_s, "must be greater than 0"))
    if options.stream not in STREAMS:
        errors.append(strategy.not_supported("stream", options.stream, list(STREAMS)))
    elif options.stream != "All" and options.tail is not None:
        words = "`tailLines` and specific `stream` are mutually exclusive for now"
        errors.append(strategy.forbidden("tailLines", words))
    return errors


def unix_ns(text: str) -> int:
    """RFC 3339 as nanoseconds since 1970. Raises ApiError (400)."""
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(re.sub(r"\.\d+", "", text.upper()))
    except ValueError:
        words = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
        raise status.bad_request(words) from None
    whole_s = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole_s * NS_PER_S + int((match[1] or "0")[:9].ljust(9, "0"))


def container_of(pod: JsonObject, wanted: str) -> str:
    """The container that is meant: the only one when none is named. Raises ApiError (400)."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    groups = ("initContainers", "containers", "ephemeralContainers")
    names = [one["name"] for group in groups for one in spec.get(group) or ()]
    if wanted:
        if wanted not in names:
            raise status.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(spec["containers"]) == 1:
        only: str = spec["containers"][0]["name"]
        return only
    words = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    raise status.bad_request(words)
