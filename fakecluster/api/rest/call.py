"""One HTTP request on its way through the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.api.rest.negotiation import Accepted
from fakecluster.api.rest.options import Query
from fakecluster.api.rest.path import Target
from fakecluster.api.rest.users import User

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer


@attrs.define
class Call:
    """A request: its target, who asks, headers (names in lower case), body; warnings gather for the answer."""

    server: ApiServer
    method: str
    target: Target
    query: Query
    headers: dict[str, str]
    body: bytes
    user: User
    accepted: Accepted = attrs.field(factory=Accepted)
    warnings: list[str] = attrs.field(factory=list)

    @property
    def agent(self) -> str:
        """What managedFields call this client: its User-Agent up to the first slash."""
        agent = self.headers.get("user-agent", "").partition("/")[0]
        return "".join(char for char in agent if char.isprintable())[:128] or "unknown"
