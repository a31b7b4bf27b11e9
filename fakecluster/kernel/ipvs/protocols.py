"""What IPVS follows of TCP, UDP and SCTP: states, which of them count as active, timeouts
(ip_vs_proto_tcp.c, ip_vs_proto_udp.c, ip_vs_proto_sctp.c).

A table has a row per event; its columns are the present state in the order of the protocol's list, its cells the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fakecluster.kernel.packet import ACK, FIN, RST, SCTP, SYN, TCP, UDP, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.connection import Connection
    from fakecluster.kernel.ipvs.control import Ipvs

NS_PER_S = 1_000_000_000
#: Which side a packet comes from; FROM_CLIENT_ONLY when the server's packets take another way.
FROM_CLIENT, FROM_SERVER, FROM_CLIENT_ONLY = 0, 1, 2
ISAKMP_PORT, ESP, AH = 500, 50, 51

TCP_STATES = (
    "NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN",
    "SYNACK",
)  # fmt: skip
_TCP_CODES = ("NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA")
_TCP_TIMEOUTS_S = (2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120)
_TCP_ACTIVE = frozenset((1, 2, 3, 10))
ESTABLISHED, SYN_RECV, FIN_WAIT, TIME_WAIT, CLOSE, SYNACK = 1, 3, 4, 5, 6, 10

SCTP_STATES = (
    "NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED", "ESTABLISHED", "S-SENT",
    "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED",
)  # fmt: skip
_SCTP_CODES = ("NO", "I1", "IN", "CS", "CR", "CW", "CO", "CE", "ES", "SS", "SR", "SA", "RJ", "CL")
_SCTP_TIMEOUTS_S = (2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61)
SCTP_ESTABLISHED, SCTP_CLOSED = 8, 13
_UDP_TIMEOUT_S = 300


def _table(codes: tuple[str, ...], text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(codes.index(cell) for cell in row.split()) for row in text.strip().splitlines())


#: Events: SYN, FIN, ACK, RST. Columns: NO ES SS SR FW TW CL CW LA LI SA.
_TCP_TABLES = {
    FROM_CLIENT: _table(_TCP_CODES, """
        SR ES ES SR SR SR SR SR SR SR SR
        CL CW SS TW TW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI SR
    """),
    FROM_SERVER: _table(_TCP_CODES, """
        SS ES SS SR SS SS SS SS SS LI SR
        TW FW SS TW FW TW CL TW LA LI TW
        ES ES SS ES FW TW CL CW LA ES ES
        CL CL SS CL CL TW CL CL CL CL CL
    """),
    FROM_CLIENT_ONLY: _table(_TCP_CODES, """
        SR ES ES SR SR SR SR SR SR SR SR
        CL FW SS TW FW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI CL
    """),
}  # fmt: skip
#: The same under secure_tcp: a connection is established only when the server's side was seen.
_SECURE_TCP_TABLES = {
    FROM_CLIENT: _table(_TCP_CODES, """
        SR ES ES SR SR SR SR SR SR SR SA
        CL CW SS TW TW TW CL CW LA LI SA
        ES ES SS SR FW TW CL CW CL LI SA
        CL CL CL SR CL CL CL CL LA LI CL
    """),
    FROM_SERVER: _table(_TCP_CODES, """
        SS ES SS SA SS SS SS SS SS LI SA
        TW FW SS TW FW TW CL TW LA LI TW
        ES ES SS ES FW TW CL CW LA ES ES
        CL CL SS CL CL TW CL CL CL CL CL
    """),
    FROM_CLIENT_ONLY: _table(_TCP_CODES, """
        SA ES ES SR SA SA SA SA SA SA SA
        CL FW SS TW FW TW CL CW LA LI TW
        ES ES SS ES FW TW CL CW CL LI ES
        CL CL CL SR CL CL CL CL LA LI CL
    """),
}  # fmt: skip
#: Events: data, INIT, INIT-ACK, COOKIE-ECHO, COOKIE-ACK, SHUTDOWN, SHUTDOWN-ACK, SHUTDOWN-COMPLETE, ERROR, ABORT.
_SCTP_TABLES = {
    FROM_CLIENT: _table(_SCTP_CODES, """
        ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
        I1 IN IN CS CR CW CO CE ES SS SR SA IN IN
        CW CW CW CS CR CO CO CE ES SS SR SA RJ CL
        CR IN IN CR CR CW CO CE ES SS SR SA RJ CL
        ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL
        SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
        CL IN IN CS CR CW CO CE ES CL SR CL RJ CL
        CL CL CL CS CR CW CO CE ES SS SR CL RJ CL
        CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL
        CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
    """),
    FROM_SERVER: _table(_SCTP_CODES, """
        ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL
        CW CW CW CW CW CW CW CW ES CW CW CW CW CW
        CS CS CS CS CR CW CO CE ES SS SR SA RJ CL
        CE CE CE CE CE CE CE CE ES SS SR SA RJ CL
        ES ES ES ES ES ES ES ES ES SS SR SA RJ CL
        SS SS SS SS SS SS SS SS SS SS SR SA RJ CL
        SA SA SA SA SA CW CO CE ES SA SA SA RJ CL
        CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
        CL CL CL CL CL CW CO CE ES SS SR SA RJ CL
        CL RJ CL CL CL CL CL CL CL CL CL CL CL CL
    """),
    FROM_CLIENT_ONLY: _table(_SCTP_CODES, """
        ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL
        I1 IN IN IN IN IN CO CE ES SS SR SA IN IN
        CE CE CE CE CE CE CO CE ES SS SR SA RJ CL
        ES ES ES ES ES ES CO CE ES SS SR SA RJ CL
        ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL
        SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL
        CL IN IN CS CR CW CO CE CL CL SR CL RJ CL
        CL CL CL CL CL CW CO CE ES SS CL CL RJ CL
        CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL
        CL CL CL CL CL RJ CL CL CL CL CL CL CL CL
    """),
}  # fmt: skip
#: How much of a transport header there must be.
_HEADER_SIZE = {TCP: 20, UDP: 8, SCTP: 12}
#: SCTP chunk type -> event; others are data.
_SCTP_EVENTS = {1: 1, 2: 2, 10: 3, 11: 4, 7: 5, 8: 6, 14: 7, 9: 8, 6: 9}
SCTP_INIT, SCTP_ABORT, _COOKIES = 1, 6, (10, 11)


def default_timeouts() -> dict[int, list[int]]:
    """Nanoseconds per protocol and state."""
    return {
        TCP: [seconds * NS_PER_S for seconds in _TCP_TIMEOUTS_S],
        UDP: [_UDP_TIMEOUT_S * NS_PER_S],
        SCTP: [seconds * NS_PER_S for seconds in _SCTP_TIMEOUTS_S],
    }


def set_timeouts(timeouts: dict[int, list[int]], tcp_s: int, tcp_fin_s: int, udp_s: int) -> None:
    """What `ipvsadm --set` can change; 0 leaves a value as it is."""
    for protocol, state, seconds in ((TCP, ESTABLISHED, tcp_s), (TCP, FIN_WAIT, tcp_fin_s), (UDP, 0, udp_s)):
        if seconds:
            timeouts[protocol][state] = seconds * NS_PER_S


def state_name(connection: Connection) -> str:
    """The state in the words of `ipvsadm -Lc`."""
    if connection.template:
        return "ASSURED" if connection.assured else "NONE"
    if connection.protocol == TCP:
        return TCP_STATES[connection.state]
    return SCTP_STATES[connection.state] if connection.protocol == SCTP else "UDP"


def opens(skb: Skb) -> bool:
    """Whether a packet asks for a new connection: SYN, INIT."""
    if skb.proto == TCP:
        return bool(skb.tcp_flags & SYN)
    return skb.proto == SCTP and chunk_type(skb) == SCTP_INIT


def may_schedule(skb: Skb, ipvs: Ipvs) -> bool:
    """Whether a packet without an entry may open one: not in the middle of a connection, unless told to be sloppy."""
    if skb.proto == TCP:
        flags = skb.tcp_flags
        return not flags & RST and bool(flags & SYN or ipvs.setting("sloppy_tcp"))
    if skb.proto == SCTP:
        kind = chunk_type(skb)
        return kind != SCTP_ABORT and (kind == SCTP_INIT or bool(ipvs.setting("sloppy_sctp")))
    return True


def is_complete(skb: Skb) -> bool:
    """Whether the transport header is there."""
    return len(skb.data) >= skb.l4 + _HEADER_SIZE[skb.proto]


def chunk_type(skb: Skb) -> int:
    """The type of an SCTP packet's first chunk."""
    at = skb.l4 + 12
    return skb.data[at] if at < len(skb.data) else 0


