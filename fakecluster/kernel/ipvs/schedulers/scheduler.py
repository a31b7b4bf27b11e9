"""What every scheduler is: it chooses a destination for a packet that opens a connection, and keeps its own state.

State refers to destinations by their place in the list or by their endpoint, so that a fork can take it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.service import Destination, Service
    from fakecluster.kernel.netns import Netns


@attrs.frozen
class Request:
    """What schedulers look at: the client, and the address that the packet was sent to."""

    netns: Netns
    family: int
    source: int
    source_port: int
    target: int


class Scheduler:
    """The base of all: one instance per service, made when the service gets the scheduler (init_service)."""

    __slots__ = ("service",)

    def __init__(self, service: Service, now_ns: int) -> None:
        self.service = service

    def choose(self, request: Request) -> Destination | None:
        """The destination for a new connection; None when there is none."""
        raise NotImplementedError

    def added(self) -> None:
        """A destination now stands at the head of the list."""

    def removed(self, index: int) -> None:
        """The destination that stood at `index` is gone."""

    def changed(self) -> None:
        """Settings of a destination have changed."""

    def fork(self, service: Service) -> Scheduler:
        copy = type(self).__new__(type(self))
        for kind in type(self).__mro__:
            for name in getattr(kind, "__slots__", ()):
                setattr(copy, name, getattr(self, name))
        copy.service = service
        return copy
