"""Packets through IPVS: translated, routed directly, in tunnels, to this host; what comes back; ICMP errors."""

import pytest

from fakecluster.kernel import icmp
from fakecluster.kernel.effects import Drop, SendError, Transmit
from fakecluster.kernel.packet import ACK, SYN, Skb
from fakecluster.rules.ipvsadm_endpoint import endpoint, endpoint_text
from fakecluster.trace import Trace

CLIENT, VIRTUAL, SERVER = "10.1.0.5:1000", "10.96.0.1:80", "10.2.0.7:8080"


def ends(skb):
    source = endpoint_text(skb.family, skb.src, skb.sport)
    return source, endpoint_text(skb.family, skb.dst, skb.dport)


def address(text):
    return endpoint(text)[1]


# --- masquerading


def test_a_request_is_sent_to_the_server_and_its_answer_comes_from_the_service(director, wire):
    director.serve(SERVER)
    (request,) = director.receive(wire.tcp(CLIENT, VIRTUAL, SYN))
    assert (request.iif, *ends(request), request.ttl) == ("eth1", CLIENT, SERVER, 63)
    (answer,) = director.receive(wire.tcp(SERVER, CLIENT, SYN | ACK), "eth1")
    assert (answer.iif, *ends(answer), answer.ttl) == ("eth0", VIRTUAL, CLIENT, 63)
    assert request.l4_checksum_ok() and answer.l4_checksum_ok()
    assert director.entries() == [("SYN_RECV", CLIENT, VIRTUAL, SERVER)]


def test_ipv6_is_balanced_alike(director, wire):
    client, virtual, server = "[fd01::5]:1000", "[fd96::1]:80", "[fd02::7]:8080"
    director.serve(server, service=f"-t {virtual}")
    (request,) = director.receive(wire.tcp(client, virtual, SYN))
    assert (request.iif, *ends(request), request.ttl) == ("eth1", client, server, 63)
    (answer,) = director.receive(wire.tcp(server, client, SYN | ACK), "eth1")
    assert ends(answer) == (virtual, client)


def test_no_server_means_port_unreachable_whatever_the_protocol(director, wire):
    director.serve()
    director.serve(service="-u 10.96.0.1:53")
    director.serve(service="-t [fd96::1]:80")
    for packet in (wire.tcp(CLIENT, VIRTUAL, SYN), wire.udp(CLIENT, "10.96.0.1:53")):
        (error,) = director.receive(packet)
        assert (error.iif, error.src, director.fate([error])) == ("eth0", address(VIRTUAL), "icmp 3/3")
    assert director.syn("[fd01::5]:1000", "[fd96::1]:80") == "icmp 1/4"
    assert director.entries() == []


def test_a_local_sender_is_refused_with_an_error_and_eperm(director, wire):
    director.serve()
    with pytest.raises(SendError, match="Operation not permitted"):
        director.netns.send_local(wire.tcp("10.96.0.1:1000", VIRTUAL, SYN))


def test_a_local_client_reaches_the_server_and_hears_its_answer(director, wire):
    director.serve(SERVER)
    (request,) = director.send_local(wire.tcp("10.2.0.254:1000", VIRTUAL, SYN))
    assert (request.iif, *ends(request), request.ttl) == ("eth1", "10.2.0.254:1000", SERVER, 63)
    (answer,) = director.delivered(wire.tcp(SERVER, "10.2.0.254:1000", SYN | ACK), "eth1")
    assert ends(answer) == (VIRTUAL, "10.2.0.254:1000")


def test_a_server_on_this_host_gets_the_packet_translated(director, wire):
    director.serve("10.2.0.254:8080")
    (request,) = director.delivered(wire.tcp(CLIENT, VIRTUAL, SYN))
    assert (ends(request), request.ttl) == ((CLIENT, "10.2.0.254:8080"), 64)
    (answer,) = director.send_local(wire.tcp("10.2.0.254:8080", CLIENT, SYN | ACK))
    assert (answer.iif, *ends(answer)) == ("eth0", VIRTUAL, CLIENT)


def test_a_stray_segment_passes_to_the_hosts_own_stack(director, wire):
    director.serve(SERVER)
    (reset,) = director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))
    assert (reset.tcp_flags, *ends(reset)) == (4, VIRTUAL, CLIENT)


def test_the_clients_time_to_live_may_run_out_here(director, wire):
    director.serve(SERVER)
    (error,) = director.receive(wire.tcp(CLIENT, VIRTUAL, SYN, ttl=1))
    assert director.fate([error]) == "icmp 11/0"


def test_packets_that_must_not_be_cut_are_refused_where_the_way_is_narrow(director, wire):
    director.serve(SERVER, service="-u 10.96.0.1:53")
    director.run("ip link set eth1 mtu 600")
    (error,) = director.receive(wire.udp(CLIENT, "10.96.0.1:53", bytes(700)))
    assert director.fate([error]) == "icmp 3/4"
    assert error.data[error.l4 + 6] << 8 | error.data[error.l4 + 7] == 600


