"""Sockets of one namespace: who listens where, and what the transport layer does with a delivered packet.

Programs are objects with the methods of `Program`; nothing blocks, everything is called back. They must be stateless
(what belongs to a connection is kept on it), so that a fork can share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from fakecluster.kernel import icmp, ip_options
from fakecluster.kernel.conntrack.entry import tuple_at
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.ip_output import route_output, source_for
from fakecluster.kernel.packet import ICMP, ICMPV6, IGMP, NO_USER, RST, SCTP, TCP, UDP, BadPacket, Skb
from fakecluster.kernel.reject import tcp_packet

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns
    from fakecluster.kernel.tcp_socket import TcpConnection

PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
PROTOCOL_WORDS = {number: word for word, number in PROTOCOLS.items()}
#: ICMP destination-unreachable code -> the errno that sockets see (icmp_err_convert)
UNREACHABLE_ERRORS = {
    0: "ENETUNREACH", 1: "EHOSTUNREACH", 2: "EPROTO", 3: "ECONNREFUSED", 4: "EMSGSIZE", 9: "ENETUNREACH",
    10: "EHOSTUNREACH", 13: "EHOSTUNREACH",
}  # fmt: skip
#: The two bits of the type of service that belong to congestion notification.
ECN_MASK = 3
UNREACHABLE_ERRORS6 = {
    0: "ENETUNREACH", 1: "EACCES", 3: "EHOSTUNREACH", 4: "ECONNREFUSED", 5: "EACCES", 6: "EACCES",
}  # fmt: skip


class Program(Protocol):
    """What runs behind a listening socket. Each method gets the socket or connection that it concerns."""

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None: ...

    def on_accept(self, connection: TcpConnection) -> None: ...

    def on_data(self, connection: TcpConnection, data: bytes) -> None: ...

    def on_close(self, connection: TcpConnection) -> None: ...

    def on_error(self, connection: TcpConnection, error: str) -> None: ...


class Socket:
    """A bound socket. `address` 0 is the wildcard; `program` None makes it a sink, which swallows silently."""

    __slots__ = (
        "address", "context", "dual_stack", "error", "family", "mark", "name", "netns", "peer", "port", "program", "proto",
        "received", "transparent", "uid",
    )  # fmt: skip

    def __init__(
        self, netns: Netns, family: int, proto: int, address: int, port: int, program: Program | None, name: str = ""
    ) -> None:
        self.netns, self.family, self.proto = netns, family, proto
        self.address, self.port, self.program = address, port, program
        self.name = name or f"{PROTOCOL_WORDS.get(proto, proto)}:{port}"
        self.transparent = False
        self.dual_stack = False
        self.uid = self.mark = 0
        self.peer: tuple[int, int] | None = None
        self.received: list[tuple[bytes, tuple[int, int]]] = []  # datagrams that no program took
        self.error = ""
        self.context: dict[str, Any] = {}

    def send_to(self, data: bytes, address: int, port: int, *, source: int = 0) -> None:
        """Send a UDP datagram. Raises `SendError`."""
        netns = self.netns
        family = 4 if self.dual_stack and address < 1 << 32 else self.family
        route = route_output(netns, family, address, src=source or self.address, mark=self.mark)
        src = source or self.address or source_for(netns, route, address)
        body = self.port.to_bytes(2) + port.to_bytes(2) + (8 + len(data)).to_bytes(2) + bytes(2) + data
        if family == 4:
            ttl = netns.sysctls.number("net.ipv4.ip_default_ttl")
            skb = Skb(icmp.ipv4_header(src, address, UDP, len(body), ttl=ttl) + body)
        else:
            skb = Skb(icmp.ipv6_header(src, address, UDP, len(body)) + body)
        skb.refresh_l4_checksum()
        netns.send_segment(self, bytes(skb.data), src, address)

    def close(self) -> None:
        """Stop listening; connections that were accepted live on."""
        self.netns.sockets.unbind(self)

    def fork(self, netns: Netns) -> Socket:
        copy = Socket(netns, self.family, self.proto, self.address, self.port, self.program, self.name)
        copy.transparent, copy.dual_stack, copy.uid, copy.mark = self.transparent, self.dual_stack, self.uid, self.mark
        copy.peer, copy.received, copy.error = self.peer, self.received.copy(), self.error
        copy.context = self.context.copy()
        return copy

    def __repr__(self) -> str:
        return f"<Socket {self.name}>"


class Sockets:
    """The socket tables of a namespace."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.bound: dict[tuple[int, int], list[Socket]] = {}
        self.connections: dict[tuple[int, int, int, int, int], TcpConnection] = {}
        self.groups: set[int] = set()  # multicast groups that someone joined
        #: where the clock's events for TCP's timers go
        self.timer_target = f"tcp@{netns.name}"

    # --- making sockets

    def bind(
        self,
        proto: str,
        port: int,
        program: Program | None = None,
        *,
        family: int = 4,
        address: int = 0,
        name: str = "",
        dual_stack: bool = False,
    ) -> Socket:
        """Listen for TCP, or take UDP datagrams; port 0 picks an ephemeral one.

        Raises `SendError` (EADDRINUSE, EADDRNOTAVAIL).
        """
        number = PROTOCOLS[proto]
        port = port or self.ephemeral_port(number, family, address)
        for other in self.bound.get((number, port), ()):
            shared = other.family == family or other.dual_stack or dual_stack
            if shared and (not other.address or not address or other.address == address):
                raise SendError("EADDRINUSE")
        if address and not self.netns.addresses.is_local(family, address):
            raise SendError("EADDRNOTAVAIL")
        sock = Socket(self.netns, family, number, address, port, program, name)
        sock.dual_stack = dual_stack and family == 6
        return self.attach(sock)

    def attach(self, sock: Socket) -> Socket:
        self.bound.setdefault((sock.proto, sock.port), []).append(sock)
        return sock

    def unbind(self, sock: Socket) -> None:
        entries = self.bound.get((sock.proto, sock.port), [])
        if sock in entries:
            entries.remove(sock)
            if not entries:
                del self.bound[sock.proto, sock.port]

    def ephemeral_port(self, proto: int, family: int, address: int, *, peer: tuple[int, int] | None = None) -> int:
        """A free port of net.ipv4.ip_local_port_range. Raises `SendError` (EADDRNOTAVAIL) when there is none."""
        low, high = (int(word) for word in self.netns.sysctls["net.ipv4.ip_local_port_range"].split())
        size = high - low + 1
        offset = self.netns.choices.draw(size, "ephemeral port")
        for step in range(size):
            port = low + (offset + step) % size
            used = (proto, port) in self.bound
            if not used and (peer is None or (family, address, port, *peer) not in self.connections):
                return port
        raise SendError("EADDRNOTAVAIL")

    def connect(
        self,
        address: int,
        port: int,
        *,
        family: int = 4,
        source: int = 0,
        mark: int = 0,
        program: Program | None = None,
    ) -> TcpConnection:
        """Begin a TCP connection; its `state` and `error` tell what became of it. Raises `SendError`.

        With a `program`, its `on_accept` is called when the connection is established.
        """
        from fakecluster.kernel.tcp_socket import TcpConnection

        route = route_output(self.netns, family, address, src=source, mark=mark)
        src = source or source_for(self.netns, route, address)
        sport = self.ephemeral_port(TCP, family, src, peer=(address, port))
        connection = TcpConnection(self.netns, family, src, sport, address, port)
        connection.mark, connection.program = mark, program
        self.connections[connection.key] = connection
        connection.open()
        return connection

    # --- finding sockets

    def lookup(
        self, family: int, proto: int, src: int, sport: int, dst: int, dport: int, iface: str = ""
    ) -> Socket | None:
        """The socket that a packet src:sport -> dst:dport belongs to: connected first, then by best binding."""
        if proto == TCP and (connection := self.connections.get((family, dst, dport, src, sport))) is not None:
            return connection
        return self.listener(family, proto, src, sport, dst, dport)

    def listener(self, family: int, proto: int, src: int, sport: int, dst: int, dport: int) -> Socket | None:
        """The bound socket that such a packet belongs to."""
        best: Socket | None = None
        for sock in self.bound.get((proto, dport), ()):
            if sock.family != family and not (sock.dual_stack and family == 4 and not sock.address):
                continue
            if sock.address and sock.address != dst:
                continue
            if sock.peer is not None and sock.peer != (src, sport):
                continue
            if best is None or (sock.peer is not None, sock.address != 0) > (best.peer is not None, best.address != 0):
                best = sock
        return best

    def owner(self, skb: Skb) -> Socket | None:
        """The socket that takes a delivered packet."""
        if isinstance(skb.sock, Socket) and skb.iif != "lo":
            return skb.sock  # assigned by TPROXY
        if not skb.has_ports:
            return None
        return self.lookup(skb.family, skb.proto, skb.src, skb.sport, skb.dst, skb.dport, skb.iif)

    def __iter__(self) -> Iterator[Socket]:
        for entries in self.bound.values():
            yield from entries
        yield from self.connections.values()

    # --- the transport layer

    def receive(self, skb: Skb, sock: Socket | None) -> None:
        """What the host does with a packet after INPUT."""
        handler = _PROTOCOL_INPUT.get(skb.proto)
        if handler is not None:
            handler(self, skb, sock)
        elif sock is None and skb.pkttype == "unicast" and skb.proto not in SILENT:
            if skb.family == 4:
                icmp.send_error(self.netns, skb, icmp.DEST_UNREACH, icmp.PROT_UNREACH)
            elif skb.proto != NO_NEXT_HEADER:
                icmp.send_error(self.netns, skb, icmp.V6_PARAMETER, 1, _next_header_pointer(skb))

    def _udp_input(self, skb: Skb, sock: Socket | None) -> None:
        data, at = skb.data, skb.l4
        length = data[at + 4] << 8 | data[at + 5] if len(data) >= at + 8 else 0
        if length < 8 or at + length > len(data) or not skb.l4_checksum_ok():
            return
        if sock is None:
            skb.ct, skb.ctinfo = None, 0  # nf_reset_ct(): what comes of it is tracked by itself
            if skb.pkttype == "unicast" and (skb.route is None or skb.route.kind == "local"):
                unreachable = (icmp.DEST_UNREACH, icmp.PORT_UNREACH)
                kind, code = unreachable if skb.family == 4 else (icmp.V6_UNREACH, icmp.V6_PORT_UNREACH)
                icmp.send_error(self.netns, skb, kind, code)
            return
        payload = bytes(data[at + 8 : at + length])
        if sock.program is not None:
            sock.program.on_datagram(sock, payload, (skb.src, skb.sport), skb.dst)
        elif sock.context.get("inbox"):
            sock.received.append((payload, (skb.src, skb.sport)))

    def _tcp_input(self, skb: Skb, sock: Socket | None) -> None:
        from fakecluster.kernel.tcp_input import segment_input

        if len(skb.data) < skb.l4 + 20 or not skb.l4_checksum_ok() or skb.pkttype != "unicast":
            return
        if sock is None:
            self.refuse(skb)
        else:
            segment_input(self, skb, sock)

    def refuse(self, skb: Skb) -> None:
        """A segment for nobody: RST (tcp_v4_send_reset), but never for a RST."""
        at, flags = skb.l4, skb.tcp_flags
        if flags & RST or (skb.route is not None and skb.route.kind != "local"):
            return
        data = skb.data
        if flags & 16:
            sequence, acknowledged, answer = int.from_bytes(data[at + 8 : at + 12]), 0, RST
        else:
            length = len(data) - at - (data[at + 12] >> 4) * 4 + bool(flags & 2) + bool(flags & 1)
            sequence, answer = 0, RST | 16
            acknowledged = (int.from_bytes(data[at + 4 : at + 8]) + length) & 0xFFFFFFFF
        tos = skb.tos if skb.family == 4 else skb.tos & ~ECN_MASK
        options = ip_options.echoed(self.netns, skb, skb.dst)
        ttl = icmp.ttl_of(self.netns, skb.family)
        packet = tcp_packet(skb, sequence, acknowledged, answer, ttl=ttl, tos=tos, options=options)
        packet.generated, packet.uid = True, NO_USER
        self.netns.send_generated(packet)

    def _icmp_input(self, skb: Skb, sock: Socket | None) -> None:
        if len(skb.data) < skb.l4 + 8 or not skb.l4_checksum_ok():
            return
        kind, code = skb.data[skb.l4], skb.data[skb.l4 + 1]
        if skb.family == 4:
            if kind == 8 and not self._ignores_echo(skb):
                icmp.echo_reply(self.netns, skb)
            elif kind == icmp.TIMESTAMP and not self._ignores_echo(skb, all_of_them=False):
                icmp.timestamp_reply(self.netns, skb)
            elif kind == icmp.DEST_UNREACH:
                self._icmp_error(skb, UNREACHABLE_ERRORS.get(code, "EHOSTUNREACH"))
        elif kind == 128:
            icmp.echo_reply(self.netns, skb)
        elif kind == icmp.V6_UNREACH:
            self._icmp_error(skb, UNREACHABLE_ERRORS6.get(code, "EHOSTUNREACH"))
        elif kind == icmp.V6_TOO_BIG:
            self._icmp_error(skb, "EMSGSIZE")

    def _ignores_echo(self, skb: Skb, *, all_of_them: bool = True) -> bool:
        sysctls = self.netns.sysctls
        if all_of_them and sysctls.number("net.ipv4.icmp_echo_ignore_all"):
            return True
        group = skb.route is not None and skb.route.kind in ("broadcast", "multicast")
        return group and bool(sysctls.number("net.ipv4.icmp_echo_ignore_broadcasts"))

    def _icmp_error(self, skb: Skb, error: str) -> None:
        """Tell the socket whose packet the error quotes."""
        from fakecluster.kernel.tcp_socket import TcpConnection

        quoted = bytes(skb.data[skb.l4 + 8 :])
        try:
            inner = Skb(_stretched(quoted))
        except BadPacket:
            return
        found = tuple_at(inner.data, inner.l4, inner.family, inner.proto, inner.src, inner.dst)
        if found is None or inner.frag_offset:
            return
        sock = self.lookup(inner.family, inner.proto, found.dst, found.dport, found.src, found.sport)
        if isinstance(sock, TcpConnection):
            info = int.from_bytes(skb.data[skb.l4 + 4 : skb.l4 + 8])
            sock.icmp_error(error, info & 0xFFFF if skb.family == 4 else info)
        elif sock is not None and sock.proto == UDP:
            sock.error = error

    def await_timers(self) -> None:
        """There is a connection whose timers the clock tells of, if whoever took this over does not (see apps.relay)."""
        clock = self.netns.clock
        if not clock.has(self.timer_target):
            clock.bind(self.timer_target, self.timer, idle=self._timer_is_idle)

    def _timer_is_idle(self, payload: tuple[tuple[int, int, int, int, int], int]) -> bool:
        """Whether the timer of a clock event waits for nothing any more."""
        key, event_ns = payload
        connection = self.connections.get(key)
        return connection is None or connection.is_idle(event_ns)

    def timer(self, payload: tuple[tuple[int, int, int, int, int], int]) -> None:
        """A connection's timer went off (a clock event of this namespace)."""
        key, event_ns = payload
        connection = self.connections.get(key)
        if connection is not None:
            connection.timer(event_ns)

    def _ignore(self, skb: Skb, sock: Socket | None) -> None:
        """IGMP and the like end here."""

    def fork(self, netns: Netns) -> Sockets:
        copy = Sockets(netns)
        copy.groups = self.groups.copy()
        for entries in self.bound.values():
            for sock in entries:
                copy.attach(sock.fork(netns))
        for key, connection in self.connections.items():
            copy.connections[key] = connection.fork(netns)
        if copy.connections:
            copy.await_timers()
        return copy


#: Protocols that the kernel takes without a socket and without an answer.
SILENT = frozenset((4, 41))
NO_NEXT_HEADER = 59
_PROTOCOL_INPUT = {
    UDP: Sockets._udp_input,
    TCP: Sockets._tcp_input,
    ICMP: Sockets._icmp_input,
    ICMPV6: Sockets._icmp_input,
    IGMP: Sockets._ignore,
}


def _next_header_pointer(skb: Skb) -> int:
    """Where the next-header byte stands that named the unknown protocol."""
    place, offset = 6, 40
    while offset < skb.l4 and offset + 1 < len(skb.data):
        place = offset
        offset += 8 + (skb.data[offset + 1] * 8 if skb.data[place] != 44 else 0)
    return place


def _stretched(quoted: bytes) -> bytes:
    """A quotation cut short, padded to the length that its header claims."""
    if len(quoted) >= 20 and quoted[0] >> 4 == 4:
        return quoted.ljust(min(quoted[2] << 8 | quoted[3], 65535), b"\0")
    if len(quoted) >= 40 and quoted[0] >> 4 == 6:
        return quoted.ljust(40 + (quoted[4] << 8 | quoted[5]), b"\0")
    return quoted
