"""Who is asking: users by bearer token, the anonymous user, impersonation."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from fakecluster.api import status

AUTHENTICATED, UNAUTHENTICATED, MASTERS = "system:authenticated", "system:unauthenticated", "system:masters"
SERVICE_ACCOUNT = "system:serviceaccount:"


@attrs.frozen
class User:
    """A user with the groups that their credentials name."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    @property
    def all_groups(self) -> tuple[str, ...]:
        """With the groups that everybody (or every service account) has."""
        extra: tuple[str, ...] = ()
        if self.name.startswith(SERVICE_ACCOUNT):
            namespace = self.name.split(":")[2]
            extra = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        mark = UNAUTHENTICATED if self.name == "system:anonymous" else AUTHENTICATED
        return tuple(dict.fromkeys((*self.groups, *extra, mark)))


ANONYMOUS = User("system:anonymous")
#: Users that a new server knows; a server may be given more (`ApiServer.users`).
ADMIN = User("admin", (MASTERS,))


def authenticate(headers: Mapping[str, str], tokens: Mapping[str, User], given: User) -> User:
    """The user of a bearer token, or `given` (what the transport says) when there is none; 401 for a wrong token."""
    authorization = headers.get("authorization", "")
    if not authorization:
        return given
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        user = tokens.get(token.strip())
        if user is None:
            raise status.failure(401, "Unauthorized", "Unauthorized")
        return user
    return given


def impersonated(headers: Mapping[str, str], groups: tuple[str, ...]) -> User | None:
    """The user that the headers ask to act as; None when they do not."""
    name = headers.get("impersonate-user", "")
    if not name:
        return None
    return User(name, groups)
