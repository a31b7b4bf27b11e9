"""The elements of ipsets as text: addresses, networks, ports, ICMP types; ranges expand to many.

An element is a tuple of integers: addresses, prefix lengths, protocols and ports in the order of the type's name.
"""

from __future__ import annotations

import re
from itertools import product

from fakecluster.errors import Unsupported
from fakecluster.rules.ipset_types import (
    EXPANSION_LIMIT,
    ICMP_NAMES,
    ICMPV6_NAMES,
    PORTED,
    Element,
    SetOptions,
    SetSyntaxError,
)
from fakecluster.rules.iptables.numbers import (
    PROTOCOL_NAMES,
    PROTOCOLS,
    SERVICES,
    address,
    address_text,
    mask_of,
    number,
)


def elements(options: SetOptions, text: str, *, testing: bool = False) -> list[Element]:
    """What an element text means for a set: several elements for ranges and networks."""
    kind = options.type
    texts = text.split(",")
    if len(texts) != kind.dimension:
        problem = "is missing from" if len(texts) < kind.dimension else "is unexpected in"
        words = f"Syntax error: {'Second' if len(texts) < 2 else 'Third'} element {problem} {text}."
        raise SetSyntaxError(words, token=text)
    parts: list[list[Element]] = []
    count = 1
    for part, each in zip(kind.parts, texts, strict=True):
        parts.append(_part(part, each, options))
        count *= len(parts[-1])
        if count > EXPANSION_LIMIT:
            raise Unsupported(f"ipset: more than {EXPANSION_LIMIT} elements in one command", token=text)
    found = [sum(combination, ()) for combination in product(*parts)]
    if testing and len(found) > 1:
        raise SetSyntaxError("Syntax error: plain IP address must be supplied: " + text, token=text)
    return found


def _part(part: str, text: str, options: SetOptions) -> list[Element]:
    family = options.family
    if part == "ip":
        return [(value,) for value in _hosts(text, options)]
    if part == "net":
        return _networks(text, family)
    if part == "bareport":
        low, _, high = text.rpartition(":")[2].partition("-")
        return [(port,) for port in range(port_number(low), port_number(high or low) + 1)]
    return _ports(text, family)


def _resolve(text: str, family: int) -> int:
    value = address(text.strip("[]"), family)
    if value is None:
        words = f"Syntax error: cannot parse {text}: resolving to IPv{family} address failed"
        raise SetSyntaxError(words, token=text)
    return value


def address_span(text: str, family: int) -> tuple[int, int]:
    """The first and last address of a host, a network or a range."""
    bits = 32 if family == 4 else 128
    if "/" in text:
        host, _, length = text.partition("/")
        prefix = number(length.lstrip("0") or "0", 0, bits)
        if prefix is None:
            raise SetSyntaxError(f"Syntax error: '{length}' is out of range 0-{bits}", token=text)
        first = _resolve(host, family) & mask_of(prefix, family)
        return first, first | ((1 << (bits - prefix)) - 1)
    low, dash, high = text.partition("-")
    first = _resolve(low, family)
    last = _resolve(high, family) if dash else first
    return min(first, last), max(first, last)


def _hosts(text: str, options: SetOptions) -> list[int]:
    family = options.family
    if family == 6 and ("/" in text or "-" in text) and not text.endswith("/128"):
        raise SetSyntaxError(f"Syntax error: plain IP address must be supplied: {text}", token=text)
    first, last = address_span(text, family)
    if options.netmask is not None:
        mask = mask_of(options.netmask, family)
        step = mask_of(32 if family == 4 else 128, family) - mask + 1
        first, last = first & mask, last & mask
        return list(range(first, last + 1, step))[: EXPANSION_LIMIT + 1]
    if last - first >= EXPANSION_LIMIT:
        raise Unsupported(f"ipset: more than {EXPANSION_LIMIT} addresses in one command", token=text)
    return list(range(first, last + 1))


def _networks(text: str, family: int) -> list[Element]:
    bits = 32 if family == 4 else 128
    if "-" in text:
        return _covering(*address_span(text, family), bits)
    host, slash, length = text.partition("/")
    value = _resolve(host, family)
    prefix = number(length.lstrip("0") or "0", 0, bits) if slash else bits
    if prefix is None:
        raise SetSyntaxError(f"Syntax error: '{length}' is out of range 0-{bits}", token=text)
    return [(value & mask_of(prefix, family), prefix)]


def _covering(first: int, last: int, bits: int) -> list[Element]:
    """The networks that make up a range of addresses."""
    found: list[Element] = []
    while first <= last:
        size = first & -first or 1 << bits
        while size > last - first + 1:
            size >>= 1
        found.append((first, bits - size.bit_length() + 1))
        first += size
    return found


def port_number(text: str) -> int:
    value = number(text, 0, 0xFFFF)
    if value is None:
        value = SERVICES.get(text)
    if value is None:
        raise SetSyntaxError(f"Syntax error: '{text}' is invalid as number", token=text)
    return value


def _ports(text: str, family: int) -> list[Element]:
    """`80`, `udp:53`, `tcp:1-3`, `icmp:echo-request`, `47:0` as (protocol, port or type and code)."""
    name, colon, rest = text.partition(":")
    if not colon:
        name, rest = "tcp", text
    protocol = number(name, 0, 255)
    protocol = {"icmpv6": 58}.get(name, PROTOCOLS.get(name)) if protocol is None else protocol
    if protocol is None:
        raise SetSyntaxError(f"Syntax error: cannot parse '{name}' as a protocol", token=text)
    if protocol in PORTED:
        low, _, high = rest.partition("-")
        first, last = port_number(low), port_number(high or low)
        return [(protocol, port) for port in range(first, last + 1)]
    if protocol in (1, 58):
        return [(protocol, _icmp(rest, ICMP_NAMES if protocol == 1 else ICMPV6_NAMES, text))]
    if rest != "0":
        words = f"Syntax error: Protocol {name} can be used with pseudo port value 0 only."
        raise SetSyntaxError(words, token=text)
    return [(protocol, 0)]


def _icmp(text: str, names: dict[str, int], token: str) -> int:
    if text in names:
        return names[text]
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if not found or int(found[1]) > 255 or int(found[2]) > 255:
        raise SetSyntaxError(f"Syntax error: cannot parse {text} as an (IPv4) ICMP type", token=token)
    return int(found[1]) << 8 | int(found[2])


def element_text(options: SetOptions, element: Element) -> str:
    """An element as `ipset save` prints it."""
    values, words = list(element), []
    bits = 32 if options.family == 4 else 128
    for part in options.type.parts:
        if part == "ip":
            words.append(address_text(values.pop(0), options.family))
        elif part == "net":
            network, prefix = values.pop(0), values.pop(0)
            words.append(address_text(network, options.family) + (f"/{prefix}" if prefix != bits else ""))
        elif part == "bareport":
            words.append(str(values.pop(0)))
        else:
            words.append(_port_text(values.pop(0), values.pop(0)))
    return ",".join(words)


def _port_text(protocol: int, port: int) -> str:
    name = PROTOCOL_NAMES.get(protocol, str(protocol))
    if protocol in (1, 58):
        names = ICMP_NAMES if protocol == 1 else ICMPV6_NAMES
        known = next((word for word, value in names.items() if value == port and word not in ("ping", "pong")), "")
        return f"{name}:{known or f'{port >> 8}/{port & 255}'}"
    return f"{name}:{port}"
