"""Targets that translate addresses: DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP (extensions/libxt_NAT.c)."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from fakecluster.rules.iptables.numbers import SERVICES, U16, address, address_text, mask_text, number
from fakecluster.rules.iptables.option import Extension, Given, Option, Place, host_mask
from fakecluster.rules.iptables.problem import RuleProblem

#: TCP, UDP, SCTP, DCCP, and ICMP, whose id counts as a port
PORT_PROTOCOLS = frozenset((6, 17, 132, 33, 1))


@attrs.frozen
class NatTarget:
    """DNAT, SNAT, MASQUERADE and REDIRECT: address and port range (None: unchanged or found by the kernel), flags.

    `base_port` is the start of a shifted port range (`:7000-7010/5000`).
    """

    family: int
    addresses: tuple[int, int] | None = None
    ports: tuple[int, int] | None = None
    base_port: int | None = None
    random: bool = False
    random_fully: bool = False
    persistent: bool = False


@attrs.frozen
class NetmapTarget:
    """NETMAP: the network part is replaced."""

    family: int
    network: int
    mask: int


def _port(text: str, lowest: int = 0) -> int:
    value = number(text, lowest, U16)
    if value is None:
        value = SERVICES.get(text)
    if value is None:
        raise RuleProblem(f"Port `{text}' not valid", token=text)
    return value


def _ports(text: str, place: Place) -> tuple[tuple[int, int], int | None]:
    """`80`, `80-90`, `7000-7010/5000` as ((low, high), base port)."""
    if place.protocol not in PORT_PROTOCOLS:
        raise RuleProblem("Need TCP, UDP, SCTP or DCCP with port specification", token=text)
    found = re.match(r"\d+", text)
    if not found:
        return (_port(text), _port(text)), None
    low, rest = number(found[0], 0, U16), text[found.end() :]
    if low is None:
        raise RuleProblem(f"Port `{text}' not valid", token=text)
    if not rest:
        return (low, low), None
    if rest[0] != "-":
        problem = "Invalid port:port syntax - use dash" if rest[0] == ":" else f"Garbage after port value: `{rest}'"
        raise RuleProblem(problem, token=text)
    ends, slash, base = rest[1:].partition("/")
    high = number(ends, 0, U16)
    if high is None:
        raise RuleProblem(f"Port `{rest[1:]}' not valid", token=text)
    if high < low:
        raise RuleProblem(f"Port range `{rest[1:]}' funky", token=text)
    return (low, high), _port(base, 1) if slash else None


def _brackets(text: str, family: int) -> tuple[str, str | None]:
    """The address part and the port part (None: no colon)."""
    if "[" in text:
        inside, closed, after = text[text.index("[") + 1 :].partition("]")
        if not closed or family == 4:
            raise RuleProblem("Invalid address format", token=text)
        return inside, after[1:] if after.startswith(":") else None
    if text.count(":") == 1:
        before, _, after = text.partition(":")
        return before, after
    return text, None


def _to(text: str, place: Place) -> NatTarget:
    addresses, colon_ports = _brackets(text, place.family)
    ports, base = _ports(colon_ports, place) if colon_ports is not None else (None, None)
    if not addresses and colon_ports is not None:
        return NatTarget(place.family, None, ports, base)
    low, dash, high = addresses.partition("-")
    ends = []
    for part in (low, high) if dash else (low,):
        value = address(part, place.family)
        if value is None:
            raise RuleProblem(f'Bad IP address "{part}"', token=text)
        ends.append(value)
    return NatTarget(place.family, (ends[0], ends[-1]), ports, base)


def _to_ports(text: str, place: Place) -> NatTarget:
    ports, base = _ports(text, place)
    return NatTarget(place.family, None, ports, base)


def _nat(option: str, *, shifts: bool = False) -> Callable[[Given], NatTarget]:
    def build(given: Given) -> NatTarget:
        base = given.value(option, NatTarget(given.family))
        if base.base_port is not None and not shifts:
            if option != "to-source":
                raise RuleProblem("Shifted portmap ranges not supported with this kernel")
            base = attrs.evolve(base, base_port=0)
        return attrs.evolve(
            base, random=given.has("random"), random_fully=given.has("random-fully"), persistent=given.has("persistent")
        )

    return build


def span_text(value: NatTarget) -> str:
    """Addresses and ports: `1.2.3.4-1.2.3.9:80-90`."""
    text = ""
    if value.addresses:
        ends = "-".join(address_text(end, value.family) for end in dict.fromkeys(value.addresses))
        text = f"[{ends}]" if value.family == 6 and value.ports else ends
    if value.ports:
        text += f":{value.ports[0]}" + (f"-{value.ports[1]}" if value.ports[1] != value.ports[0] else "")
        text += f"/{value.base_port}" if value.base_port is not None else ""
    return text


def _nat_text(option: str) -> Callable[[NatTarget], str]:
    def text(value: NatTarget) -> str:
        span = span_text(value)
        span = span.removeprefix(":") if option == "to-ports" else span
        shown = f" --{option} {span}" if span else ""
        shown += " --random" if value.random else ""
        shown += " --random-fully" if value.random_fully else ""
        return shown + (" --persistent" if value.persistent else "")

    return text


def _netmap(given: Given) -> NetmapTarget:
    value, mask = given.value("to", (0, 0))
    return NetmapTarget(given.family, value & mask, mask)


def _netmap_text(value: NetmapTarget) -> str:
    return f" --to {address_text(value.network, value.family)}/{mask_text(value.mask, value.family)}"


_FLAGS = (Option("random"), Option("random-fully"), Option("persistent"))
_DNAT_OPTIONS = (Option("to-destination", _to, required=True), _FLAGS[0], _FLAGS[2])
_SNAT_OPTIONS = (Option("to-source", _to, required=True), *_FLAGS)
_PORT_OPTIONS = (Option("to-ports", _to_ports), *_FLAGS[:2])
NAT_TARGETS = (
    Extension(
        "DNAT", "a new destination", _DNAT_OPTIONS, _nat("to-destination", shifts=True), _nat_text("to-destination"),
        NatTarget,
    ),
    Extension("SNAT", "a new source", _SNAT_OPTIONS, _nat("to-source"), _nat_text("to-source"), NatTarget),
    Extension(
        "MASQUERADE", "the egress interface's address as source", _PORT_OPTIONS, _nat("to-ports"),
        _nat_text("to-ports"), NatTarget,
    ),
    Extension(
        "REDIRECT", "the incoming interface's address as destination", (_PORT_OPTIONS[0], _FLAGS[0]),
        _nat("to-ports"), _nat_text("to-ports"), NatTarget,
    ),
    Extension(
        "NETMAP", "another network, same host part", (Option("to", host_mask, required=True),), _netmap,
        _netmap_text, NetmapTarget,
    ),
)  # fmt: skip
