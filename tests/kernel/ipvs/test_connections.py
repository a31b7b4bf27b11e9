"""The connection table: states, timeouts, reuse of ports, removed and quiescent destinations, forks."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakecluster.errors import CommandError
from fakecluster.kernel.packet import ACK, FIN, RST, SYN
from fakecluster.sim import Scripted

CLIENT, VIRTUAL = "10.1.0.5:1000", "10.96.0.1:80"
SERVICE = f"-t {VIRTUAL}"
ONE, TWO = "10.2.0.1:80", "10.2.0.2:80"


def state(director):
    return director.entries()[0][0]


def expires(director):
    return director.run("ipvsadm -Lnc").splitlines()[2].split()[1]


def sysctl(director, **values):
    for name, value in values.items():
        director.run(f"sysctl -w net.ipv4.vs.{name}={value}")


# --- states of TCP


@pytest.mark.parametrize(
    ("segments", "expected", "left"),
    [
        ((), "ESTABLISHED", "15:00"),
        ((("client", FIN | ACK),), "CLOSE_WAIT", "01:00"),
        ((("server", FIN | ACK),), "FIN_WAIT", "02:00"),
        ((("client", FIN | ACK), ("server", ACK), ("server", FIN | ACK)), "TIME_WAIT", "02:00"),
        ((("server", FIN | ACK), ("client", FIN | ACK)), "TIME_WAIT", "02:00"),
        ((("client", RST),), "CLOSE", "00:10"),
        ((("server", RST),), "CLOSE", "00:10"),
        ((("client", FIN | ACK), ("client", ACK)), "CLOSE_WAIT", "01:00"),
        ((("client", SYN),), "ESTABLISHED", "15:00"),
    ],
)
def test_segments_of_either_side_move_the_state(director, wire, segments, expected, left):
    director.serve(ONE)
    director.connect()
    for side, flags in segments:
        source, target, iface = (CLIENT, VIRTUAL, "eth0") if side == "client" else (ONE, CLIENT, "eth1")
        director.receive(wire.tcp(source, target, flags), iface)
    assert (state(director), expires(director)) == (expected, left)
    assert director.counts() == {ONE: (1, 0) if expected == "ESTABLISHED" else (0, 1)}


def test_a_half_open_connection_is_active_and_lives_a_minute(director):
    director.serve(ONE)
    director.syn()
    assert (state(director), expires(director), director.counts()) == ("SYN_RECV", "01:00", {ONE: (1, 0)})
    director.clock.advance(59.9)
    assert director.counts() == {ONE: (1, 0)}
    director.clock.advance(0.1)
    assert (director.entries(), director.counts()) == ([], {ONE: (0, 0)})


def test_every_packet_begins_the_timeout_anew(director, wire):
    director.serve(ONE)
    director.connect()
    director.clock.advance(899)
    director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))
    director.clock.advance(899)
    assert director.counts() == {ONE: (1, 0)}
    director.clock.advance(1)
    assert director.counts() == {ONE: (0, 0)}


def test_a_secure_state_table_waits_for_the_server(director, wire):
    sysctl(director, secure_tcp=3)
    director.serve(ONE)
    director.syn()
    director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))
    assert state(director) == "SYN_RECV"
    director.receive(wire.tcp(ONE, CLIENT, ACK), "eth1")
    assert state(director) == "ESTABLISHED"


def test_a_sloppy_director_opens_connections_in_the_middle(director, wire):
    director.serve(ONE)
    sysctl(director, sloppy_tcp=1)
    assert director.fate(director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))) == ONE
    assert state(director) == "ESTABLISHED"


# --- a client's port is used again


def finished(director, wire):
    """A connection in TIME_WAIT at the server TWO."""
    director.serve(ONE, TWO)
    director.connect()
    director.receive(wire.tcp(TWO, CLIENT, FIN | ACK), "eth1")
    director.receive(wire.tcp(CLIENT, VIRTUAL, FIN | ACK))


@pytest.mark.parametrize(("mode", "server"), [(0, TWO), (1, ONE)])
def test_a_syn_on_an_ended_connection_is_scheduled_anew_unless_told_otherwise(director, wire, mode, server):
    sysctl(director, conn_reuse_mode=mode)
    finished(director, wire)
    assert director.syn() == server
    assert len(director.entries()) == 1


def test_a_syn_on_an_open_connection_stays_with_its_server(director):
    director.serve(ONE, TWO)
    assert director.connect() == TWO
    assert director.syn() == TWO


def test_a_syn_leaves_a_quiescent_server_only_with_expire_nodest_conn(director):
    director.serve(ONE, TWO)
    assert director.connect() == TWO
    director.run(f"ipvsadm -e {SERVICE} -r {TWO} -m -w 0")
    assert director.syn() == TWO
    sysctl(director, expire_nodest_conn=1)
    assert director.syn() == ONE
    assert director.counts() == {TWO: (0, 0), ONE: (1, 0)}


def test_a_flow_that_conntrack_still_holds_loses_one_syn(director):
    sysctl(director, conntrack=1, expire_nodest_conn=1)
    director.run("iptables -A FORWARD -m conntrack --ctstate INVALID")
    director.serve(ONE, TWO)
    assert director.connect() == TWO
    director.run(f"ipvsadm -e {SERVICE} -r {TWO} -m -w 0")
    assert director.syn() == ""
    assert director.entries() == []
    assert director.syn() == ONE


# --- destinations that go


def test_packets_for_a_removed_server_are_dropped_silently(director, wire):
    director.serve(ONE, TWO)
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    assert director.receive(wire.tcp(CLIENT, VIRTUAL, ACK)) == []
    assert director.syn() == ""


def test_a_server_that_comes_back_finds_its_connections(director, wire):
    director.serve(ONE, TWO)
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    director.receive(wire.tcp(TWO, CLIENT, FIN | ACK), "eth1")
    director.run(f"ipvsadm -a {SERVICE} -r {TWO} -m")
    assert director.counts() == {TWO: (0, 1), ONE: (0, 0)}
    assert director.fate(director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))) == TWO


def test_connections_of_a_removed_server_go_at_once_when_told_so(director, wire):
    sysctl(director, expire_nodest_conn=1)
    director.serve(ONE, TWO)
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    director.clock.settle()
    assert director.entries() == []
    (reset,) = director.receive(wire.tcp(CLIENT, VIRTUAL, ACK))
    assert reset.tcp_flags == RST


def test_a_server_replaced_within_a_moment_keeps_its_connections_all_the_same(director):
    sysctl(director, expire_nodest_conn=1)
    director.serve(ONE, TWO)
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    director.run(f"ipvsadm -a {SERVICE} -r {TWO} -m")
    director.clock.settle()
    assert director.counts() == {TWO: (1, 0), ONE: (0, 0)}


def test_a_datagram_moves_on_when_its_server_is_removed(director, wire):
    service = "-u 10.96.0.1:53"
    director.serve("10.2.0.1:53", "10.2.0.2:53", service=service)
    datagram = wire.udp(CLIENT, "10.96.0.1:53")
    assert director.fate(director.receive(datagram)) == "10.2.0.2:53"
    director.run(f"ipvsadm -d {service} -r 10.2.0.2:53")
    assert director.receive(datagram) == []
    sysctl(director, expire_nodest_conn=1)
    assert director.fate(director.receive(datagram)) == "10.2.0.1:53"


def test_a_datagram_of_one_packet_scheduling_leaves_nothing_behind(director, wire):
    director.serve("10.2.0.1:53", "10.2.0.2:53", service="-u 10.96.0.1:53", options="-s rr -o")
    datagram = wire.udp(CLIENT, "10.96.0.1:53")
    fates = [director.fate(director.receive(datagram)) for _ in range(4)]
    assert fates == ["10.2.0.2:53", "10.2.0.1:53", "10.2.0.2:53", "10.2.0.1:53"]
    assert director.entries() == []
    assert set(director.counts("-u 10.96.0.1:53").values()) == {(0, 0)}


def test_every_tenth_new_connection_is_dropped_in_the_strongest_defence(director):
    director.serve(ONE)
    sysctl(director, drop_packet=3)
    fates = [director.syn(f"10.1.0.5:{port}") for port in range(2000, 2021)]
    assert [number for number, fate in enumerate(fates) if fate == ""] == [0, 10, 20]


def test_half_open_entries_are_dropped_at_random_in_the_strongest_defence(director, wire):
    director.serve(ONE)
    sysctl(director, drop_entry=3)
    director.syn()
    director.syn("10.1.0.5:1001")
    director.connect("10.1.0.5:1002")
    # of a script's choices each takes the first: the entry is looked at
    director.clock.advance(1)
    assert [entry[:2] for entry in director.entries()] == [("ESTABLISHED", "10.1.0.5:1002")]
    assert [choice.weights for choice in director.netns.choices.taken] == [(1, 31)] * 3
    director.clock.advance(58)
    assert len(director.entries()) == 1
    director.clock.advance(3)  # quiet for a minute, and with two packets only: one in two such entries goes
    assert director.entries() == []
    looked = len(director.netns.choices.taken)
    director.clock.advance(10)
    assert len(director.netns.choices.taken) == looked


# --- what always holds


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_accepted_connection_is_counted_at_exactly_one_server(wire, data):
    director = wire.director()
    scheduler = data.draw(st.sampled_from(["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "sh", "mh", "lblcr"]))
    director.serve(ONE, TWO, "10.2.0.3:80", options=f"-s {scheduler}")
    accepted = 0
    for port in range(1000, 1000 + data.draw(st.integers(1, 25))):
        accepted += director.connect(f"10.1.0.{port % 7 + 1}:{port}").startswith("10.2.")
        if data.draw(st.booleans()):
            director.receive(wire.tcp(f"10.1.0.{port % 7 + 1}:{port}", VIRTUAL, FIN | ACK))
    assert sum(active + inactive for active, inactive in director.counts().values()) == accepted
    assert len(director.entries()) == accepted
    director.clock.advance(1000)
    assert set(director.counts().values()) == {(0, 0)}


OPERATIONS = st.one_of(
    st.tuples(st.just("syn"), st.integers(1000, 1005)),
    st.tuples(st.just("connect"), st.integers(1000, 1005)),
    st.tuples(st.just("finish"), st.integers(1000, 1005)),
    st.tuples(st.just("weigh"), st.integers(1, 3), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(1, 3)),
    st.tuples(st.just("add"), st.integers(1, 3)),
    st.tuples(st.just("wait"), st.sampled_from([1, 11, 61, 130])),
)


def perform(director, wire, name, *values):
    """Carry out an operation; returns all that can be seen after it."""
    client = f"10.1.0.5:{values[0]}"
    server = f"-r 10.2.0.{values[0]}:80"
    if name in ("syn", "connect"):
        seen = director.syn(client) if name == "syn" else director.connect(client)
    elif name == "finish":
        seen = len(director.receive(wire.tcp(client, VIRTUAL, FIN | ACK)))
    elif name == "wait":
        seen = director.clock.advance(values[0])
    else:
        verb = {"weigh": "-e", "remove": "-d", "add": "-a"}[name]
        more = {"weigh": f"-m -w {values[-1]}", "remove": "", "add": "-m"}[name]
        try:
            seen = director.run(f"ipvsadm {verb} {SERVICE} {server} {more}")
        except CommandError as refused:
            seen = refused.stderr
        director.clock.settle()
    return seen, director.counts(), director.run("ipvsadm -Lnc"), director.run("ipvsadm -Ln --stats")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheduler=st.sampled_from(["rr", "wrr", "wlc", "lblcr", "mh", "rr -p 20"]),
    expire=st.booleans(),
    before=st.lists(OPERATIONS, max_size=8),
    after=st.lists(OPERATIONS, max_size=8),
)
def test_a_fork_answers_as_its_origin_would_have(wire, scheduler, expire, before, after):
    director = wire.director()
    sysctl(director, expire_nodest_conn=int(expire))
    director.serve(ONE, TWO, "10.2.0.3:80", options=f"-s {scheduler}")
    for operation in before:
        perform(director, wire, *operation)
    copies = [wire.director(director.netns.fork(director.clock.fork(), Scripted())) for _ in range(2)]
    in_the_copy = [perform(copies[0], wire, *operation) for operation in after]
    in_the_origin = [perform(director, wire, *operation) for operation in after]
    in_the_other_copy = [perform(copies[1], wire, *operation) for operation in after]
    assert in_the_copy == in_the_origin == in_the_other_copy


def test_a_fork_goes_its_own_way_from_where_its_origin_stood(director, wire):
    director.serve(ONE, TWO)
    director.connect()
    copy = wire.director(director.netns.fork(director.clock.fork(), Scripted()))
    assert copy.fate(copy.receive(wire.tcp(CLIENT, VIRTUAL, ACK))) == TWO
    assert copy.syn("10.1.0.5:1001") == ONE
    copy.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    assert copy.counts() == {ONE: (1, 0)}
    assert director.counts() == {TWO: (1, 0), ONE: (0, 0)}
    assert director.syn("10.1.0.5:1001") == ONE
    director.receive(wire.tcp(CLIENT, VIRTUAL, RST))
    director.clock.advance(10)
    assert director.counts() == {TWO: (0, 0), ONE: (1, 0)}
    copy.run(f"ipvsadm -a {SERVICE} -r {TWO} -m")
    assert copy.counts() == {TWO: (1, 0), ONE: (1, 0)}
    copy.clock.advance(900)
    assert copy.counts() == {TWO: (0, 0), ONE: (0, 0)}


def test_a_fork_of_a_fork_keeps_removed_servers_apart(director, wire):
    director.serve(ONE, TWO)
    director.connect()
    director.run(f"ipvsadm -d {SERVICE} -r {TWO}")
    copies = [wire.director(director.netns.fork(director.clock.fork(), Scripted())) for _ in range(2)]
    copies[0].receive(wire.tcp(CLIENT, VIRTUAL, RST))
    copies[0].receive(wire.tcp(TWO, CLIENT, RST), "eth1")
    for each in (director, *copies):
        each.run(f"ipvsadm -a {SERVICE} -r {TWO} -m")
    assert [each.counts()[TWO] for each in (director, *copies)] == [(1, 0), (0, 1), (1, 0)]
