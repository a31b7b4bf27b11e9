"""What a kind adds to the generic server: defaults, preparation, validation, what happens after a write.

The server (creates.py, updates.py) asks, for a create: `default`, `prepare_create`, metadata checks with `name`,
`validate`, `warnings`; stores; then `created`. For an update: `default`, `prepare_update` (or `prepare_status` and
friends for a subresource), metadata checks, `validate_update`; then `updated`. What `prepare_*` allocated and the write
then did not keep (an error, a dry run) is given back by the functions put into `Request.undo`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from fakecluster.api import status
from fakecluster.api.go_values import go_value
from fakecluster.api.status import JsonObject

if TYPE_CHECKING:
    from fakecluster.api.resources import Resource
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import Store
    from fakecluster.sim import Choices, Clock


class Absent:
    """The value of a FieldError that has none."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


@attrs.frozen
class FieldError:
    """One cause of a 422: what is wrong (`type`), where (`field`), with which value, and the explanation.

    The words are those of apimachinery's `field.Error.ErrorBody`.
    """

    type: str
    field: str
    value: Any = ABSENT
    detail: str = ""

    @property
    def message(self) -> str:
        """The server's words without the field, e.g. ``Invalid value: 70000: must be between 1 and 65535``."""
        words = WORDS[self.type]
        if self.value is not ABSENT:
            words = f"{words}: {go_value(self.value)}"
        return f"{words}: {self.detail}" if self.detail else words


WORDS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueRequired": "Required value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueNotFound": "Not found",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}


def invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, value, detail)


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, ABSENT, detail)


def not_supported(field: str, value: Any, allowed: Iterable[str]) -> FieldError:
    """`allowed` is listed in the order given (callers sort where the server does)."""
    quoted = ", ".join(f'"{word}"' for word in allowed)
    return FieldError("FieldValueNotSupported", field, value, f"supported values: {quoted}" if quoted else "")


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, ABSENT, detail)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, value)


def not_found(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, value)


def too_long(field: str, max_length: int, unit: str = "bytes") -> FieldError:
    return FieldError("FieldValueTooLong", field, ABSENT, f"may not be more than {max_length} {unit}")


def too_many(field: str, actual: int, max_items: int) -> FieldError:
    noun = "item" if max_items == 1 else "items"
    return FieldError("FieldValueTooMany", field, actual, f"must have at most {max_items} {noun}")


def invalid_object(resource: Resource, name: str, errors: Sequence[FieldError]) -> status.ApiError:
    """The 422 for a list of field errors, in their order."""
    causes = [(error.type, error.field, error.message) for error in errors]
    return status.invalid(resource.kind, resource.group, name, causes)


class Allocators(Protocol):
    """The numbers and addresses that a server hands out; `fork` copies the mutable part."""

    def fork(self) -> Allocators: ...


@attrs.define(slots=True, eq=False)
class Request:
    """One write as a kind's functions see it: who asks for what, the server's state, and where to leave warnings."""

    server: ApiServer
    resource: Resource
    verb: str  # create update patch delete
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    user: str = "admin"
    agent: str = "fakecluster"  # what managedFields call the client
    dry_run: bool = False
    warnings: list[str] = attrs.field(factory=list)
    undo: list[Callable[[], None]] = attrs.field(factory=list)

    def give_back(self) -> None:
        """Undo what a write that is not kept had allocated, the latest first."""
        while self.undo:
            self.undo.pop()()

    @property
    def store(self) -> Store:
        return self.server.store

    @property
    def clock(self) -> Clock:
        return self.server.clock

    @property
    def choices(self) -> Choices:
        return self.server.choices

    @property
    def allocators(self) -> Any:
        """What `kinds_network.new_allocators` made for this server."""
        return self.server.allocators


@attrs.frozen
class Strategy:
    """The behaviour of one kind; every part may be left out. Functions get the working copy, never a stored object."""

    default: Callable[[JsonObject], None] | None = None
    #: mutating admission, (new, old or None, request): the object with what plugins add to its spec, `new` itself left
    #: as it is (what is added on create is nobody's in managedFields); may raise ApiError
    admit: Callable[[JsonObject, JsonObject | None, Request], JsonObject] | None = None
    #: after decoding and defaulting: clear what clients may not set, allocate; may raise ApiError
    prepare_create: Callable[[JsonObject, Request], None] | None = None
    prepare_update: Callable[[JsonObject, JsonObject, Request], None] | None = None
    prepare_status: Callable[[JsonObject, JsonObject], None] | None = None
    validate: Callable[[JsonObject], list[FieldError]] | None = None
    #: None: the new object is validated as if it were created
    validate_update: Callable[[JsonObject, JsonObject], list[FieldError]] | None = None
    #: None: a status update is not validated
    validate_status: Callable[[JsonObject, JsonObject], list[FieldError]] | None = None
    warnings: Callable[[JsonObject, JsonObject | None], list[str]] | None = None
    created: Callable[[JsonObject, Request], None] | None = None
    updated: Callable[[JsonObject, JsonObject, Request], None] | None = None  # (new, old, request)
    deleted: Callable[[JsonObject, Request], None] | None = None
    #: what is wrong with `metadata.name` (the bool: it is only the prefix of a generated name); None: a DNS subdomain
    name: Callable[[str, bool], list[str]] | None = None
    #: the part of the object whose change counts up `metadata.generation`; None: the kind has no generation
    generation: Callable[[JsonObject], object] | None = None
    #: seconds that a delete gives the object before it goes (Pods); None: it goes at once
    grace_period_s: Callable[[JsonObject, int | None], int] | None = None
    #: may refuse a deletion (ApiError)
    before_delete: Callable[[JsonObject, Request], None] | None = None
    #: called once when an object is marked for deletion but stays (finalizers, grace): may change the working copy
    prepare_delete: Callable[[JsonObject, Request], None] | None = None
    #: called when a deletion has marked the object and stored it so
    marked: Callable[[JsonObject, Request], None] | None = None
    #: replaces the generic test "no finalizers left" (Namespaces also wait for spec.finalizers)
    may_go: Callable[[JsonObject], bool] | None = None
    #: what a client sends as status in a create or an update is taken (Nodes, when they register)
    keeps_status: bool = False
    #: paths that nobody manages through `status`, beyond spec
    status_ignores: tuple[tuple[str, ...], ...] = ()
    #: an update checks metadata once more as a create does (most kinds' ValidateUpdate calls Validate)
    revalidates_meta: bool = True
    #: a finished deletion answers with the object instead of a Status (`ReturnDeletedObject`)
    returns_deleted: bool = False
    #: a PUT on a missing object creates it (Service, Endpoints, Lease, ...)
    create_on_update: bool = False
    #: an update without resourceVersion is refused (Lease-like and custom resources)
    needs_resource_version: bool = False
    #: writes through other subresources than status: (new, old, request) -> None, validation included (may raise)
    subresources: dict[str, Callable[[JsonObject, JsonObject, Request], None]] = attrs.field(factory=dict)
