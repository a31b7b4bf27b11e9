"""The networking kinds: Service, Endpoints, EndpointSlice, Namespace, Node, NetworkPolicy, Ingress and their neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from fakecluster.api.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {}


class NoAllocators:
    """A server that hands out nothing."""

    def fork(self) -> NoAllocators:
        return self


def new_allocators(service_cidrs: Sequence[str]) -> NoAllocators:
    """The allocators of a new server."""
    return NoAllocators()
