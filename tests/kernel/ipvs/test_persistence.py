"""Persistence: templates that lead a client back to its server, as long as they live."""

import pytest

from fakecluster.errors import Unsupported

CLIENT, VIRTUAL = "10.1.0.5:1000", "10.96.0.1:80"
SERVICE = f"-t {VIRTUAL}"
ONE, TWO = "10.2.0.1:80", "10.2.0.2:80"


def expires(director):
    return director.run("ipvsadm -Lnc").splitlines()[2].split()[1]


def sysctl(director, **values):
    for name, value in values.items():
        director.run(f"sysctl -w net.ipv4.vs.{name}={value}")


def test_templates_of_one_packet_services_run_out_too(director, wire):
    director.serve("10.2.0.1:53", "10.2.0.2:53", service="-u 10.96.0.1:53", options="-s rr -o -p 5")
    datagram = wire.udp(CLIENT, "10.96.0.1:53")
    assert {director.fate(director.receive(datagram)) for _ in range(3)} == {"10.2.0.2:53"}
    assert [entry[0] for entry in director.entries()] == ["NONE"]
    director.clock.advance(5)
    assert director.entries() == []


def test_a_client_returns_to_its_server_while_the_template_lives(director, wire):
    director.serve(ONE, TWO, options="-s rr -p 30")
    assert director.syn("10.1.0.5:1000") == TWO
    assert director.syn("10.1.0.6:1000") == ONE
    director.clock.advance(29)
    assert director.syn("10.1.0.5:1001") == TWO
    assert ("NONE", "10.1.0.5:0", VIRTUAL, TWO) in director.entries()


def test_a_template_lives_on_by_minutes_while_its_connections_do(director):
    director.serve(ONE, TWO, options="-s rr -p 30")
    director.connect()
    assert expires(director) == "00:30"
    director.clock.advance(31)
    assert expires(director) == "00:59"
    director.clock.advance(880)  # the connection ended 11 seconds ago, the template's minute did not
    assert (director.entries()[0][0], expires(director)) == ("ASSURED", "00:19")
    director.clock.advance(19)
    assert director.entries() == []


def test_a_mask_sends_a_whole_network_to_one_server(director):
    director.serve(ONE, TWO, options="-s rr -p 30 -M 255.255.255.0")
    assert {director.syn(f"10.1.7.{last}:1000") for last in range(1, 6)} == {TWO}
    assert director.syn("10.1.8.1:1000") == ONE


@pytest.mark.parametrize(("expire", "server"), [(0, TWO), (1, ONE)])
def test_a_quiescent_server_keeps_its_clients_unless_templates_expire(director, expire, server):
    sysctl(director, expire_quiescent_template=expire)
    director.serve(ONE, TWO, options="-s rr -p 30")
    director.connect()
    director.run(f"ipvsadm -e {SERVICE} -r {TWO} -m -w 0")
    assert director.syn("10.1.0.5:1001") == server


def test_clients_of_a_removed_server_get_another(director):
    director.serve(ONE, TWO, options="-s rr -p 30")
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    assert director.syn("10.1.0.5:1001") == ONE
    templates = [entry for entry in director.entries() if entry[1] == "10.1.0.5:0"]
    assert templates == [
        ("ASSURED", "10.1.0.5:0", "10.96.0.1:65535", "10.2.0.2:65535"),
        ("NONE", "10.1.0.5:0", VIRTUAL, ONE),
    ]


def test_a_mark_shares_its_templates_among_ports(director):
    director.serve("10.2.0.1", "10.2.0.2", service="-f 5", options="-s rr -p 30")
    director.run("iptables -t mangle -A PREROUTING -j MARK --set-mark 5")
    assert director.syn(virtual="10.96.0.1:80") == "10.2.0.2:80"
    assert director.syn(virtual="10.96.0.1:443") == "10.2.0.2:443"
    assert "IP  00:30  NONE        10.1.0.5:0         0.0.0.5:0          10.2.0.2:0\n" in director.run("ipvsadm -Lnc")


def test_a_marked_service_without_servers_does_not_bypass(director):
    director.serve(service="-f 5")
    director.run("iptables -t mangle -A PREROUTING -j MARK --set-mark 5")
    assert director.syn() == "icmp 3/3"
    sysctl(director, cache_bypass=1)
    with pytest.raises(Unsupported, match="cache_bypass"):
        director.syn()