def move(ipvs: Ipvs, connection: Connection, side: int, skb: Skb) -> None:
    """Let a packet drive an entry's state, its timeout and whether it counts as active."""
    TRANSITIONS[connection.protocol](ipvs, connection, side, skb)


def _side(connection: Connection, side: int) -> int:
    """Once the server was heard, its packets are known to come this way."""
    if connection.input_only:
        if side == FROM_SERVER:
            connection.input_only = False
        else:
            return FROM_CLIENT_ONLY
    return side


def _tcp(ipvs: Ipvs, connection: Connection, side: int, skb: Skb) -> None:
    side, flags = _side(connection, side), skb.tcp_flags
    event = 3 if flags & RST else 0 if flags & SYN else 1 if flags & FIN else 2 if flags & ACK else -1
    state = connection.state
    if event < 0:
        following = CLOSE
    else:
        secure = ipvs.setting("secure_tcp") == 3
        following = (_SECURE_TCP_TABLES if secure else _TCP_TABLES)[side][event][state]
    if following != state:
        _count(ipvs, connection, following in _TCP_ACTIVE)
        if following == ESTABLISHED:
            _assure(connection)
        connection.state = following
    connection.timeout_ns = ipvs.timeouts[TCP][following]


def _udp(ipvs: Ipvs, connection: Connection, side: int, skb: Skb) -> None:
    connection.timeout_ns = ipvs.timeouts[UDP][0]
    if side == FROM_SERVER:
        _assure(connection)


