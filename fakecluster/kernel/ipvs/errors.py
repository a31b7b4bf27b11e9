"""ICMP errors about balanced connections (ip_vs_out_icmp, ip_vs_in_icmp): translated like what they speak of, inside
and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel import icmp
from fakecluster.kernel.checksums import checksum
from fakecluster.kernel.conntrack.entry import Tuple
from fakecluster.kernel.conntrack.icmp import inner_packet
from fakecluster.kernel.hooks import ACCEPT, DROP, FORWARD, INPUT, STOLEN, HookContext
from fakecluster.kernel.ipvs.connection import Connection
from fakecluster.kernel.ipvs.scheduling import open_connection
from fakecluster.kernel.ipvs.service import MASQUERADE
from fakecluster.kernel.ipvs.tracking import track
from fakecluster.kernel.ipvs.transmit import send, send_or_continue, way_to
from fakecluster.kernel.packet import ICMP, SCTP, TCP, UDP, BadPacket, Skb

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.control import Ipvs

SOURCE_QUENCH = 4
_ERRORS4 = frozenset((icmp.DEST_UNREACH, SOURCE_QUENCH, icmp.TIME_EXCEEDED))
_FIRST_V6_QUERY = 128


def quoted(skb: Skb) -> tuple[int, Tuple, int] | None:
    """What an ICMP error quotes, when it is about a protocol that is balanced; None for every other packet."""
    if skb.frag_offset or len(skb.data) < skb.l4 + 8:
        return None
    kind = skb.data[skb.l4]
    if kind not in _ERRORS4 if skb.proto == ICMP else kind >= _FIRST_V6_QUERY:
        return None
    found = inner_packet(skb)
    return found if found is not None and found[1].proto in (TCP, UDP, SCTP) else None


def from_server(ipvs: Ipvs, skb: Skb, ctx: HookContext) -> int:
    """An error from the server's side about a client's packet: it comes from the virtual address."""
    found = quoted(skb)
    if found is None:
        return ACCEPT
    family, protocol, client, server, client_port, server_port = found[1]
    connection = ipvs.connections.from_server((family, protocol, server, server_port, client, client_port))
    if connection is None:
        return ACCEPT
    if connection.method == MASQUERADE:
        if not skb.l4_checksum_ok():
            return DROP
        virtual, port = connection.virtual
        skb.set_src(virtual)
        _rewrite_quote(skb, found, found[1]._replace(dst=virtual, dport=port))
        skb.refresh_l4_checksum()
        if ctx.hook != INPUT and not ipvs.reroute_reply(skb):
            return DROP
    ipvs.count_out(connection, skb)
    skb.ipvs_property = True
    track(skb, connection, request=False)
    return ACCEPT


def from_client(ipvs: Ipvs, skb: Skb, ctx: HookContext) -> int:
    """An error from the client's side about a server's packet: it goes to the server."""
    found = quoted(skb)
    if found is None:
        return ACCEPT
    family, protocol, virtual, client, port, client_port = found[1]
    connection = ipvs.connections.by_client.get((family, protocol, client, client_port, virtual, port))
    if connection is None:
        if not ipvs.setting("schedule_icmp"):
            return ACCEPT
        about = _turned(skb, found)
        connection, verdict = open_connection(ipvs, about, is_error=True) if about is not None else (None, ACCEPT)
        if connection is None:
            return verdict
        ipvs.connections.renew(connection, ipvs.clock.now_ns)
    if not skb.l4_checksum_ok():
        return DROP
    ipvs.count_in(connection, skb)
    if connection.method != MASQUERADE:
        return send(ipvs.netns, skb, ctx, connection)
    return _translate(ipvs, skb, ctx, connection, found)


def _translate(ipvs: Ipvs, skb: Skb, ctx: HookContext, connection: Connection, found: tuple[int, Tuple, int]) -> int:
    route = way_to(ipvs.netns, skb, ctx, connection, local_allowed=ctx.hook != FORWARD)
    if route is None:
        return STOLEN
    skb.set_dst(connection.address)
    _rewrite_quote(skb, found, found[1]._replace(src=connection.address, sport=connection.port))
    skb.refresh_l4_checksum()
    track(skb, connection, request=True)
    return send_or_continue(ipvs.netns, skb, route)


def _rewrite_quote(skb: Skb, found: tuple[int, Tuple, int], ends: Tuple) -> None:
    """Write other ends into the quoted packet; its transport checksum stays as it was (ip_vs_nat_icmp)."""
    l4, _, at = found
    data = skb.data
    if skb.family == 4:
        data[at + 12 : at + 20] = ends.src.to_bytes(4) + ends.dst.to_bytes(4)
        data[at + 10 : at + 12] = b"\0\0"
        data[at + 10 : at + 12] = checksum(data[at:l4]).to_bytes(2)
    else:
        data[at + 8 : at + 40] = ends.src.to_bytes(16) + ends.dst.to_bytes(16)
    data[l4 : l4 + 4] = ends.sport.to_bytes(2) + ends.dport.to_bytes(2)


def _turned(skb: Skb, found: tuple[int, Tuple, int]) -> Skb | None:
    """The quoted packet with its ends exchanged: what the client would have sent."""
    data = bytearray(skb.data[found[2] :])
    total = data[2] << 8 | data[3] if skb.family == 4 else 40 + (data[4] << 8 | data[5])
    try:
        about = Skb(data.ljust(total, b"\0"), iif=skb.iif, mark=skb.mark)
    except BadPacket:
        return None
    about.src, about.dst, about.sport, about.dport = about.dst, about.src, about.dport, about.sport
    return about
