"""Connection tracking (nf_conntrack)."""

from fakecluster.kernel.conntrack.entry import (
    ASSURED,
    CONFIRMED,
    DST_NAT,
    DST_NAT_DONE,
    DYING,
    ESTABLISHED,
    ESTABLISHED_REPLY,
    EXPECTED,
    NAT_DONE_MASK,
    NAT_MASK,
    NEW,
    ORIGINAL,
    RELATED,
    RELATED_REPLY,
    REPLY,
    SEEN_REPLY,
    SRC_NAT,
    SRC_NAT_DONE,
    UNTRACKED,
    Conn,
    Tuple,
    direction,
    packet_tuple,
    state_name,
)  # fmt: skip
from fakecluster.kernel.conntrack.table import Conntrack

__all__ = [
    "ASSURED", "CONFIRMED", "DST_NAT", "DST_NAT_DONE", "DYING", "ESTABLISHED", "ESTABLISHED_REPLY", "EXPECTED",
    "NAT_DONE_MASK", "NAT_MASK", "NEW", "ORIGINAL", "RELATED", "RELATED_REPLY", "REPLY", "SEEN_REPLY", "SRC_NAT",
    "SRC_NAT_DONE", "UNTRACKED", "Conn", "Conntrack", "Tuple", "direction", "packet_tuple", "state_name",
]  # fmt: skip
