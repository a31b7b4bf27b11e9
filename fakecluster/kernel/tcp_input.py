"""TCP's way in: segments come to the connections and listeners that they are for (tcp_v4_rcv, tcp_v6_rcv).

    from INPUT, as an Skb ──────────► segment_input ─┐
                                                     ├─► a connection, or a listener, which makes one
    from the wire, where no hook is ─► straight ─────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.effects import Deliver, Effect, SendError
from fakecluster.kernel.hooks import INPUT, PREROUTING
from fakecluster.kernel.packet import ACK, RST, SYN, TCP, Skb
from fakecluster.kernel.plain_segment import checksum_is_right, read
from fakecluster.kernel.tcp_segments import options_of
from fakecluster.kernel.tcp_socket import TcpConnection

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.sockets import Socket, Sockets

_new = tuple.__new__  # makes a named tuple without the way through its Python constructor


def segment_input(sockets: Sockets, skb: Skb, sock: Socket) -> None:
    """A segment for a socket: a connection's own, or a SYN for a listener."""
    if isinstance(sock, TcpConnection):
        if sock.state == "TIME_WAIT" and skb.tcp_flags & (SYN | ACK | RST) == SYN:
            sock.forget()  # a new connection may take over the port (RFC 1122)
            owner = sockets.owner(skb)
            if owner is None:
                sockets.refuse(skb)
            else:
                segment_input(sockets, skb, owner)
            return
        sock.segment(skb)
        return
    if sock.program is None:
        return  # a sink
    flags = skb.tcp_flags
    if flags & RST:
        return
    if flags & (SYN | ACK) != SYN:
        sockets.refuse(skb)
        return
    sequence = int.from_bytes(skb.data[skb.l4 + 4 : skb.l4 + 8])
    connection = _accepted(sock, skb.family, skb.dst, skb.dport, skb.src, skb.sport)
    connection.answer_syn(sequence, options_of(skb))


def _accepted(listener: Socket, family: int, address: int, port: int, peer: int, peer_port: int) -> TcpConnection:
    """A new connection of a listener."""
    netns = listener.netns
    connection = TcpConnection(netns, family, address, port, peer, peer_port, name=listener.name)
    connection.program, connection.uid = listener.program, listener.uid
    connection.context = {**listener.context, "listener": listener}
    netns.sockets.connections[connection.key] = connection
    return connection


def straight(netns: Netns, packet: bytes, iface: str, dst_mac: bytes) -> list[Effect] | None:
    """What comes of a segment of an open connection or a first one to a listener, as `Netns.receive` gives it.

    None, and nothing changed, when it must go the long way: where hooks are met, the route is not known from an earlier
    packet, or anything about the segment is not plain.
    """
    segment = read(packet)
    if segment is None:
        return None
    family, _, _, src, dst, sport, dport, seq, ack, bits, _ = segment
    route = netns.flow_cache.input_routes.get((iface, src, dst, 0, packet[:2]))
    hooks, flags, options_at = netns.hooks.entries[family], bits & 0xFF, 40 if family == 4 else 60
    if route is None or route.kind != "local" or hooks[PREROUTING] or hooks[INPUT]:
        return None
    if not checksum_is_right(packet, family):
        return None
    if dst_mac and dst_mac != netns.interfaces[iface].mac:
        return None
    connection = netns.sockets.connections.get((family, dst, dport, src, sport))
    sock: Socket | None = connection
    if connection is None:
        sock = netns.sockets.listener(family, TCP, src, sport, dst, dport)
        if sock is None or sock.program is None or flags & (SYN | ACK | RST) != SYN:
            return None
    elif flags & (SYN | RST) or connection.state == "SYN_SENT":
        return None
    data_at = options_at - 20 + (bits >> 10 & 0x3C)
    netns.enter(trace=False)
    netns.effects.append(_new(Deliver, (packet, iface, 0, False, sock, None)))
    try:
        if connection is not None:
            connection.take_in(flags, seq, ack, packet[data_at:])
        else:
            assert sock is not None
            _accepted(sock, family, dst, dport, src, sport).answer_syn(seq, packet[options_at:data_at])
    except SendError:
        pass  # a program's own segment was refused
    return netns.leave()