def test_an_unroutable_server_means_host_unreachable(director):
    director.serve("172.31.0.1:80")
    assert director.syn() == "icmp 3/1"


def test_services_may_be_found_by_mark_and_by_address_alone(director):
    director.serve("10.2.0.1", service="-f 5")
    director.serve("10.2.0.2", service="-t 10.96.0.2:0", options="-s rr -p 60")
    director.run("iptables -t mangle -A PREROUTING -p tcp --dport 81 -j MARK --set-mark 5")
    assert director.syn(virtual="10.96.0.1:81") == "10.2.0.1:81"
    assert director.syn(virtual="10.96.0.2:9999") == "10.2.0.2:9999"
    assert director.syn("10.1.0.5:1001", virtual="10.96.0.2:81") == "10.2.0.1:81"


def test_an_association_of_sctp_is_followed(director, wire):
    director.serve(SERVER, service="--sctp-service 10.96.0.1:80")

    def chunk(source, target, kind):
        return wire.packet(source, target, 132, bytes(8) + bytes((kind, 0, 0, 4)))

    assert director.fate(director.receive(chunk(CLIENT, VIRTUAL, 1))) == SERVER
    assert director.entries()[0][0] == "INIT1"
    for source, target, kind, iface, state in (
        (SERVER, CLIENT, 2, "eth1", "C-SENT"),
        (CLIENT, VIRTUAL, 10, "eth0", "C-REPLIED"),
        (SERVER, CLIENT, 11, "eth1", "ESTABLISHED"),
        (CLIENT, VIRTUAL, 6, "eth0", "CLOSED"),
    ):
        assert director.receive(chunk(source, target, kind), iface)
        assert director.entries()[0][0] == state
    stray = director.receive(chunk("10.1.0.9:5", VIRTUAL, 0))  # data without an association: for the host itself
    assert director.fate(stray) == "icmp 3/2"


# --- with connection tracking


def test_flows_are_tracked_with_the_server_as_the_source_of_answers(director, wire):
    director.run("sysctl -w net.ipv4.vs.conntrack=1")
    director.run("iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE")
    director.serve(SERVER)
    (request,) = director.receive(wire.tcp(CLIENT, VIRTUAL, SYN))
    assert ends(request) == ("10.2.0.254:1000", SERVER)
    assert "src=10.2.0.7 dst=10.2.0.254 sport=8080 dport=1000" in director.run("conntrack -L")
    (answer,) = director.receive(wire.tcp(SERVER, "10.2.0.254:1000", SYN | ACK), "eth1")
    assert (answer.iif, *ends(answer)) == ("eth0", VIRTUAL, CLIENT)
    director.clock.advance(60)
    assert director.entries() == []
    assert director.run("conntrack -C") == "0\n"


def test_without_it_balanced_packets_are_not_tracked(director, wire):
    director.run("iptables -A FORWARD -m conntrack --ctstate INVALID")
    director.serve(SERVER)
    director.connect()
    assert director.run("conntrack -C") == "0\n"


def test_rules_can_match_what_was_balanced(director, wire):
    director.serve(SERVER)
    director.run("iptables -A OUTPUT -m ipvs --vaddr 10.96.0.1/32 --vport 80 --vproto 6 --vmethod MASQ -j DROP")
    assert director.syn() == ""
    director.run("iptables -F OUTPUT")
    director.run("iptables -A OUTPUT -m ipvs --vaddr 10.96.0.2/32 -j DROP")
    director.run("iptables -A OUTPUT -m ipvs ! --ipvs -j DROP")
    assert director.syn() == SERVER


# --- direct routing and tunnels


def test_direct_routing_leaves_the_packet_and_changes_the_next_hop(director, wire):
    director.serve("10.2.0.7:80", more="-g")
    effects = director.netns.receive(wire.tcp(CLIENT, VIRTUAL, SYN), "eth0")
    (sent,) = [effect for effect in effects if isinstance(effect, Transmit)]
    assert (sent.iface, sent.next_hop, ends(Skb(sent.packet))) == ("eth1", address("10.2.0.7"), (CLIENT, VIRTUAL))
    director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))
    assert director.entries() == [("ESTABLISHED", CLIENT, VIRTUAL, "10.2.0.7:80")]


def test_a_tunnel_carries_the_packet_unchanged(director, wire):
    director.serve("10.2.0.7:80", more="-i")
    (outer,) = director.receive(wire.tcp(CLIENT, VIRTUAL, SYN))
    inner = Skb(bytes(outer.data[outer.l4 :]))
    assert (outer.iif, outer.proto, outer.src, outer.dst) == (
        "eth1",
        4,
        address("10.2.0.254"),
        address("10.2.0.7"),
    )
    assert (ends(inner), inner.ttl, outer.ttl) == ((CLIENT, VIRTUAL), 63, 63)


