"""What may be asked of a Pod that runs: the options of its log, and which container is meant."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.rest.pod_streams import container_of, log_options, unix_ns
from fakecluster.api.status import ApiError


def refused(query: dict[str, list[str]]) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        log_options(query, "p")
    return error.value.code, error.value.message


def test_options_are_read_with_their_units() -> None:
    options = log_options({"follow": ["true"], "sinceSeconds": ["5"], "timestamps": ["0"], "limitBytes": ["9"]}, "p")
    assert (options.follow, options.since_s, options.timestamps, options.limit_bytes) == (True, 5, False, 9)


def test_times_have_up_to_nine_digits_of_a_second() -> None:
    assert unix_ns("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert unix_ns("1970-01-01T01:00:00.000000001+01:00") == 1


def test_two_beginnings_are_too_many() -> None:
    query = {"sinceSeconds": ["5"], "sinceTime": ["2026-01-01T00:00:00Z"]}
    words = 'PodLogOptions "p" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified'
    assert refused(query) == (422, words)


def test_a_time_that_is_none_is_refused() -> None:
    words = 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'
    assert refused({"sinceTime": ["x"]}) == (400, words)
    assert refused({"sinceTime": ["2026-13-01T00:00:00Z"]})[0] == 400


def test_lines_from_the_end_are_not_of_one_stream() -> None:
    words = "tailLines: Forbidden: `tailLines` and specific `stream` are mutually exclusive for now"
    assert refused({"tailLines": ["5"], "stream": ["Stdout"]}) == (422, f'PodLogOptions "p" is invalid: {words}')


def test_the_only_container_is_meant_and_others_are_named() -> None:
    one: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    assert container_of(one, "") == "c"
    several = {**one, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}}
    assert container_of(several, "i") == "i"
    with pytest.raises(ApiError, match=r"must be specified for pod p, choose one of: \[i a b\]"):
        container_of(several, "")
