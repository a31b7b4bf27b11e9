"""SCTP as conntrack follows it (nf_conntrack_proto_sctp.c): states by chunk type and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.kernel.conntrack.entry import ASSURED, ORIGINAL, REPLY, Conn
from fakecluster.kernel.packet import Skb

if TYPE_CHECKING:
    from fakecluster.kernel.conntrack.table import Conntrack

NONE, CLOSED, COOKIE_WAIT, COOKIE_ECHOED, ESTABLISHED = 0, 1, 2, 3, 4
SHUTDOWN_SENT, SHUTDOWN_RECD, SHUTDOWN_ACK_SENT, HEARTBEAT_SENT, INVALID = 5, 6, 7, 8, 9
STATE_NAMES = (
    "NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT",
)  # fmt: skip
DATA, INIT, INIT_ACK, SACK, HEARTBEAT, HEARTBEAT_ACK, ABORT, SHUTDOWN = range(8)
SHUTDOWN_ACK, ERROR, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE = 8, 9, 10, 11, 14
TIMEOUTS = {
    CLOSED: "closed", COOKIE_WAIT: "cookie_wait", COOKIE_ECHOED: "cookie_echoed", ESTABLISHED: "established",
    SHUTDOWN_SENT: "shutdown_sent", SHUTDOWN_RECD: "shutdown_recd", SHUTDOWN_ACK_SENT: "shutdown_ack_sent",
    HEARTBEAT_SENT: "heartbeat_sent",
}  # fmt: skip
#: A packet has at most this many chunks (each takes 4 bytes of at most 64 KiB).
MAX_CHUNKS = 16384

_CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS, _IV = range(1, 10)
#: next state by [direction][chunk][state NONE..HEARTBEAT_SENT]
NEXT = (
    {
        INIT: (_CL, _CL, _CW, _CE, _ES, _CL, _CL, _SA, _CW),
        INIT_ACK: (_CL, _CL, _CL, _CE, _ES, _SS, _SR, _SA, _CL),
        ABORT: (_CL,) * 9,
        SHUTDOWN: (_CL, _CL, _CW, _CE, _SS, _SS, _SR, _SA, _CL),
        SHUTDOWN_ACK: (_SA, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _SA),
        ERROR: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL),
        COOKIE_ECHO: (_CL, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _CL),
        COOKIE_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL),
        SHUTDOWN_COMPLETE: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _CL),
        HEARTBEAT: (_HS, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        HEARTBEAT_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
    },
    {
        INIT: (_IV, _CL, _CW, _CE, _ES, _CL, _CL, _SA, _IV),
        INIT_ACK: (_IV, _CW, _CW, _CE, _ES, _SS, _SR, _SA, _IV),
        ABORT: (_IV, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _IV),
        SHUTDOWN: (_IV, _CL, _CW, _CE, _SR, _SS, _SR, _SA, _IV),
        SHUTDOWN_ACK: (_IV, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _HS),
        ERROR: (_IV, _CL, _CW, _CL, _ES, _SS, _SR, _SA, _IV),
        COOKIE_ECHO: (_IV, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _IV),
        COOKIE_ACK: (_IV, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _IV),
        SHUTDOWN_COMPLETE: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _IV),
        HEARTBEAT: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        HEARTBEAT_ACK: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _ES),
    },
)


@attrs.define
class SctpInfo:
    """The protocol part of an entry: state and the verification tag expected in each direction."""

    state: int = NONE
    vtag: list[int] = attrs.field(factory=lambda: [0, 0])
    heartbeat_failed: bool = False  # a heartbeat with an unknown tag went by, in direction `last_dir`
    last_dir: int = ORIGINAL
    init: list[int] = attrs.field(factory=lambda: [0, 0])

    def fork(self) -> SctpInfo:
        return attrs.evolve(self, vtag=self.vtag.copy(), init=self.init.copy())


def chunks(skb: Skb) -> list[tuple[int, int, int]] | None:
    """(type, flags, offset) of every chunk; None when the packet is malformed (do_basic_checks)."""
    data, at = skb.data, skb.l4 + 12
    found: list[tuple[int, int, int]] = []
    while at + 4 <= len(data) and len(found) < MAX_CHUNKS:
        length = data[at + 2] << 8 | data[at + 3]
        if not length or (found and data[at] in (COOKIE_ECHO, COOKIE_ACK)):
            return None
        alone = data[at] in (INIT, INIT_ACK, SHUTDOWN_COMPLETE)
        if alone and (found or at + (length + 3 & ~3) + 4 <= len(data)):
            return None
        found.append((data[at], data[at + 1], at))
        at += length + 3 & ~3
    return found or None


def track(table: Conntrack, ct: Conn, skb: Skb, direction: int) -> str:
    """nf_conntrack_sctp_packet(): "accept" or "invalid"."""
    if len(skb.data) < skb.l4 + 12:
        return "invalid"
    found = chunks(skb)
    if found is None:
        return "invalid"
    vtag = int.from_bytes(skb.data[skb.l4 + 4 : skb.l4 + 8])
    types = {kind for kind, _, _ in found}
    if not ct.confirmed and types & OUT_OF_THE_BLUE:
        return "invalid"
    if not ct.confirmed and ct.proto_info is None and not _open(ct, skb, found, vtag):
        return "invalid"
    info: SctpInfo = ct.proto_info
    if not types & OWN_TAG_RULES and vtag != info.vtag[direction]:
        return "invalid"
    new = _follow(ct, info, skb, found, direction, vtag)
    if new == INVALID:
        return "invalid"
    if new != NOT_RENEWED:
        table.refresh(ct, table.timeout_ns(f"sctp_timeout_{TIMEOUTS.get(new, 'closed')}"), skb)
    return "accept"


def _follow(ct: Conn, info: SctpInfo, skb: Skb, found: list[tuple[int, int, int]], direction: int, vtag: int) -> int:
    """Take in every chunk: the new state, INVALID, or NOT_RENEWED when the time-out stays as it is."""
    has_data = any(kind == DATA for kind, _, _ in found)
    new, ignored = NONE, False
    for kind, flags, at in found:
        if kind in (HEARTBEAT, HEARTBEAT_ACK):
            verdict = _heartbeat(info, direction, kind, vtag, strict=has_data or ignored)
            if verdict == INVALID:
                return INVALID
            if verdict == NOT_RENEWED:
                ignored = True
                continue
        elif not _tag_fits(info, direction, kind, flags, vtag):
            return INVALID
        old = info.state
        new = NEXT[direction].get(kind, (old,) * 9)[old]
        if new == INVALID or (kind in (INIT, INIT_ACK) and not _note_tag(info, direction, kind, skb, at)):
            return INVALID
        # an INIT sent again does not renew the time-out
        ignored = ignored or (kind == INIT and old == new == CLOSED and ct.confirmed)
        info.state, ct.state = new, STATE_NAMES[new]
        if new == ESTABLISHED != old:
            ct.status |= ASSURED
    return NOT_RENEWED if ignored else new


NOT_RENEWED = 10
#: Chunks whose verification tag is not simply the one of their direction (section 8.5).
OWN_TAG_RULES = frozenset(
    (INIT, ABORT, SHUTDOWN_COMPLETE, SHUTDOWN_ACK, COOKIE_ECHO, HEARTBEAT, HEARTBEAT_ACK)
)  # fmt: skip
#: RFC 9260 section 8.4: chunks that open no flow
OUT_OF_THE_BLUE = frozenset((ABORT, SHUTDOWN_COMPLETE, COOKIE_ACK))


def _open(ct: Conn, skb: Skb, found: list[tuple[int, int, int]], vtag: int) -> bool:
    """sctp_new(): what may open a flow."""
    info = SctpInfo()
    for kind, _, at in found:
        if NEXT[ORIGINAL].get(kind, (NONE,) * 9)[NONE] in (NONE, INVALID):
            return False
        if kind == INIT:
            if vtag or at + INIT_SIZE > len(skb.data):
                return False
            info.vtag[REPLY] = int.from_bytes(skb.data[at + 4 : at + 8])
        else:
            info.vtag[ORIGINAL if kind == HEARTBEAT else REPLY] = vtag
    ct.proto_info = info
    return True


#: An INIT chunk up to its first parameter.
INIT_SIZE = 20


def _note_tag(info: SctpInfo, direction: int, kind: int, skb: Skb, at: int) -> bool:
    """Remember the tag that an INIT or INIT ACK announces; False when it clashes with what was announced before."""
    if at + INIT_SIZE > len(skb.data):
        return False
    tag, other = int.from_bytes(skb.data[at + 4 : at + 8]), 1 - direction
    if kind == INIT:
        if info.init[direction] and info.init[other]:
            info.init[other] = 0
        info.init[direction] = 1
    else:
        known = info.vtag[other]
        clash = info.init[direction] and info.init[other]
        if known != tag and (clash or (known and not info.init[other])):
            return False
    info.vtag[other] = tag
    return True


def _tag_fits(info: SctpInfo, direction: int, kind: int, flags: int, vtag: int) -> bool:
    """RFC 4960 section 8.5.1: the verification tag that special chunks must carry."""
    mine, other = info.vtag[direction], info.vtag[1 - direction]
    if kind == INIT:
        return not vtag
    if kind in (ABORT, SHUTDOWN_COMPLETE):
        return vtag == (other if flags & 1 else mine)
    if kind == COOKIE_ACK:
        info.init = [0, 0]
    return kind != COOKIE_ECHO or vtag == mine


def _heartbeat(info: SctpInfo, direction: int, kind: int, vtag: int, *, strict: bool) -> int:
    """A heartbeat or its answer: a restarted peer shows by a tag that nobody announced. NONE to go on."""
    mine = info.vtag[direction]
    if not mine:
        info.vtag[direction] = vtag
    elif vtag != mine:
        if strict:
            return INVALID
        if kind == HEARTBEAT:
            info.heartbeat_failed, info.last_dir = True, direction
            return NOT_RENEWED
        if not info.heartbeat_failed or info.last_dir == direction:
            return INVALID
        info.heartbeat_failed = False
        info.vtag[direction], info.vtag[1 - direction] = vtag, 0
    else:
        info.heartbeat_failed = False
    return NONE
