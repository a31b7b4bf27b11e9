"""A director between clients (10.1.0.0/16 by eth0) and servers (10.2.0.0/16 by eth1), with 10.96.0.0/16 its own."""

from __future__ import annotations

import pytest

from fakecluster.kernel import icmp
from fakecluster.kernel.effects import Deliver, SendError, Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import ACK, SYN, TCP, UDP, Skb
from fakecluster.rules.ipvsadm_endpoint import endpoint, endpoint_text
from fakecluster.sim import Clock, Scripted


class Director:
    def __init__(self, netns: Netns | None = None) -> None:
        self.netns = netns or Netns("director", choices=Scripted())
        self.last_port = 1000
        if netns is None:
            for name in ("eth0", "eth1"):
                self.netns.add_interface(name, noarp=True)
            self.run("ip address add 10.1.0.254/16 dev eth0")
            self.run("ip address add 10.2.0.254/16 dev eth1")
            self.run("ip -6 address add fd01::fe/16 dev eth0")
            self.run("ip -6 address add fd02::fe/16 dev eth1")
            self.run("ip link add kube-ipvs0 type dummy")
            for last in (1, 2):
                self.run(f"ip address add 10.96.0.{last}/32 dev kube-ipvs0")
            self.run("ip -6 address add fd96::1/128 dev kube-ipvs0")
            self.run("sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")

    @property
    def clock(self) -> Clock:
        return self.netns.clock

    def run(self, command: str, stdin: str = "") -> str:
        return self.netns.run(command, stdin)

    def free_port(self) -> int:
        """A client's port that was not used before."""
        self.last_port += 1
        return self.last_port

    def serve(self, *servers: str, service: str = "-t 10.96.0.1:80", options: str = "-s rr", more: str = "-m") -> None:
        """A service with its real servers, of which the last is the head of the kernel's list."""
        self.run(f"ipvsadm -A {service} {options}")
        for server in servers:
            self.run(f"ipvsadm -a {service} -r {server} {more}")

    def receive(self, packet: bytes, iface: str = "eth0", *, trace: bool = False) -> list[Skb]:
        """The packets that leave when this one arrives; each says by its `iif` where."""
        effects = self.netns.receive(packet, iface, trace=trace)
        self.clock.settle()
        return [Skb(effect.packet, iif=effect.iface) for effect in effects if isinstance(effect, Transmit)]

    def delivered(self, packet: bytes, iface: str = "eth0") -> list[Skb]:
        effects = self.netns.receive(packet, iface)
        return [Skb(effect.packet, iif=effect.iface) for effect in effects if isinstance(effect, Deliver)]

    def send_local(self, packet: bytes) -> list[Skb]:
        try:
            effects = self.netns.send_local(packet)
        except SendError as error:
            effects = error.effects
        return [Skb(effect.packet, iif=effect.iface) for effect in effects if isinstance(effect, Transmit)]

    def syn(self, client: str = "10.1.0.5:1000", virtual: str = "10.96.0.1:80") -> str:
        """Where a SYN goes: the server's address and port, "icmp 3/3" for an error, "" when nothing leaves."""
        return self.fate(self.receive(tcp(client, virtual, SYN)))

    @staticmethod
    def fate(out: list[Skb]) -> str:
        if not out:
            return ""
        packet = out[0]
        if packet.proto in (1, 58):
            return f"icmp {packet.data[packet.l4]}/{packet.data[packet.l4 + 1]}"
        return endpoint_text(packet.family, packet.dst, packet.dport)

    def connect(self, client: str = "10.1.0.5:1000", virtual: str = "10.96.0.1:80") -> str:
        """A whole handshake; returns the server, or what `syn` says when there is none."""
        server = self.syn(client, virtual)
        if not server.startswith(("10.2.", "[fd02:")):
            return server
        self.receive(tcp(server, client, SYN | ACK), "eth1")
        self.receive(tcp(client, virtual, ACK))
        return server

    def counts(self, service: str = "-t 10.96.0.1:80") -> dict[str, tuple[int, int]]:
        """Active and inactive connections of each server, in the kernel's order."""
        lines = self.run(f"ipvsadm -Ln --nosort {service}").splitlines()[3:]
        rows = [line.split() for line in lines]
        return {row[1]: (int(row[4]), int(row[5])) for row in rows}

    def entries(self) -> list[tuple[str, ...]]:
        """State, client, virtual address and server of every entry."""
        return [tuple(line.split()[2:]) for line in self.run("ipvsadm -Lnc").splitlines()[2:]]


def tcp(source: str, target: str, flags: int, data: bytes = b"", ttl: int = 64) -> bytes:
    body = (1000).to_bytes(4) + bytes(4) + bytes((0x50, flags)) + (64240).to_bytes(2) + bytes(4) + data
    return packet(source, target, TCP, body, ttl)


def udp(source: str, target: str, data: bytes = b"hello") -> bytes:
    return packet(source, target, UDP, (8 + len(data)).to_bytes(2) + bytes(2) + data)


def packet(source: str, target: str, protocol: int, rest: bytes, ttl: int = 64) -> bytes:
    """A packet between two endpoints, whose ports begin the transport header."""
    one, other = endpoint(source), endpoint(target)
    assert one is not None and other is not None
    body = one[2].to_bytes(2) + other[2].to_bytes(2) + rest
    if one[0] == 4:
        header = icmp.ipv4_header(one[1], other[1], protocol, len(body), ttl=ttl, df=True)
    else:
        header = icmp.ipv6_header(one[1], other[1], protocol, len(body), hop_limit=ttl)
    skb = Skb(bytes(header) + body)
    skb.refresh_l4_checksum()
    return bytes(skb.data)


@pytest.fixture
def director() -> Director:
    return Director()


@pytest.fixture
def wire() -> type:
    """How packets are made: `wire.tcp`, `wire.udp`, `wire.packet`, `wire.director` for a copy of a namespace."""

    class Wire:
        pass

    for function in (tcp, udp, packet):
        setattr(Wire, function.__name__, staticmethod(function))
    Wire.director = Director
    return Wire
