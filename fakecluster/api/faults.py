"""An API server in trouble: requests that it refuses for a while, and answers that come late.

    Failing(503, verbs={"update"}, user="system:node:a")     half of them: probability=Fraction(1, 2)

A refusal made here is an `ApiFault`: components take it as transient and try again, as client-go does, while a 404 or a
409 that the server means is told apart. Sources: apimachinery pkg/api/errors, apiserver pkg/server/filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.api import status
from fakecluster.api.status import ApiError

if TYPE_CHECKING:
    from fakecluster.api.resources import Resource
    from fakecluster.api.server import ApiServer

#: What a request can be, and those that change something.
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))
#: How long the server lets an ordinary request take (--request-timeout).
REQUEST_TIMEOUT_S = 60.0
RETRY_AFTER_S = 1


class ApiFault(ApiError):
    """A refusal that says nothing about the request: the same one may work a moment later."""


def _conflict(resource: Resource, name: str) -> ApiError:
    changed = "the object has been modified; please apply your changes to the latest version and try again"
    return status.conflict(resource.plural, resource.group, name, changed)


def _too_many(resource: Resource, name: str) -> ApiError:
    message = "Too many requests, please try again later."
    error = status.failure(429, "TooManyRequests", message, {"retryAfterSeconds": RETRY_AFTER_S})
    error.headers = (("Retry-After", str(RETRY_AFTER_S)),)
    return error


def _unavailable(resource: Resource, name: str) -> ApiError:
    return status.failure(503, "ServiceUnavailable", "apiserver is shutting down", {"retryAfterSeconds": RETRY_AFTER_S})


#: HTTP code -> the error that the server answers with
ERRORS: dict[int, Callable[[Resource, str], ApiError]] = {
    409: _conflict,
    410: lambda resource, name: status.failure(410, "Expired", "The resourceVersion for the provided list is too old."),
    429: _too_many,
    500: lambda resource, name: status.internal_error("etcdserver: request timed out"),
    503: _unavailable,
    504: lambda resource, name: timeout(),
}


def timeout() -> ApiError:
    message = "Timeout: request did not complete within the allotted timeout"
    return status.failure(504, "Timeout", message, {"retryAfterSeconds": RETRY_AFTER_S})


def _frozen(verbs: Iterable[str]) -> frozenset[str]:
    return frozenset((verbs,) if isinstance(verbs, str) else verbs)


@attrs.frozen
class Failing:
    """Requests that are answered with `code`: of some verbs, one resource and one user ("": any), with a probability.

    Raises ValueError for codes and verbs that there are not.
    """

    code: int = attrs.field()
    verbs: frozenset[str] = attrs.field(default=WRITES, converter=_frozen)
    resource: str = ""
    user: str = ""
    probability: Fraction = Fraction(1)

    @code.validator
    def _known(self, attribute: object, value: int) -> None:
        if value not in ERRORS:
            raise ValueError(f"code={value}: expected one of {', '.join(map(str, ERRORS))}")

    @verbs.validator
    def _verbs(self, attribute: object, value: frozenset[str]) -> None:
        if unknown := value - set(VERBS):
            raise ValueError(f"no verb {', '.join(sorted(unknown))}; there are {', '.join(VERBS)}")

    def concerns(self, verb: str, resource: Resource, user: str) -> bool:
        named = self.resource in ("", resource.key, resource.plural)
        return named and verb in self.verbs and self.user in ("", user)


def disturb(server: ApiServer, verb: str, resource: Resource, name: str, user: str) -> None:
    """Let a request fail if it is to. Raises `ApiFault`."""
    for failing in server.failing:
        if not failing.concerns(verb, resource, user):
            continue
        chance = failing.probability
        weights = (chance.denominator - chance.numerator, chance.numerator)
        if chance == 1 or server.choices.pick(weights, f"{failing.code} for {verb} {resource.plural}"):
            error = ERRORS[failing.code](resource, name)
            raise ApiFault(error.status, headers=error.headers)


def wait(server: ApiServer, timeout_s: float) -> None:
    """Let the virtual time pass that a slow server takes. Raises `ApiFault` (504) when that is too long."""
    if server.slow_s:
        server.clock.advance(min(server.slow_s, timeout_s))
        if server.slow_s > timeout_s:
            error = timeout()
            raise ApiFault(error.status, headers=error.headers)
