"""Network interfaces and their addresses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

import attrs


@attrs.frozen
class InterfaceAddress:
    """One address on an interface; `address` and `network` are integers. IPv4 keeps primaries before secondaries."""

    family: int
    address: int
    prefix: int
    scope: str = "global"
    secondary: bool = False
    peer: int | None = None
    label: str = ""

    @property
    def network(self) -> int:
        bits = 32 if self.family == 4 else 128
        shift = bits - self.prefix
        return (self.peer if self.peer is not None else self.address) >> shift << shift

    def covers(self, address: int) -> bool:
        shift = (32 if self.family == 4 else 128) - self.prefix
        return (self.peer if self.peer is not None else self.address) >> shift == address >> shift


def _tell(device: Interface, _field: attrs.Attribute[Any], value: object) -> object:
    if device.on_change is not None:
        device.on_change()
    return value


@attrs.define(eq=False, on_setattr=_tell)
class Interface:
    """A device: `kind` is loopback, ether, dummy, bridge, veth...; a `noarp` one resolves no neighbours.

    `on_change` is told when a field is about to change.
    """

    name: str
    index: int
    mac: bytes = b""
    mtu: int = 1500
    kind: str = "ether"
    up: bool = True
    noarp: bool = False
    addresses: list[InterfaceAddress] = attrs.field(factory=list)
    master: str = ""  # the bridge that it is a port of
    group: str = "default"
    on_change: Callable[[], None] | None = attrs.field(default=None, repr=False, on_setattr=attrs.setters.NO_OP)

    @property
    def is_loopback(self) -> bool:
        return self.kind == "loopback"

    def fork(self) -> Interface:
        addresses = self.addresses.copy()
        return Interface(
            self.name,
            self.index,
            self.mac,
            self.mtu,
            self.kind,
            self.up,
            self.noarp,
            addresses,
            self.master,
            self.group,
        )


def parse_address(text: str) -> IPv4Interface | IPv6Interface:
    """An address with or without a prefix length, as `ip address add` takes it. Raises ValueError."""
    return ip_interface(text)
