"""What a handle needs from the cluster that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.client import Client
    from fakecluster.cni import Runtime
    from fakecluster.fabric.network import Network
    from fakecluster.handles.history import History
    from fakecluster.handles.host import Host
    from fakecluster.handles.packets import PacketTrace
    from fakecluster.trace import Event, Hop

JsonObject = dict[str, Any]


class World(Protocol):
    """The cluster, seen by its handles."""

    @property
    def clock(self) -> Clock: ...

    @property
    def choices(self) -> Choices: ...

    @property
    def network(self) -> Network: ...

    @property
    def runtime(self) -> Runtime: ...

    @property
    def seen(self) -> Client:
        """The objects, for looking on: it answers also while the API server fails."""
        ...

    @property
    def history(self) -> History:
        """What tests did to this cluster, as lines of a script."""
        ...

    @property
    def traces(self) -> list[PacketTrace]: ...

    @property
    def takes_turns(self) -> bool:
        """Whether the proxy mode leaves nothing to chance: endpoints take turns (ipvs, userspace)."""
        ...

    @property
    def guard(self) -> AbstractContextManager[Any]:
        """Held while packets move: a lock where other threads use the cluster too."""
        ...

    @property
    def relays(self) -> bool:
        """Whether kube-proxy itself answers connections and passes them on (userspace mode)."""
        ...

    def advance(self, seconds: float) -> None: ...

    def said(self, hops: Sequence[Hop]) -> tuple[Event, ...]:
        """What kube-proxies on a packet's way logged that matters to it."""
        ...

    def host_of(self, namespace: str) -> Host:
        """The Pod, Node or Outside whose network namespace this is."""
        ...

    def twin(self, choices: Choices) -> World:
        """A copy whose packets go their own way, for trying something out."""
        ...
