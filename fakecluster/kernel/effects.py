"""What a namespace did with a packet: values for whoever moves packets between namespaces, and for tests.

Every packet makes one, so that they are named tuples: several times quicker to make than frozen attrs classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fakecluster.trace import Hop, Recalled

if TYPE_CHECKING:
    from fakecluster.kernel.sockets import Socket


class Transmit(NamedTuple):
    """A packet leaves by an interface towards a neighbour; `next_hop` is the neighbour's address as an integer."""

    iface: str
    packet: bytes
    next_hop: int
    family: int = 4
    mark: int = 0
    generated: bool = False
    hop: Hop | Recalled | None = None


class Arp(NamedTuple):
    """The next hop is not in the neighbour table: the host asks for it, the packet waits and is lost."""

    iface: str
    address: int
    family: int = 4
    hop: Hop | Recalled | None = None


class Deliver(NamedTuple):
    """A packet reached this host's transport layer, as it is after INPUT; `socket` took it (None: nobody listens)."""

    packet: bytes
    iface: str
    mark: int = 0
    generated: bool = False
    socket: Socket | None = None
    hop: Hop | Recalled | None = None


class Looped(NamedTuple):
    """A packet was sent to this host itself, by lo; its reception follows as another walk."""

    packet: bytes
    hop: Hop | Recalled | None = None


class Drop(NamedTuple):
    """A packet ended here: `where` is a hook or a stage of the stack, `reason` says why."""

    where: str
    reason: str
    packet: bytes = b""
    hop: Hop | Recalled | None = None


class Log(NamedTuple):
    """NFLOG, LOG or nft log: the packet as it was at that rule; `group` None is the kernel log."""

    group: int | None
    prefix: str
    hook: str
    iif: str
    oif: str
    mark: int
    packet: bytes


Effect = Transmit | Arp | Deliver | Looped | Drop | Log


class SendError(OSError):
    """A local send failed; `name` is the errno's name (EPERM, EINVAL, ENETUNREACH, EMSGSIZE...)."""

    TEXTS = {
        "EPERM": "Operation not permitted",
        "EINVAL": "Invalid argument",
        "ENETUNREACH": "Network is unreachable",
        "EHOSTUNREACH": "No route to host",
        "EACCES": "Permission denied",
        "EMSGSIZE": "Message too long",
        "ECONNREFUSED": "Connection refused",
        "EADDRINUSE": "Address already in use",
        "EADDRNOTAVAIL": "Cannot assign requested address",
        "ETIMEDOUT": "Connection timed out",
        "ECONNRESET": "Connection reset by peer",
    }

    def __init__(self, name: str) -> None:
        self.name = name
        self.effects: list[Effect] = []
        super().__init__(self.TEXTS.get(name, name))
