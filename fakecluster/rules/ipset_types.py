"""Set types, what a set is created with, and the words that ipset has for what is wrong with a command."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from fakecluster.errors import RuleSyntaxError
from fakecluster.rules.iptables.numbers import (
    address_text,
)

#: Elements that one command may add by ranges and networks (a /8 of hash:ip would be 16 million).
EXPANSION_LIMIT = 1 << 16


DEFAULT_HASHSIZE, DEFAULT_MAXELEM, DEFAULT_LIST_SIZE = 1024, 65536, 8


PORTED = frozenset((6, 17, 132, 136))


ICMP_NAMES = {
    "echo-reply": 0x0000, "pong": 0x0000, "network-unreachable": 0x0300, "host-unreachable": 0x0301,
    "protocol-unreachable": 0x0302, "port-unreachable": 0x0303, "fragmentation-needed": 0x0304,
    "source-route-failed": 0x0305, "network-unknown": 0x0306, "host-unknown": 0x0307, "network-prohibited": 0x0309,
    "host-prohibited": 0x030A, "TOS-network-unreachable": 0x030B, "TOS-host-unreachable": 0x030C,
    "communication-prohibited": 0x030D, "host-precedence-violation": 0x030E, "precedence-cutoff": 0x030F,
    "source-quench": 0x0400, "network-redirect": 0x0500, "host-redirect": 0x0501, "echo-request": 0x0800,
    "ping": 0x0800, "router-advertisement": 0x0900, "router-solicitation": 0x0A00, "ttl-zero-during-transit": 0x0B00,
    "ttl-zero-during-reassembly": 0x0B01, "ip-header-bad": 0x0C00, "required-option-missing": 0x0C01,
    "timestamp-request": 0x0D00, "timestamp-reply": 0x0E00, "address-mask-request": 0x1100,
    "address-mask-reply": 0x1200,
}  # fmt: skip


ICMPV6_NAMES = {
    "no-route": 0x0100, "communication-prohibited": 0x0101, "address-unreachable": 0x0103, "port-unreachable": 0x0104,
    "packet-too-big": 0x0200, "ttl-zero-during-transit": 0x0300, "ttl-zero-during-reassembly": 0x0301,
    "bad-header": 0x0400, "unknown-header-type": 0x0401, "unknown-option": 0x0402, "echo-request": 0x8000,
    "ping": 0x8000, "echo-reply": 0x8100, "pong": 0x8100, "router-solicitation": 0x8500,
    "router-advertisement": 0x8600, "neighbour-solicitation": 0x8700, "neigbour-solicitation": 0x8700,
    "neighbour-advertisement": 0x8800, "neigbour-advertisement": 0x8800, "redirect": 0x8900,
}  # fmt: skip


Element = tuple[int, ...]


@attrs.frozen
class SetType:
    """A set type: its parts in order ("ip", "net", "port", "bareport", "set"), and its revision in `ipset list`."""

    name: str
    parts: tuple[str, ...]
    revision: int

    @property
    def dimension(self) -> int:
        return len(self.parts)

    @property
    def is_hash(self) -> bool:
        return self.name.startswith("hash:")


SET_TYPES = {
    each.name: each
    for each in (
        SetType("hash:ip", ("ip",), 6),
        SetType("hash:net", ("net",), 7),
        SetType("hash:ip,port", ("ip", "port"), 7),
        SetType("hash:ip,port,ip", ("ip", "port", "ip"), 6),
        SetType("hash:ip,port,net", ("ip", "port", "net"), 8),
        SetType("hash:net,port", ("net", "port"), 8),
        SetType("bitmap:port", ("bareport",), 3),
        SetType("bitmap:ip", ("ip",), 3),
        SetType("list:set", ("set",), 3),
    )
}


#: types that ipset has and this model refuses when they are created
REFUSED_TYPES = frozenset((
    "hash:mac", "hash:ip,mac", "hash:ip,mark", "hash:net,net", "hash:net,iface", "hash:net,port,net", "bitmap:ip,mac",
))  # fmt: skip


@attrs.frozen
class SetOptions:
    """What a set was created with. `range` are the first and last value of a bitmap."""

    type: SetType
    family: int = 4
    hashsize: int = DEFAULT_HASHSIZE
    maxelem: int = DEFAULT_MAXELEM
    size: int = DEFAULT_LIST_SIZE
    range: tuple[int, int] = (0, 0)
    netmask: int | None = None
    timeout: int | None = None
    counters: bool = False
    comment: bool = False
    bucketsize: int = 12

    def __str__(self) -> str:
        return "".join(self._words())

    def _words(self) -> Iterator[str]:
        yield self.type.name
        if self.type.is_hash:
            yield f" family {'inet' if self.family == 4 else 'inet6'} hashsize {self.hashsize} maxelem {self.maxelem}"
        elif self.type.name == "list:set":
            yield f" size {self.size}"
        elif self.type.name == "bitmap:port":
            yield f" range {self.range[0]}-{self.range[1]}"
        else:
            yield f" range {address_text(self.range[0], 4)}-{address_text(self.range[1], 4)}"
        if self.netmask is not None:
            yield f" netmask {self.netmask}"
        if self.timeout is not None:
            yield f" timeout {self.timeout}"
        yield " counters" if self.counters else ""
        yield " comment" if self.comment else ""
        if self.type.is_hash:
            yield f" bucketsize {self.bucketsize}"


class SetSyntaxError(RuleSyntaxError):
    """ipset's parser refuses; `usage` adds the hint to ask for help (exit status 2, else 1)."""

    def __init__(self, reason: str, *, token: str = "", usage: bool = False) -> None:
        super().__init__(reason, token=token)
        self.usage = usage
