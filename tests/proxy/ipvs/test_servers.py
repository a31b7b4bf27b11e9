"""Virtual servers as ipvsadm lists and changes them."""

from proxy_node_stub import StubNode

from fakecluster.proxy.ipvs.servers import (
    RealServer,
    Scheduling,
    ServerKey,
    ServerReader,
    add_real,
    add_server,
    delete_real,
    delete_server,
    edit_server,
    set_weight,
)

LISTING = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.96.0.10:80 mh persistent 10800 (mh-port)
  -> 10.244.1.9:8080              Masq    1      3          2
  -> 10.244.0.4:8080              Masq    0      0          1
UDP  10.96.0.10:53 rr
FWM  7 rr
  -> 10.9.9.9:0                   Masq    1      0          0
TCP  [fd00:10:96::1]:80 wrr
  -> [fd00:10:244::4]:8080        Masq    1      0          0
"""


def _node() -> StubNode:
    node = StubNode()
    node.answers["ipvsadm -Ln --nosort"] = LISTING
    return node


def test_servers_are_read_with_real_servers_in_the_kernels_order():
    servers = ServerReader().read(_node(), "IPv4")
    web = servers[ServerKey("TCP", "10.96.0.10:80")]
    assert web.scheduling == Scheduling("mh", 10800, ("mh-port",))
    assert list(web.real_servers.items()) == [
        ("10.244.1.9:8080", RealServer(1, 5)),
        ("10.244.0.4:8080", RealServer(0, 1)),
    ]


def test_a_server_may_have_no_real_server():
    assert ServerReader().read(_node(), "IPv4")[ServerKey("UDP", "10.96.0.10:53")].real_servers == {}


def test_what_changed_since_the_last_reading_is_read_anew():
    node, reader = _node(), ServerReader()
    first = reader.read(node, "IPv4")
    node.answers["ipvsadm -Ln --nosort"] = LISTING.replace("0      0          1", "0      0          0")
    second = reader.read(node, "IPv4")
    web, dns = ServerKey("TCP", "10.96.0.10:80"), ServerKey("UDP", "10.96.0.10:53")
    assert second[web].real_servers == {"10.244.1.9:8080": RealServer(1, 5), "10.244.0.4:8080": RealServer(0, 0)}
    assert second[dns] is first[dns]
    node.answers["ipvsadm -Ln --nosort"] = LISTING[: LISTING.index("UDP")]
    assert list(reader.read(node, "IPv4")) == [web]


def test_firewall_marks_and_the_other_family_are_left_out():
    assert [str(key) for key in ServerReader().read(_node(), "IPv4")] == ["TCP 10.96.0.10:80", "UDP 10.96.0.10:53"]
    assert [str(key) for key in ServerReader().read(_node(), "IPv6")] == ["TCP [fd00:10:96::1]:80"]


def test_requests_are_lines_of_ipvsadm():
    key = ServerKey.of("SCTP", "fd00:10:96::1", 3868)
    assert add_server(key, Scheduling("rr", 600)) == "-A --sctp-service [fd00:10:96::1]:3868 -s rr -p 600\n"
    web = ServerKey.of("TCP", "10.96.0.10", 80)
    assert edit_server(web, Scheduling("mh", 0, ("mh-port",))) == "-E -t 10.96.0.10:80 -s mh -b mh-port\n"
    assert delete_server(web) == "-D -t 10.96.0.10:80\n"
    assert add_real(web, "10.244.0.4:8080") == "-a -t 10.96.0.10:80 -r 10.244.0.4:8080 -m -w 1\n"
    assert set_weight(web, "10.244.0.4:8080", 0) == "-e -t 10.96.0.10:80 -r 10.244.0.4:8080 -m -w 0\n"
    assert delete_real(web, "10.244.0.4:8080") == "-d -t 10.96.0.10:80 -r 10.244.0.4:8080\n"
