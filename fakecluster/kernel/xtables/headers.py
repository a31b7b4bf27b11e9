"""Tests of the header part of a rule: addresses, interfaces, protocol, fragments (ip_packet_match())."""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.kernel.hooks import INPUT, OUTPUT, PREROUTING, HookContext
from fakecluster.kernel.packet import Skb
from fakecluster.kernel.xtables.code import Test
from fakecluster.rules.iptables.rule import Interface, Network, RuleParts


def header_tests(parts: RuleParts) -> Iterator[Test]:
    """The tests of a rule's own options, cheapest first."""
    if parts.protocol:
        yield _protocol(parts.protocol.number, inverted=parts.protocol.inverted)
    if parts.dst:
        yield _destination(parts.dst)
    if parts.src:
        yield _source(parts.src)
    if parts.iif:
        yield _in(parts.iif)
    if parts.oif:
        yield _out(parts.oif)
    if parts.fragment:
        yield _later_fragment if parts.fragment == "-f" else _no_later_fragment


def _protocol(number: int, *, inverted: bool) -> Test:
    if inverted:
        return lambda skb, _ctx: skb.proto != number
    return lambda skb, _ctx: skb.proto == number


def _source(network: Network) -> Test:
    address, mask, inverted = network
    if inverted:
        return lambda skb, _ctx: skb.src & mask != address
    return lambda skb, _ctx: skb.src & mask == address


def _destination(network: Network) -> Test:
    address, mask, inverted = network
    if inverted:
        return lambda skb, _ctx: skb.dst & mask != address
    return lambda skb, _ctx: skb.dst & mask == address


def _named(interface: Interface, name: str) -> bool:
    wanted, inverted = interface
    if wanted.endswith("+"):
        return name.startswith(wanted[:-1]) != inverted
    return (name == wanted) != inverted


def _in(interface: Interface) -> Test:
    return lambda skb, ctx: _named(interface, in_name(skb, ctx))


def _out(interface: Interface) -> Test:
    return lambda skb, ctx: _named(interface, out_name(skb, ctx))


def in_name(skb: Skb, ctx: HookContext) -> str:
    """The incoming interface as this hook sees it."""
    return "" if ctx.hook is OUTPUT else skb.iif


def out_name(skb: Skb, ctx: HookContext) -> str:
    """The outgoing interface as this hook sees it."""
    return "" if ctx.hook in (PREROUTING, INPUT) else skb.oif


def _later_fragment(skb: Skb, _ctx: HookContext) -> bool:
    return bool(skb.frag_offset)


def _no_later_fragment(skb: Skb, _ctx: HookContext) -> bool:
    return not skb.frag_offset
