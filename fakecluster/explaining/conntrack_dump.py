"""`conntrack -L` (or /proc/net/nf_conntrack) read back into a namespace's table: what a dump of a real node knows."""

from __future__ import annotations

import re
from ipaddress import ip_address

from fakecluster.errors import RuleSyntaxError
from fakecluster.kernel.conntrack.entry import (
    ASSURED,
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    SEEN_REPLY,
    SRC_NAT,
    SRC_NAT_DONE,
    Conn,
    Tuple,
)  # fmt: skip
from fakecluster.kernel.conntrack.table import UdpInfo
from fakecluster.kernel.conntrack.tcp import STATE_NAMES
from fakecluster.kernel.conntrack.tcp_state import TcpInfo
from fakecluster.kernel.conntrack.text import NUMBERS
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ICMP, ICMPV6, TCP, UDP
from fakecluster.sim.clock import NS_PER_S

_PAIR = re.compile(r"([a-z-]+)=(\S+)")
_FAMILIES = frozenset(("ipv4", "ipv6"))
_TUPLE_KEYS = frozenset(("src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey"))
_SUMMARY = "conntrack v"


def load(netns: Netns, text: str, *, source: str = "") -> int:
    """Take every entry of a listing into the table; returns how many. Raises `RuleSyntaxError` with file and line."""
    count = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith((_SUMMARY, "#")):
            continue
        try:
            entry = read_entry(line, netns.clock.now_ns)
        except (ValueError, KeyError, IndexError) as wrong:
            raise RuleSyntaxError(f"no conntrack entry: {wrong}", line=number, source=source) from None
        if entry.orig.family and netns.conntrack.insert(entry):
            count += 1
    return count


def read_entry(line: str, now_ns: int = 0) -> Conn:
    """One line as an entry. Raises ValueError, KeyError, IndexError for what is none."""
    words = line.split()
    while words and (words[0] in _FAMILIES or (words[0].isdigit() and words[1:2] and not words[1].isdigit())):
        words.pop(0)
    if len(words) < 3:
        raise ValueError(line.strip()[:60])
    proto = int(words[1]) if words[1].isdigit() else NUMBERS[words[0]]
    timeout_s = int(words[2]) if words[2].isdigit() else 0
    state = next((word for word in words[3:5] if word in STATE_NAMES), "")
    pairs = [(name, value) for word in words for name, value in _PAIR.findall(word)]
    sides = [pair for pair in pairs if pair[0] in _TUPLE_KEYS]
    second = [at for at, (name, _) in enumerate(sides) if name == "src"][1]
    orig, reply = _tuple(proto, dict(sides[:second])), _tuple(proto, dict(sides[second:]))
    extra = dict(pairs)
    zone = int(extra.get("zone", 0))
    found = Conn(orig, reply, zone_orig=zone or int(extra.get("zone-orig", 0)),
                 zone_reply=zone or int(extra.get("zone-reply", 0)))  # fmt: skip
    found.mark, found.state = int(extra.get("mark", 0)), state
    found.expires_ns = timeout_s * NS_PER_S
    found.status = _status(words, orig, reply)
    if proto == TCP:
        found.proto_info = TcpInfo()
        found.proto_info.state = STATE_NAMES.index(state) if state else 0
    elif proto == UDP:
        found.proto_info = UdpInfo(now_ns)
    return found


def _tuple(proto: int, pairs: dict[str, str]) -> Tuple:
    source, target = ip_address(pairs["src"]), ip_address(pairs["dst"])
    if proto in (ICMP, ICMPV6):
        ports = int(pairs["id"]), int(pairs["type"]) << 8 | int(pairs["code"])
    else:
        ports = (
            int(pairs.get("sport", pairs.get("srckey", "0")), 0),
            int(pairs.get("dport", pairs.get("dstkey", "0")), 0),
        )
    return Tuple(source.version, proto, int(source), int(target), *ports)


def _status(words: list[str], orig: Tuple, reply: Tuple) -> int:
    status = CONFIRMED | SRC_NAT_DONE | DST_NAT_DONE
    if "[UNREPLIED]" not in words:
        status |= SEEN_REPLY
    if "[ASSURED]" in words:
        status |= ASSURED
    plain = orig.inverted()
    if plain is not None:
        if (plain.src, plain.sport) != (reply.src, reply.sport):
            status |= DST_NAT
        if (plain.dst, plain.dport) != (reply.dst, reply.dport):
            status |= SRC_NAT
    return status
