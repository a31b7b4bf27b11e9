"""Clients and servers of the `ipvs` recordings: the packets that real sockets would send, through one director."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.kernel import icmp
from fakecluster.kernel.effects import Effect, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, UDP, Skb
from fakecluster.rules.ipvsadm_endpoint import endpoint, endpoint_text

End = tuple[int, int, int]  # family, address, port
CLIENTS, SERVERS = "clients", "servers"
#: When a SYN without an answer is sent again, in seconds after the first.
SYN_RETRIES_S = (1.0, 3.0)
#: What the director's clients and servers live in; anything else is the director's own.
CLIENT_NETWORKS = ("192.168.0.0/16", "fd50::/16")
SERVER_NETWORKS = ("10.244.0.0/16", "fd44::/16")


def end_of(text: str) -> End:
    found = endpoint(text)
    assert found is not None, text
    return found


def director() -> Netns:
    """A host between the clients' network and the servers', that forwards."""
    netns = Netns("director")
    for name in (CLIENTS, SERVERS):
        netns.add_interface(name, noarp=True)
    netns.add_interface("kube-ipvs0", kind="dummy", noarp=True)
    netns.run("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    for name, networks in ((CLIENTS, CLIENT_NETWORKS), (SERVERS, SERVER_NETWORKS)):
        for network in networks:
            netns.run(f"ip {'-6 ' if ':' in network else ''}route add {network} dev {name}")
    return netns


@attrs.define
class Flow:
    """An open connection: the two ends as each knows the other, and the numbers of the next bytes."""

    client: End
    virtual: End
    server: End
    client_next: int = 1001
    server_next: int = 5001


#: One side of a connection sends a segment with these flags; returns what arrived.
Side = Callable[[Flow, int], list[Skb]]


@attrs.frozen
class Outcome:
    """How an operation ended, in the words of a recording: the server reached, or an error."""

    server: str | None = None
    error: dict[str, Any] = attrs.field(factory=dict)
    elapsed_s: float = 0.0


class Wire:
    """Both sides of one director."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        self.flows: dict[str, Flow] = {}

    def connect(self, client: str, virtual: str, timeout_s: float) -> Outcome:
        """Open a TCP connection, sending the SYN again until it is answered or time is over."""
        source, target = end_of(client), end_of(virtual)
        waited = 0.0
        for at in (0.0, *SYN_RETRIES_S):
            if at > timeout_s:
                break
            self.netns.clock.advance(at - waited)
            waited = at
            outcome = self._handshake(client, source, target)
            if outcome is not None:
                return attrs.evolve(outcome, elapsed_s=waited)
        self.netns.clock.advance(timeout_s - waited)
        return Outcome(error={"error": "timeout"})

    def _handshake(self, client: str, source: End, target: End) -> Outcome | None:
        arrived = self._send(CLIENTS, segment(source, target, SYN, 1000, 0))
        reached = _to_server(arrived)
        if reached is None:
            error = _error(arrived)
            return Outcome(error=error) if error else None
        server = (reached.family, reached.dst, reached.dport)
        back = self._send(SERVERS, segment(server, source, SYN | ACK, 5000, 1001))
        if not any(_is_from(packet, target, source) for packet in back):
            return None
        flow = self.flows[client] = Flow(source, target, server)
        self.from_client(flow, ACK)
        return Outcome(server=endpoint_text(*server))

    def data(self, client: str) -> Outcome:
        """One byte from the client; the server acknowledges it."""
        flow = self.flows[client]
        arrived = self.from_client(flow, PSH | ACK, b"x")
        if _to_server(arrived) is not None:
            self.from_server(flow, ACK)
            return Outcome(server=endpoint_text(*flow.server))
        del self.flows[client]
        return Outcome(error={"error": "ECONNRESET" if _is_reset(arrived) else "timeout"})

    def close(self, client: str, how: str) -> None:
        """End a connection in one of the ways of the recordings."""
        flow = self.flows.pop(client)
        first, second = (self.from_client, self.from_server)
        if how in ("server-fin", "half-server", "server-rst"):
            first, second = second, first
        if how in ("rst", "server-rst"):
            first(flow, RST | ACK)
        elif how != "vanish":
            self._finish(flow, first, second)
            if not how.startswith("half"):
                self._finish(flow, second, first)

    def _finish(self, flow: Flow, one: Side, other: Side) -> None:
        """A FIN, acknowledged when it arrives; if it does not, the socket is destroyed all the same."""
        if one(flow, FIN | ACK):
            other(flow, ACK)

    def from_client(self, flow: Flow, flags: int, data: bytes = b"") -> list[Skb]:
        sequence = flow.client_next
        flow.client_next += len(data) + bool(flags & FIN)
        return self._send(CLIENTS, segment(flow.client, flow.virtual, flags, sequence, flow.server_next, data))

    def from_server(self, flow: Flow, flags: int, data: bytes = b"") -> list[Skb]:
        sequence = flow.server_next
        flow.server_next += len(data) + bool(flags & FIN)
        return self._send(SERVERS, segment(flow.server, flow.client, flags, sequence, flow.client_next, data))

    def datagram(self, client: str, virtual: str, *, answered: bool) -> Outcome:
        """One UDP datagram, which the server answers or not."""
        source, target = end_of(client), end_of(virtual)
        arrived = self._send(CLIENTS, datagram(source, target))
        reached = _to_server(arrived)
        if reached is None:
            return Outcome(error=_error(arrived) or {"error": "timeout"})
        server = (reached.family, reached.dst, reached.dport)
        if answered:
            self._send(SERVERS, datagram(server, source))
        return Outcome(server=endpoint_text(*server))

    def _send(self, iface: str, packet: bytes) -> list[Skb]:
        """What the director sends on when this arrives."""
        effects: list[Effect] = self.netns.receive(packet, iface)
        self.netns.clock.settle()
        return [Skb(effect.packet, iif=effect.iface) for effect in effects if isinstance(effect, Transmit)]


