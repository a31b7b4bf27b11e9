"""The API server's answers that are not objects: `Status`, and the error that carries one.

Reasons, codes and wording follow apimachinery's `pkg/api/errors/errors.go` as the recordings show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fakecluster.errors import FakeclusterError

JsonObject = dict[str, Any]


class ApiError(FakeclusterError):
    """A request was refused; `status` is the Status object that the real server answers with."""

    def __init__(self, status: JsonObject, *, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.status = status
        self.headers = tuple(headers)
        super().__init__(status.get("message", ""))

    @property
    def code(self) -> int:
        """The HTTP status code."""
        code: int = self.status["code"]
        return code

    @property
    def reason(self) -> str:
        """The machine-readable word, such as ``NotFound``; empty where the server gives none."""
        reason: str = self.status.get("reason", "")
        return reason

    @property
    def message(self) -> str:
        """The sentence that `kubectl` prints."""
        message: str = self.status.get("message", "")
        return message


def failure(code: int, reason: str, message: str, details: JsonObject | None = None) -> ApiError:
    """Any failure; `details` None leaves the key out (the server does so for plain bad requests)."""
    status: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    if reason:
        status["reason"] = reason
    if details is not None:
        status["details"] = details
    status["code"] = code
    return ApiError(status)


def details_of(group: str, kind: str, name: str) -> JsonObject:
    """`details` naming an object: `kind` is the plural resource in most errors, the kind in Invalid."""
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}


def qualified(plural: str, group: str) -> str:
    """``deployments.apps``, ``pods``."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, group: str, name: str) -> ApiError:
    return failure(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', details_of(group, plural, name))


def already_exists(plural: str, group: str, name: str) -> ApiError:
    message = f'{qualified(plural, group)} "{name}" already exists'
    return failure(409, "AlreadyExists", message, details_of(group, plural, name))


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return failure(409, "Conflict", message, details_of(group, plural, name))


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    subject = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    message = f"{subject} is forbidden: {why}" if plural else f"forbidden: {why}"
    return failure(403, "Forbidden", message, details_of(group, plural, name))


def bad_request(message: str) -> ApiError:
    return failure(400, "BadRequest", message)


def internal_error(message: str) -> ApiError:
    words = f"Internal error occurred: {message}"
    return failure(500, "InternalError", words, {"causes": [{"message": message}]})


def no_such_resource() -> ApiError:
    return failure(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return failure(405, "MethodNotAllowed", message, {})


def invalid(kind: str, group: str, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """422 from (cause type, field, message) triples; one cause is quoted bare, several in brackets."""
    texts = list(dict.fromkeys(f"{field}: {message}" for _, field, message in causes))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = details_of(group, kind, name)
    if causes:
        details["causes"] = [{"reason": type_, "message": message, "field": field} for type_, field, message in causes]
    message = f'{qualified(kind, group)} "{name}" is invalid' + (f": {joined}" if causes else "")
    return failure(422, "Invalid", message, details)


def success(details: JsonObject) -> JsonObject:
    """The Status that a finished deletion answers with."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
