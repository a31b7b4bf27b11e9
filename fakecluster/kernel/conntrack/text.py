"""Entries as `conntrack -L -o extended` prints them, and the filters of `conntrack -L/-D` (conntrack(8))."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import attrs

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.conntrack.entry import ASSURED, SEEN_REPLY, Conn, Tuple
from fakecluster.kernel.conntrack.table import NS_PER_S, Conntrack
from fakecluster.kernel.packet import GRE, ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP, UDP, UDPLITE
from fakecluster.kernel.routing import address_text

NAMES = {
    ICMP: "icmp",
    TCP: "tcp",
    UDP: "udp",
    ICMPV6: "icmpv6",
    SCTP: "sctp",
    UDPLITE: "udplite",
    33: "dccp",
    GRE: "gre",
}
NUMBERS = {name: number for number, name in NAMES.items()}


def entry_text(ct: Conn, *, timeout_s: int | None = None, acct: bool = False) -> str:
    """One entry as a line; with `timeout_s` in full, without as in a trace (no time-out)."""
    proto = ct.orig.proto
    family = "ipv4     2" if ct.orig.family == 4 else "ipv6     10"
    head = f"{family} {NAMES.get(proto, 'unknown'):<8} {proto}"
    words = [head] if timeout_s is None else [head, str(timeout_s)]
    if ct.state:
        words.append(ct.state)
    words.append(tuple_text(ct.orig))
    if ct.zone_orig and not ct.zone_reply:
        words.append(f"zone-orig={ct.zone_orig}")
    if acct:
        words.append(f"packets={ct.packets[0]} bytes={ct.octets[0]}")
    if not ct.status & SEEN_REPLY:
        words.append("[UNREPLIED]")
    words.append(tuple_text(ct.reply, reply=True))
    if ct.zone_reply and not ct.zone_orig:
        words.append(f"zone-reply={ct.zone_reply}")
    if acct:
        words.append(f"packets={ct.packets[1]} bytes={ct.octets[1]}")
    if ct.status & ASSURED:
        words.append("[ASSURED]")
    words.append(f"mark={ct.mark}")
    if ct.zone_orig and ct.zone_orig == ct.zone_reply:
        words.append(f"zone={ct.zone_orig}")
    return " ".join(words)


def tuple_text(one: Tuple, *, reply: bool = False) -> str:
    text = f"src={address_text(one.family, one.src)} dst={address_text(one.family, one.dst)}"
    if one.proto in PORT_PROTOCOLS:
        return f"{text} sport={one.sport} dport={one.dport}"
    if one.proto == GRE:
        return f"{text} srckey={one.sport:#x} dstkey={one.dport:#x}"
    if one.proto in (ICMP, ICMPV6):
        return f"{text} type={one.dport >> 8} code={one.dport & 0xFF} id={one.sport}"
    return text


def listing(table: Conntrack, entries: Sequence[Conn]) -> str:
    now = table.clock.now_ns
    acct = bool(table.sysctls.number("net.netfilter.nf_conntrack_acct"))
    return "".join(
        entry_text(ct, timeout_s=max(0, (ct.expires_ns - now) // NS_PER_S), acct=acct) + "\n" for ct in entries
    )


@attrs.frozen
class Filter:
    """Which entries a command means; None: any. Addresses are integers with a prefix length."""

    family: int | None = None
    proto: int | None = None
    orig_src: tuple[int, int] | None = None
    orig_dst: tuple[int, int] | None = None
    reply_src: tuple[int, int] | None = None
    reply_dst: tuple[int, int] | None = None
    orig_sport: int | None = None
    orig_dport: int | None = None
    reply_sport: int | None = None
    reply_dport: int | None = None
    mark: tuple[int, int] | None = None
    zone: int | None = None
    state: str | None = None
    src_nat: bool = False
    dst_nat: bool = False

    def matches(self, ct: Conn) -> bool:
        orig, reply = ct.orig, ct.reply
        bits = 32 if orig.family == 4 else 128
        return (
            self.family in (None, orig.family)
            and self.proto in (None, orig.proto)
            and _within(self.orig_src, orig.src, bits)
            and _within(self.orig_dst, orig.dst, bits)
            and _within(self.reply_src, reply.src, bits)
            and _within(self.reply_dst, reply.dst, bits)
            and self.orig_sport in (None, orig.sport)
            and self.orig_dport in (None, orig.dport)
            and self.reply_sport in (None, reply.sport)
            and self.reply_dport in (None, reply.dport)
            and (self.mark is None or ct.mark & self.mark[1] == self.mark[0])
            and self.zone in (None, ct.zone_orig, ct.zone_reply)
            and self.state in (None, ct.state)
            and (not self.src_nat or reply.dst != orig.src)
            and (not self.dst_nat or reply.src != orig.dst)
        )


def _within(wanted: tuple[int, int] | None, address: int, bits: int) -> bool:
    return wanted is None or address >> bits - wanted[1] == wanted[0] >> bits - wanted[1]


def parse_filter(argv: Sequence[str]) -> Filter:
    """The options of `conntrack -L/-D` as a filter. Raises `CommandError` in the tool's words."""
    values: dict[str, object] = {}
    words = list(argv)
    while words:
        option = words.pop(0)
        if option in _FLAGS:
            values[_FLAGS[option]] = True
            if words and not words[0].startswith("-") and option in ("--src-nat", "-n", "--dst-nat", "-g"):
                values["reply_dst" if option in ("--src-nat", "-n") else "reply_src"] = _address(words.pop(0), argv)
            continue
        setter = _OPTIONS.get(option)
        if setter is None:
            raise Unsupported(f"conntrack option {option}", token=option)
        if not words:
            raise CommandError(
                tuple(argv), 2, f"conntrack v1.4.7 (conntrack-tools): option `{option}' requires an argument\n"
            )
        name, convert = setter
        values[name] = convert(words.pop(0), argv)
    return Filter(**values)  # type: ignore[arg-type]