def test_a_directly_routed_server_on_this_host_just_takes_the_packet(director, wire):
    director.serve("10.2.0.254:80", more="-g")
    (request,) = director.delivered(wire.tcp(CLIENT, VIRTUAL, SYN))
    assert ends(request) == (CLIENT, VIRTUAL)


# --- ICMP errors


def error_about(source, target, packet):
    body = bytearray((3, 3, 0, 0)) + bytes(4) + packet[:28]
    header = icmp.ipv4_header(address(source), address(target), 1, len(body))
    skb = Skb(bytes(header + body))
    skb.refresh_l4_checksum()
    return bytes(skb.data)


def test_a_servers_error_about_a_request_comes_from_the_service(director, wire):
    director.serve(SERVER)
    (request,) = director.receive(wire.tcp(CLIENT, VIRTUAL, SYN))
    (error,) = director.receive(error_about("10.2.0.7", "10.1.0.5", bytes(request.data)), "eth1")
    quoted = Skb(bytes(error.data[error.l4 + 8 :]).ljust(40, b"\0"))
    assert (error.iif, error.src, ends(quoted)) == ("eth0", address(VIRTUAL), (CLIENT, VIRTUAL))
    assert error.l4_checksum_ok()


def test_a_clients_error_about_an_answer_goes_to_the_server(director, wire):
    director.serve(SERVER)
    director.syn()
    (answer,) = director.receive(wire.tcp(SERVER, CLIENT, SYN | ACK), "eth1")
    (error,) = director.receive(error_about("10.1.0.5", "10.96.0.1", bytes(answer.data)))
    quoted = Skb(bytes(error.data[error.l4 + 8 :]).ljust(40, b"\0"))
    assert (error.iif, error.dst, ends(quoted)) == ("eth1", address(SERVER), (SERVER, CLIENT))
    assert error.l4_checksum_ok()


def test_a_ping_to_a_service_address_is_not_balanced(director, wire):
    director.serve(SERVER)
    body = bytearray((8, 0, 0, 0)) + bytes(4)
    body[2:4] = icmp.checksum(body).to_bytes(2)
    ping = bytes(icmp.ipv4_header(address(CLIENT), address(VIRTUAL), 1, len(body)) + body)
    (pong,) = director.receive(ping)
    assert (pong.src, pong.data[pong.l4]) == (address(VIRTUAL), 0)


def test_a_real_server_without_a_client_hears_of_it_when_told_so(director, wire):
    director.serve(SERVER)
    stray = wire.tcp(SERVER, CLIENT, ACK)
    (passed,) = director.receive(stray, "eth1")
    assert ends(passed) == (SERVER, CLIENT)
    director.run("sysctl -w net.ipv4.vs.nat_icmp_send=1")
    assert director.fate(director.receive(stray, "eth1")) == "icmp 3/3"


# --- what is seen of it


def test_a_trace_tells_the_entry_and_what_was_rewritten(director, wire):
    director.serve(SERVER)
    effects = director.netns.receive(wire.tcp(CLIENT, VIRTUAL, SYN), "eth0", trace=True)
    (sent,) = effects
    assert str(Trace((sent.hop,))) == (
        "TCP 10.1.0.5:1000 > 10.96.0.1:80 [S]: transmitted in director at eth1\n"
        " 1  director  [eth0 -> eth1]  TCP 10.1.0.5:1000 > 10.96.0.1:80 [S]\n"
        "      INPUT       ipvs: rr chooses 10.2.0.7:8080\n"
        "      INPUT       ipvs: 10.1.0.5:1000 -> 10.96.0.1:80 -> 10.2.0.7:8080\n"
        "      INPUT       ipvs: dst 10.96.0.1 -> 10.2.0.7\n"
        "      INPUT       ipvs: dport 80 -> 8080\n"
        "      = transmitted eth1"
    )


def test_the_work_that_a_trace_counts_does_not_grow_with_services(director, wire):
    director.serve(SERVER)
    few = director.netns.receive(wire.tcp(CLIENT, VIRTUAL, SYN), "eth0", trace=True)[0].hop.rules_walked
    for port in range(1000, 1200):
        director.serve(SERVER, service=f"-t 10.96.0.1:{port}")
    many = director.netns.receive(wire.tcp("10.1.0.6:1000", VIRTUAL, SYN), "eth0", trace=True)[0].hop.rules_walked
    assert few == many == 2


def test_a_dropped_packet_says_why(director, wire):
    director.serve(SERVER)
    director.run("iptables -A OUTPUT -d 10.2.0.0/16 -j DROP")
    effects = director.netns.receive(wire.tcp(CLIENT, VIRTUAL, SYN), "eth0", trace=True)
    assert [type(effect) for effect in effects] == [Drop]
    assert effects[0].where == "OUTPUT"
