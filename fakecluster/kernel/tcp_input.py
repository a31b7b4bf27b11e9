"""TCP's way in: segments come to the connections and listeners that they are for (tcp_v4_rcv, tcp_v6_rcv).

    from INPUT, as an Skb ──────────► segment_input ─┐
                                                     ├─► a connection, or a listener, which makes one
    from the wire, where no hook is ─► straight ─────┘
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from fakecluster.kernel.checksums import folded
from fakecluster.kernel.effects import Deliver, Effect, SendError
from fakecluster.kernel.hooks import INPUT, PREROUTING
from fakecluster.kernel.packet import ACK, FRAGMENT, RST, SYN, TCP, Skb
from fakecluster.kernel.tcp_segments import options_of
from fakecluster.kernel.tcp_socket import TcpConnection

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.sockets import Socket, Sockets

# first 16 bits, length, fragment bits, protocol, addresses, ports, sequence, acknowledgment, offset and flags
_READ4 = Struct("!2sHxxHxBxxLLHHLLH").unpack_from
# first 16 bits, length, next header, ports, sequence, acknowledgment, offset and flags
_READ6 = Struct("!2sxxHBx32xHHLLH").unpack_from
_number = int.from_bytes
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
    read = _read(packet)
    if read is None:
        return None
    family, l4, first, src, dst, sport, dport, seq, ack, bits = read
    route = netns.flow_cache.input_routes.get((iface, src, dst, 0, first))
    hooks, flags, data_at = netns.hooks.entries[family], bits & 0xFF, l4 + (bits >> 10 & 0x3C)
    if route is None or route.kind != "local" or hooks[PREROUTING] or hooks[INPUT]:
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
    netns.enter(trace=False)
    netns.effects.append(_new(Deliver, (packet, iface, 0, False, sock, None)))
    try:
        if connection is not None:
            connection.take_in(flags, seq, ack, packet[data_at:])
        else:
            assert sock is not None
            _accepted(sock, family, dst, dport, src, sport).answer_syn(seq, packet[l4 + 20 : data_at])
    except SendError:
        pass  # a program's own segment was refused
    return netns.leave()


def _read(packet: bytes) -> tuple[int, int, bytes, int, int, int, int, int, int, int] | None:
    """The headers of a segment that came whole, without IP options or extensions, and with right checksums; else None.

    Family, offset of the TCP header, first 16 bits, addresses, ports, sequence, acknowledgment, offset and flags.
    """
    size = len(packet)
    if packet[0] == 0x45 and size >= 40:
        first, total, fragment, proto, src, dst, sport, dport, seq, ack, bits = _READ4(packet)
        if total != size or fragment & FRAGMENT or proto != TCP or _number(packet[:20]) % 0xFFFF:
            return None
        family, l4, pseudo = 4, 20, 12
    elif packet[0] >> 4 == 6 and size >= 60:
        first, total, proto, sport, dport, seq, ack, bits = _READ6(packet)
        if total + 40 != size or proto != TCP:
            return None
        src, dst = _number(packet[8:24]), _number(packet[24:40])
        family, l4, pseudo = 6, 40, 8
    else:
        return None
    load, checked = size - l4, _number(packet[pseudo:])
    if size > 200:
        checked = folded(checked, size)
    if ((checked << 8 if size & 1 else checked) + load + TCP) % 0xFFFF or not 20 <= bits >> 10 & 0x3C <= load:
        return None
    return family, l4, first, src, dst, sport, dport, seq, ack, bits
