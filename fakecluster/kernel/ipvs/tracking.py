"""IPVS and connection tracking (ip_vs_nfct.c): with net.ipv4.vs.conntrack a flow has an entry in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.conntrack.entry import CONFIRMED, DYING, ORIGINAL, UNTRACKED, Conn, Tuple, direction
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.service import MASQUERADE
from fakecluster.kernel.packet import ICMP, ICMPV6, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns


def uses_old_conntrack(skb: Skb) -> bool:
    """Whether the packet belongs to a flow that conntrack knows from before."""
    return skb.ct is not None and bool(skb.ct.status & CONFIRMED)


def track(skb: Skb, connection: Connection, *, request: bool) -> None:
    """After translation: expect the answer from where the packet goes now; or take the packet out of tracking."""
    ct: Conn | None = skb.ct
    if ct is None:
        return
    if not connection.tracked:
        skb.ct, skb.ctinfo = None, UNTRACKED
        return
    if ct.status & (CONFIRMED | DYING) or connection.method != MASQUERADE or connection.one_packet:
        return
    if direction(skb.ctinfo) != ORIGINAL:
        return
    family, proto, src, dst, sport, dport = ct.reply
    keeps_ports = proto in (ICMP, ICMPV6)
    if request:
        ct.reply = Tuple(family, proto, connection.address, dst, sport if keeps_ports else connection.port, dport)
    else:
        address, port = connection.virtual
        ct.reply = Tuple(family, proto, src, address, sport, dport if keeps_ports else port)


def untrack(skb: Skb, connection: Connection) -> None:
    """Packets that are not translated are tracked only if the entry is."""
    if skb.ct is not None and not connection.tracked:
        skb.ct, skb.ctinfo = None, UNTRACKED


def drop_conntrack(netns: Netns, connection: Connection) -> None:
    """The entry is gone: so is its flow."""
    if "conntrack" not in netns.__dict__:
        return
    family, protocol, client, client_port, virtual, port = connection.key
    ct = netns.conntrack.find(0, Tuple(family, protocol, client, virtual, client_port, port))
    if ct is not None:
        netns.conntrack.kill(ct)
