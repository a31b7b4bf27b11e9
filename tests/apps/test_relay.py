"""The relay of userspace mode: its round robin, and a node that relays to two Pods."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from fakecluster.apps.echo import Echo
from fakecluster.apps.relay import Balancer, Relays
from fakecluster.errors import CommandError
from fakecluster.fabric.network import Network
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim import Clock, Seeded

S = 1_000_000_000
ONE, TWO = (1, 80), (2, 80)


def _takes(balancer: Balancer, *clients: int, now_ns: int = 0) -> tuple[list[object], Balancer]:
    found = []
    for client in clients:
        endpoint, balancer = balancer.take(client, now_ns, anew=False)
        found.append(endpoint)
    return found, balancer


def test_endpoints_are_taken_in_turn():
    found, _ = _takes(Balancer((ONE, TWO)), 7, 7, 8)
    assert found == [ONE, TWO, ONE]


def test_nothing_is_taken_where_there_is_nothing():
    assert Balancer().take(7, 0, anew=False) == (None, Balancer())


def test_a_client_keeps_its_endpoint_while_affinity_lasts():
    balancer = Balancer((ONE, TWO), affinity_s=10)
    found, balancer = _takes(balancer, 7, 8, 7, 8)
    assert found == [ONE, TWO, ONE, TWO]
    assert _takes(balancer, 7, now_ns=9 * S)[0] == [ONE]
    assert _takes(balancer, 8, now_ns=10 * S)[0] == [ONE]  # over: the next in turn


def test_affinity_is_renewed_by_every_connection():
    _, balancer = _takes(Balancer((ONE, TWO), affinity_s=10), 7)
    _, balancer = _takes(balancer, 7, now_ns=9 * S)
    assert _takes(balancer, 7, now_ns=18 * S)[0] == [ONE]


def test_a_failed_attempt_disregards_affinity():
    _, balancer = _takes(Balancer((ONE, TWO), affinity_s=10), 7)
    endpoint, balancer = balancer.take(7, 0, anew=True)
    assert endpoint == TWO
    assert _takes(balancer, 7)[0] == [TWO]


def test_clients_of_endpoints_that_are_gone_are_forgotten():
    _, balancer = _takes(Balancer((ONE, TWO), affinity_s=10), 7, 8)
    after = balancer.serving((TWO, (3, 80)), 10)
    assert set(after.sticky) == {8}
    assert after.next_index == 0


# -- on a node -----------------------------------------------------------------------------------------------------

CLIENT, POD_1, POD_2, NODE = "10.0.0.2", "10.0.0.11", "10.0.0.12", "10.0.0.1"


class World:
    """A node, a client and two Pods on one segment; the node relays port 1000 to the Pods' port 80."""

    def __init__(self, protocol: str = "TCP", **serve: int) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, Seeded(0))
        self.hosts = {ip: self.network.add(f"ns-{ip}") for ip in (NODE, CLIENT, POD_1, POD_2)}
        for ip, netns in self.hosts.items():
            self.network.plug("lan", netns.name, "eth0")
            netns.run(f"ip address add {ip}/24 dev eth0")
        for ip in (POD_1, POD_2):
            self.hosts[ip].sockets.bind(protocol.lower(), 80, Echo(ip))
        self.relays = Relays(self.hosts[NODE])
        self.port = self.relays.open(protocol, "0.0.0.0", 1000, idle_s=0.25)
        self.relays.serve(protocol, 1000, ((POD_1, 80), (POD_2, 80)), affinity_s=serve.get("affinity_s", 0))

    @property
    def client(self) -> Netns:
        return self.hosts[CLIENT]

    def connect(self) -> TcpConnection:
        connection = self.client.sockets.connect(int(ip_address(NODE)), 1000)
        self.clock.settle()
        return connection

    def ask(self, connection: TcpConnection, text: bytes = b"hi") -> bytes:
        """What the server answers, as far as it has come by now."""
        connection.send(text)
        self.clock.settle()
        answer, connection.incoming = bytes(connection.incoming), bytearray()
        return answer

    def silence(self, ip: str) -> None:
        self.hosts[ip].run("iptables -A INPUT -p tcp --dport 80 -j DROP")


