"""nft's matches on header fields as conditions of iptables."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.rules.iptables.numbers import PROTOCOL_NAMES
from fakecluster.rules.nft.expressions import Const, Payload
from fakecluster.rules.nft.print_expression import expression
from fakecluster.rules.nft.statements import Match
from fakecluster.rules.translate.condition import (
    ALWAYS,
    NEVER,
    Spans,
    Ways,
    each,
    joined,
    no,
    one,
    sign,
    singles,
    spans,
)
from fakecluster.rules.translate.to_ipset import SIDES, IpSets, prefixes
from fakecluster.rules.translate.words import IP, address_word, span_word

ICMP_TYPE = {4: "-m icmp {}--icmp-type", 6: "-m icmp6 {}--icmpv6-type"}
#: multiport takes so many ports; a range counts as two.
MULTIPORT_LIMIT = 15
TCP_FLAGS = {1: "FIN", 2: "SYN", 4: "RST", 8: "PSH", 16: "ACK", 32: "URG"}


def payload(value: Match, family: int, sets: IpSets) -> Ways:
    left = value.left
    assert isinstance(left, Payload)
    if left.protocol in ("ip", "ip6") and left.protocol != IP[family]:
        return NEVER
    if left.protocol == {4: "icmpv6", 6: "icmp"}[family]:
        raise no(f"{left.protocol} in IPv{family}")
    if value.operator in ("any", "none") or (left.protocol, left.field) == ("tcp", "flags"):
        return tcp_flags(value)
    found, inverted = spans(value.operator, value.right, left)
    if left.field in ("sport", "dport"):
        return _ports(left, found, inverted, family, sets)
    if left.field in ("saddr", "daddr") and left.protocol == IP[family]:
        return _addresses(left, found, inverted, family, sets)
    writer = _FIELDS.get((left.protocol, left.field))
    if writer is None:
        raise no(expression(left))
    return writer(found, inverted, family)


def _ports(left: Payload, found: Spans, inverted: bool, family: int, sets: IpSets) -> Ways:
    if not found:
        return NEVER
    side = left.field
    if len(found) == 1:
        word = sign(f"--{side} {span_word(*found[0], ':')}", inverted=inverted)
        return one(f"-m {{protocol}} {word}")
    if sum(1 if low == high else 2 for low, high in found) <= MULTIPORT_LIMIT:
        listed = ",".join(span_word(*span, ":") for span in found)
        return one(f"-m multiport {sign(f'--{side}s {listed}', inverted=inverted)}")
    ways = one(f"-m set {sign(f'--match-set {sets.ports(found)} {SIDES[side]}', inverted=inverted)}")
    return joined(ways, first_fragment(family)) if inverted else ways


def _addresses(left: Payload, found: Spans, inverted: bool, family: int, sets: IpSets) -> Ways:
    if not found:
        return NEVER
    side = SIDES[left.field]
    if len(found) > 1:
        name = sets.addresses(found, family)
        return one(f"-m set {sign(f'--match-set {name} {side}', inverted=inverted)}")
    covering = prefixes(*found[0], left.bits)
    if len(covering) == 1:
        option = f"-{side[0]}"
        address, length = covering[0]
        return one(sign(f"{option} {address_word(address, family)}/{length}", inverted=inverted), slot=option)
    span = "-".join(address_word(end, family) for end in found[0])
    return one(f"-m iprange {sign(f'--{side}-range {span}', inverted=inverted)}")


def _lifetime(found: Spans, inverted: bool, family: int) -> Ways:
    extension = {4: "ttl", 6: "hl"}[family]
    ways = []
    for low, high in found:
        if low == high:
            words = [sign(f"--{extension}-eq {low}", inverted=inverted)]
        elif inverted and low and high < 0xFF:
            raise no("a range of lifetimes left out")
        elif inverted:
            words = [f"--{extension}-gt {high}" if not low else f"--{extension}-lt {low}"]
        else:
            words = [f"--{extension}-gt {low - 1}"] * bool(low) + [f"--{extension}-lt {high + 1}"] * (high < 0xFF)
        ways.append(one(" ".join(f"-m {extension} {word}" for word in words), reads="lifetime"))
    return each(ways, inverted=inverted, what="lifetimes")


def _dscp(found: Spans, inverted: bool, _family: int) -> Ways:
    words = [sign(f"--dscp {number:#x}", inverted=inverted) for number in singles(found, "DSCP values")]
    return each([one(f"-m dscp {word}", reads="dscp") for word in words], inverted=inverted, what="DSCP values")


def _icmp_type(found: Spans, inverted: bool, family: int) -> Ways:
    kinds = singles(found, "ICMP types")
    if 0xFF in kinds:
        raise no("ICMP type 255, which is any of iptables")
    form = ICMP_TYPE[family].format("! " if inverted else "")
    slot = "icmp type" if not inverted else ""
    return each([one(f"{form} {kind}", slot=slot, value=kind) for kind in kinds], inverted=inverted, what="ICMP types")


def _icmp_code(found: Spans, inverted: bool, _family: int) -> Ways:
    if inverted:
        raise no("an ICMP code left out")
    codes = singles(found, "ICMP codes")
    return each([one("{icmp code}", slot="icmp code", value=code) for code in codes], inverted=False, what="ICMP codes")


def _payload_length(found: Spans, inverted: bool, family: int) -> Ways:
    header = {4: 0, 6: 40}[family]
    return length([(low + header, high + header) for low, high in found], inverted, family)


def _mac(found: Spans, inverted: bool, _family: int) -> Ways:
    words = [
        sign(f"--mac-source {number.to_bytes(6).hex(':')}", inverted=inverted) for number in singles(found, "MACs")
    ]
    return each([one(f"-m mac {word}") for word in words], inverted=inverted, what="MACs")


def tcp_flags(value: Match, mask: int = 0) -> Ways:
    """Flags as a whole, or those under `mask`; iptables sees six of the eight."""
    if not isinstance(value.right, Const) or not isinstance(value.right.raw, int):
        raise no("sets of TCP flags")
    wanted = value.right.raw
    if value.operator in ("any", "none"):
        inverted = value.operator == "any"  # iptables-nft says it so, too
        return one(f"-m tcp {sign(f'--tcp-flags {_flag_names(wanted)} NONE', inverted=inverted)}")
    if not mask:
        raise no("all eight TCP flags at once")
    if wanted & ~mask:
        return NEVER if value.operator == "==" else ALWAYS
    shown = f"--tcp-flags {_flag_names(mask)} {_flag_names(wanted)}"
    return one(f"-m tcp {sign(shown, inverted=value.operator == '!=')}")


def _flag_names(flags: int) -> str:
    if flags & ~0x3F:
        raise no("the TCP flags of ECN")
    return ",".join(name for bit, name in TCP_FLAGS.items() if flags & bit) or "NONE"


def first_fragment(family: int) -> Ways:
    """A later fragment has no ports: nft's match fails then, and ipset's only when it is not inverted."""
    if family == 6:
        raise no("ports that are not in a set")
    return one("! -f", slot="-f")


def protocol(found: Spans, inverted: bool, _family: int) -> Ways:
    numbers = singles(found, "protocols")
    if 0 in numbers:
        raise no("protocol 0, which is any of iptables")
    ways = [
        one(sign(f"-p {PROTOCOL_NAMES.get(number, number)}", inverted=inverted), slot="-p", value=number)
        for number in numbers
    ]
    return each(ways, inverted=inverted, what="protocols")


def length(found: Spans, inverted: bool, _family: int) -> Ways:
    words = [sign(f"--length {low}:{min(high, 0xFFFF)}", inverted=inverted) for low, high in found if low <= 0xFFFF]
    return each([one(f"-m length {word}") for word in words], inverted=inverted, what="lengths")


_FIELDS: dict[tuple[str, str], Callable[[Spans, bool, int], Ways]] = {
    ("ether", "saddr"): _mac,
    ("icmp", "code"): _icmp_code,
    ("icmp", "type"): _icmp_type,
    ("icmpv6", "code"): _icmp_code,
    ("icmpv6", "type"): _icmp_type,
    ("ip", "dscp"): _dscp,
    ("ip", "length"): _payload_length,
    ("ip", "protocol"): protocol,
    ("ip", "ttl"): _lifetime,
    ("ip6", "dscp"): _dscp,
    ("ip6", "hoplimit"): _lifetime,
    ("ip6", "length"): _payload_length,
}