def _address(text: str, argv: Sequence[str]) -> tuple[int, int]:
    try:
        host, _, prefix = text.partition("/")
        address = ip_address(host)
        return int(address), int(prefix) if prefix else address.max_prefixlen
    except ValueError:
        raise CommandError(
            tuple(argv), 2, f"conntrack v1.4.7 (conntrack-tools): Invalid IP address `{text}'\n"
        ) from None


def _number(text: str, argv: Sequence[str]) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(tuple(argv), 2, f"conntrack v1.4.7 (conntrack-tools): `{text}' is not a number\n") from None


def _proto(text: str, argv: Sequence[str]) -> int:
    if text.lower() in NUMBERS:
        return NUMBERS[text.lower()]
    if text.isdigit():
        return int(text)
    raise CommandError(tuple(argv), 2, f"conntrack v1.4.7 (conntrack-tools): `{text}' unsupported protocol\n")


def _mark(text: str, argv: Sequence[str]) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return _number(value, argv), _number(mask, argv) if mask else 0xFFFFFFFF


def _family(text: str, argv: Sequence[str]) -> int:
    return 6 if text == "ipv6" else 4


def _word(text: str, argv: Sequence[str]) -> str:
    return text


_FLAGS = {"--src-nat": "src_nat", "-n": "src_nat", "--dst-nat": "dst_nat", "-g": "dst_nat"}
_OPTIONS = {
    "-f": ("family", _family),
    "--family": ("family", _family),
    "-p": ("proto", _proto),
    "--proto": ("proto", _proto),
    "--protonum": ("proto", _proto),
    "-s": ("orig_src", _address),
    "--src": ("orig_src", _address),
    "--orig-src": ("orig_src", _address),
    "-d": ("orig_dst", _address),
    "--dst": ("orig_dst", _address),
    "--orig-dst": ("orig_dst", _address),
    "-r": ("reply_src", _address),
    "--reply-src": ("reply_src", _address),
    "-q": ("reply_dst", _address),
    "--reply-dst": ("reply_dst", _address),
    "--sport": ("orig_sport", _number),
    "--orig-port-src": ("orig_sport", _number),
    "--dport": ("orig_dport", _number),
    "--orig-port-dst": ("orig_dport", _number),
    "--reply-port-src": ("reply_sport", _number),
    "--reply-port-dst": ("reply_dport", _number),
    "-m": ("mark", _mark),
    "--mark": ("mark", _mark),
    "-w": ("zone", _number),
    "--zone": ("zone", _number),
    "--state": ("state", _word),
}