def test_connections_are_relayed_in_turn_and_the_clients_address_is_lost():
    world = World()
    answers = [world.ask(world.connect()).split()[:2] for _ in range(3)]
    assert [server for server, _ in answers] == [b"server=10.0.0.11", b"server=10.0.0.12", b"server=10.0.0.11"]
    assert all(client.startswith(b"client=10.0.0.1:") for _, client in answers)


def test_an_endpoint_that_refuses_is_passed_over_at_once():
    world = World()
    (sock,) = world.hosts[POD_1].sockets.bound[6, 80]
    sock.close()
    assert world.ask(world.connect()).startswith(b"server=10.0.0.12 ")
    assert world.clock.now_s == 0


def test_an_endpoint_that_is_silent_is_given_up_after_a_quarter_of_a_second():
    world = World()
    world.silence(POD_1)
    connection = world.connect()
    assert world.ask(connection) == b""
    world.clock.advance(0.24)
    assert connection.incoming == b""
    world.clock.advance(0.02)
    assert bytes(connection.incoming).startswith(b"server=10.0.0.12 ")


def test_after_four_attempts_the_client_is_cut_off():
    world = World()
    world.silence(POD_1)
    world.silence(POD_2)
    connection = world.connect()
    world.clock.advance(3.7)
    assert not connection.peer_closed
    world.clock.advance(0.1)  # 0.25 + 0.5 + 1 + 2 s are over
    assert connection.peer_closed


def test_without_endpoints_the_client_is_cut_off_at_once():
    world = World()
    world.relays.serve("TCP", 1000, (), affinity_s=0)
    assert world.connect().peer_closed


def test_a_second_client_waits_until_the_first_has_its_endpoint():
    world = World()
    world.silence(POD_1)
    first, second = world.connect(), world.connect()
    assert world.ask(second) == b""
    world.clock.advance(0.3)
    assert world.ask(first).startswith(b"server=10.0.0.12 ")
    assert bytes(second.incoming) == b""  # now it is the second's turn, and the silent Pod's again
    world.clock.advance(0.3)
    assert bytes(second.incoming).startswith(b"server=10.0.0.12 ")


def test_the_end_of_one_side_closes_both():
    world = World()
    connection = world.connect()
    world.ask(connection)
    connection.close()
    world.clock.settle()
    assert connection.peer_closed
    world.clock.advance(120)
    assert world.hosts[NODE].sockets.connections == {}


def test_what_was_relayed_lives_on_when_the_port_closes():
    world = World()
    connection = world.connect()
    world.relays.close("TCP", 1000)
    assert world.ask(connection).startswith(b"server=10.0.0.11 ")
    with pytest.raises(AssertionError, match="no relay on TCP port 1000"):
        world.relays.serve("TCP", 1000, (), affinity_s=0)


def test_a_copy_of_the_node_relays_by_itself():
    world = World()
    world.connect()
    clock = world.clock.fork()
    network = world.network.fork(clock, Seeded(1))
    Relays(network.namespaces["ns-10.0.0.1"])
    connection = network.namespaces["ns-10.0.0.2"].sockets.connect(int(ip_address(NODE)), 1000)
    clock.settle()
    connection.send(b"hi")
    clock.settle()
    assert bytes(connection.incoming).startswith(b"server=10.0.0.12 ")
    assert world.ask(world.connect()).startswith(b"server=10.0.0.12 ")


def test_a_udp_client_keeps_its_endpoint_until_it_is_idle():
    world = World("UDP")
    sock = world.client.sockets.bind("udp", 5000)
    sock.context["inbox"] = True

    def ask() -> bytes:
        sock.send_to(b"hi", int(ip_address(NODE)), 1000)
        world.clock.settle()
        return sock.received[-1][0].split()[0]

    assert [ask(), ask()] == [b"server=10.0.0.11"] * 2
    world.clock.advance(0.2)
    assert ask() == b"server=10.0.0.11"
    world.clock.advance(0.3)
    assert ask() == b"server=10.0.0.12"


def test_a_port_in_use_is_refused_in_gos_words():
    world = World()
    with pytest.raises(CommandError, match=r"listen tcp 0\.0\.0\.0:1000: bind: address already in use"):
        world.relays.open("TCP", "0.0.0.0", 1000, idle_s=0.25)
