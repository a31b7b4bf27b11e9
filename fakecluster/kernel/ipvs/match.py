"""The iptables match ipvs (xt_ipvs.c): the packet was sent on by IPVS; tests on the entry that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import REPLY, direction
from fakecluster.kernel.hooks import HookContext
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.service import MASQUERADE, ROUTE, TUNNEL
from fakecluster.kernel.packet import Skb
from fakecluster.rules.iptables.match_packet import IpvsMatch
from fakecluster.rules.iptables.numbers import address, bits, mask_of

if TYPE_CHECKING:
    from fakecluster.kernel.xtables.code import Building, Test

METHODS = {"GATE": ROUTE, "IPIP": TUNNEL, "MASQ": MASQUERADE}
_EntryTest = Callable[[Connection, Skb], bool]


def ipvs(value: IpvsMatch, building: Building) -> Test:
    """Compile the match: `--ipvs` alone asks only whether IPVS has dealt with the packet."""
    inverted = [negated for name, _, negated in value.tests if name == "ipvs"]
    tests = [(_TESTS[name](text), negated) for name, text, negated in value.tests if name != "ipvs"]
    if not tests:
        return lambda skb, _ctx: skb.ipvs_property != inverted[0]

    def test(skb: Skb, ctx: HookContext) -> bool:
        connection = ctx.netns.ipvs.connection_of(skb)
        return connection is not None and all(each(connection, skb) != negated for each, negated in tests)

    return test


def _protocol(text: str) -> _EntryTest:
    number = int(text)
    return lambda connection, _skb: connection.protocol == number


def _address(text: str) -> _EntryTest:
    host, slash, length = text.partition("/")
    family = 6 if ":" in host else 4
    wanted = address(host, family) or 0
    mask = mask_of(bits(family), family)
    if slash:
        mask = mask_of(int(length), family) if length.isdecimal() else address(length, family) or 0
    return lambda connection, _skb: connection.family == family and not (connection.virtual[0] ^ wanted) & mask


def _port(text: str) -> _EntryTest:
    number = int(text)
    return lambda connection, _skb: connection.virtual[1] == number


def _control_port(text: str) -> _EntryTest:
    number = int(text)
    return lambda connection, _skb: connection.control is not None and connection.control.virtual[1] == number


def _direction(text: str) -> _EntryTest:
    reply = text.upper() == "REPLY"
    return lambda _connection, skb: skb.ct is not None and (direction(skb.ctinfo) == REPLY) == reply


def _method(text: str) -> _EntryTest:
    method = METHODS[text.upper()]
    return lambda connection, _skb: connection.method == method


_TESTS: dict[str, Callable[[str], _EntryTest]] = {
    "vproto": _protocol,
    "vaddr": _address,
    "vport": _port,
    "vportctl": _control_port,
    "vdir": _direction,
    "vmethod": _method,
}
