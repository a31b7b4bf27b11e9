"""Expressions to functions that read a packet. Source: the nft_*.c file named at each reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.kernel.hooks import Hook
from fakecluster.kernel.nftables import hashes
from fakecluster.kernel.nftables.program import Getter, Packet, Value
from fakecluster.kernel.nftables.read_conntrack import ct
from fakecluster.kernel.nftables.read_fib import fib, rt, socket
from fakecluster.kernel.nftables.read_payload import exthdr, payload, tcp_option
from fakecluster.kernel.nftables.sets import SetState
from fakecluster.kernel.packet import NO_USER
from fakecluster.rules.nft.expressions import (
    AnonymousSet,
    Bitwise,
    Concat,
    Const,
    Ct,
    Element,
    Expression,
    Exthdr,
    Fib,
    Hash,
    MapLookup,
    Meta,
    Numgen,
    Payload,
    Rt,
    SetRef,
    Shift,
    Socket,
    TcpOption,
    Verdict,
    datatypes_of,
    width,
)  # fmt: skip
from fakecluster.rules.nft.objects import SetSpec

_NFPROTO = {4: 2, 6: 10}
_ETHER = {4: 0x0800, 6: 0x86DD}
_PACKET_TYPES = {"unicast": 0, "broadcast": 1, "multicast": 2, "otherhost": 3}
_INPUT_HOOKS = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.POSTROUTING))
_OUTPUT_HOOKS = frozenset((Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING))


def getter(expression: Expression, key: object) -> Getter:
    """A function of the packet that gives the expression's value. `key` names the rule's place for its state."""
    return _COMPILERS[type(expression)](expression, key)


def _const(expression: Const, _key: object) -> Getter:
    raw = expression.raw
    return lambda packet: raw


def _verdict(expression: Verdict, _key: object) -> Getter:
    return lambda packet: expression


def _payload(expression: Payload, _key: object) -> Getter:
    return payload(expression)


def _concat(expression: Concat, key: object) -> Getter:
    parts = [getter(part, (key, index)) for index, part in enumerate(expression.parts)]

    def read(packet: Packet) -> Value:
        values = tuple([part(packet) for part in parts])
        return None if None in values else values

    return read


def _bitwise(expression: Bitwise, key: object) -> Getter:
    left, mask, xor = getter(expression.left, key), expression.mask, expression.xor

    def read(packet: Packet) -> Value:
        value = left(packet)
        return None if value is None else value & mask ^ xor

    return read


def _shift(expression: Shift, key: object) -> Getter:
    left, count = getter(expression.left, key), expression.count
    full = (1 << (width(expression.left) or 32)) - 1
    if expression.operator == ">>":
        return lambda packet: None if (value := left(packet)) is None else value >> count
    return lambda packet: None if (value := left(packet)) is None else value << count & full


# --- meta (nft_meta.c)


def _iifname(packet: Packet) -> str:
    return packet.skb.iif if packet.ctx.hook in _INPUT_HOOKS else ""


def _oifname(packet: Packet) -> str:
    return packet.skb.oif if packet.ctx.hook in _OUTPUT_HOOKS else ""


def _nonzero(name: str) -> str | int:
    return name or 0


def _uid(packet: Packet) -> int | None:
    skb = packet.skb
    return None if skb.uid == NO_USER else skb.uid


#: ARPHRD_LOOPBACK, ARPHRD_ETHER
_LOOPBACK, _ETHERNET = 772, 1


def _iiftype(packet: Packet) -> int | None:
    name = _iifname(packet)
    return (_LOOPBACK if name == "lo" else _ETHERNET) if name else None


def _nftrace(packet: Packet) -> int:
    if packet.skb.tracer is None:
        return 0
    packet.skb.trail = None  # which those who follow need not be
    return 1


_META: dict[str, Callable[[Packet], Value]] = {
    "length": lambda packet: len(packet.skb.data),
    "protocol": lambda packet: _ETHER[packet.skb.family],
    "priority": lambda packet: packet.skb.priority,
    "mark": lambda packet: packet.skb.mark,
    "iif": lambda packet: _nonzero(_iifname(packet)),
    "oif": lambda packet: _nonzero(_oifname(packet)),
    "iifname": _iifname,
    "oifname": _oifname,
    "iiftype": _iiftype,
    "skuid": _uid,
    "skgid": _uid,
    "nftrace": _nftrace,
    "pkttype": lambda packet: _PACKET_TYPES[packet.skb.pkttype],
    "nfproto": lambda packet: _NFPROTO[packet.skb.family],
    "l4proto": lambda packet: packet.skb.proto,
    "cpu": lambda packet: 0,
    "iifgroup": lambda packet: 0,
    "oifgroup": lambda packet: 0,
}


def _meta(expression: Meta, _key: object) -> Getter:
    read = _META.get(expression.key)
    if read is None:
        raise Unsupported(f"meta {expression.key}", token=expression.key)
    return read


# --- generators and hashes (nft_numgen.c, nft_hash.c)


#: Numbers that a random one is drawn from, each a way that a packet can go.
MOST_NUMBERS = 65_536


def _numgen(expression: Numgen, key: object) -> Getter:
    modulus, offset = expression.modulus, expression.offset
    if expression.mode == "random":
        if modulus > MOST_NUMBERS:
            raise Unsupported(f"numgen random mod {modulus}: a choice among more than {MOST_NUMBERS} numbers")
        weights, why = (1,) * modulus, f"numgen random mod {modulus}"
        return lambda packet: packet.ruleset.netns.pick(packet.skb, weights, why) + offset

    def read(packet: Packet) -> Value:
        state = packet.ruleset.state(packet.table, key, lambda: [modulus - 1])
        state[0] = (state[0] + 1) % modulus
        return state[0] + offset

    return read


def _hash(expression: Hash, key: object) -> Getter:
    modulus, offset = expression.modulus, expression.offset
    if expression.of is None:
        return lambda packet: hashes.symmetric(packet, modulus) + offset
    of, seed, sizes = getter(expression.of, key), expression.seed, hashes.sizes(expression.of)

    def read(packet: Packet) -> Value:
        value = of(packet)
        if value is None:
            return None
        number = seed
        if number is None:
            number = packet.ruleset.state(packet.table, (key, "seed"), lambda: [_seed(packet)])[0]
        return hashes.scaled(hashes.jhash(hashes.registers(value, sizes), number), modulus) + offset

    return read


def _seed(packet: Packet) -> int:
    return packet.ruleset.netns.choices.draw(1 << 32, "jhash seed")


# --- sets and maps (nft_lookup.c)

_ANONYMOUS = object()


def anonymous_state(source: AnonymousSet, key: Expression) -> SetState:
    """The contents of a ``{ ... }`` ready to be looked into."""
    datatypes = datatypes_of(key)
    bits = tuple(width(part) for part in (key.parts if isinstance(key, Concat) else (key,)))
    flags = frozenset(("interval",)) if source.interval else frozenset[str]()
    state = SetState(SetSpec("", datatypes, flags=flags, key_bits=bits), 0, _ANONYMOUS)
    for element in source.elements:
        if element.key is None:
            state.catch_all = element
        else:
            state.put(state.key_of(element.key), element)
    return state


def finder(source: SetRef | AnonymousSet, key: Expression, place: object) -> Callable[[Packet], Element | bool | None]:
    """A function that gives the element a packet hits; None without one, False when the key cannot be read."""
    read = getter(key, place)
    if isinstance(source, AnonymousSet):
        state = anonymous_state(source, key)

        def find_anonymous(packet: Packet) -> Element | bool | None:
            value = read(packet)
            if value is None:
                return False
            found = state._find(value)
            return state.catch_all if found is None else state.elements[found]

        return find_anonymous
    name = source.name

    def find(packet: Packet) -> Element | bool | None:
        value = read(packet)
        if value is None:
            return False
        return packet.ruleset.hit(packet, name, value)

    return find


def data_value(expression: Expression | None) -> Value:
    """The value of a map element's answer."""
    if isinstance(expression, Concat):
        return tuple(part.raw for part in expression.parts if isinstance(part, Const))
    if isinstance(expression, Const):
        return expression.raw
    return expression


def _lookup(expression: MapLookup, key: object) -> Getter:
    find = finder(expression.source, expression.key, key)

    def read(packet: Packet) -> Value:
        element = find(packet)
        if not isinstance(element, Element):
            return None
        return data_value(element.data)

    return read


_COMPILERS: dict[type, Callable[[Any, object], Getter]] = {
    Const: _const,
    Verdict: _verdict,
    Payload: _payload,
    Meta: _meta,
    Ct: lambda expression, key: ct(expression),
    Fib: lambda expression, key: fib(expression),
    Socket: lambda expression, key: socket(expression),
    Rt: lambda expression, key: rt(expression),
    TcpOption: lambda expression, key: tcp_option(expression),
    Exthdr: lambda expression, key: exthdr(expression),
    Numgen: _numgen,
    Hash: _hash,
    Concat: _concat,
    Bitwise: _bitwise,
    Shift: _shift,
    MapLookup: _lookup,
}
#: Selectors by their class and key, for the page that says what is modelled.
MODELLED_META = tuple(_META)