def _to_server(packets: list[Skb]) -> Skb | None:
    return next((packet for packet in packets if packet.iif == SERVERS), None)


def _is_from(packet: Skb, source: End, target: End) -> bool:
    ends = (packet.src, packet.sport, packet.dst, packet.dport)
    return packet.iif == CLIENTS and ends == (*source[1:], *target[1:])


def _error(packets: list[Skb]) -> dict[str, Any]:
    for packet in packets:
        if packet.proto in (ICMP, ICMPV6):
            kind, code = packet.data[packet.l4], packet.data[packet.l4 + 1]
            return {"error": "icmp" if packet.proto == ICMP else "icmp6", "type": kind, "code": code}
    return {"error": "rst"} if _is_reset(packets) else {}


def _is_reset(packets: list[Skb]) -> bool:
    return any(packet.iif == CLIENTS and packet.tcp_flags & RST for packet in packets)


def segment(source: End, target: End, flags: int, sequence: int, acknowledged: int, data: bytes = b"") -> bytes:
    header = source[2].to_bytes(2) + target[2].to_bytes(2) + sequence.to_bytes(4) + acknowledged.to_bytes(4)
    header += bytes((0x50, flags)) + (64240).to_bytes(2) + bytes(4)
    return _packet(source, target, TCP, header + data)


def datagram(source: End, target: End, data: bytes = b"hello") -> bytes:
    header = source[2].to_bytes(2) + target[2].to_bytes(2) + (8 + len(data)).to_bytes(2) + bytes(2)
    return _packet(source, target, UDP, header + data)


def _packet(source: End, target: End, protocol: int, payload: bytes) -> bytes:
    if source[0] == 4:
        header = icmp.ipv4_header(source[1], target[1], protocol, len(payload), df=True)
    else:
        header = icmp.ipv6_header(source[1], target[1], protocol, len(payload))
    skb = Skb(bytes(header) + payload)
    skb.refresh_l4_checksum()
    return bytes(skb.data)