def _sctp(ipvs: Ipvs, connection: Connection, side: int, skb: Skb) -> None:
    if len(skb.data) < skb.l4 + 16:
        return
    kind, at = chunk_type(skb), skb.l4 + 12
    length = skb.data[at + 2] << 8 | skb.data[at + 3]
    if kind in _COOKIES and length >= 4:
        after = at + (length + 3 & ~3)
        if after + 4 <= len(skb.data) and skb.data[after] == SCTP_ABORT:
            kind = SCTP_ABORT
    side = _side(connection, side)
    following = _SCTP_TABLES[side][_SCTP_EVENTS.get(kind, 0)][connection.state]
    if following != connection.state:
        _count(ipvs, connection, following == SCTP_ESTABLISHED)
        if following == SCTP_ESTABLISHED:
            _assure(connection)
        connection.state = following
    connection.timeout_ns = ipvs.timeouts[SCTP][following]


def _count(ipvs: Ipvs, connection: Connection, active: bool) -> None:
    if connection.inactive != active:
        return
    destination = ipvs.destination_of(connection)
    change = 1 if active else -1
    destination.active += change
    destination.inactive -= change
    connection.inactive = not active


def _assure(connection: Connection) -> None:
    """The template that an entry came from has proved itself (ip_vs_control_assure_ct)."""
    control = connection.control
    if control is not None and control.template:
        control.assured = True


TRANSITIONS: Mapping[int, Callable[[Ipvs, Connection, int, Skb], None]] = {TCP: _tcp, UDP: _udp, SCTP: _sctp}
