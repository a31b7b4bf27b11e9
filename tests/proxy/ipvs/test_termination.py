"""Graceful termination of real servers."""

from fakecluster.proxy.ipvs.servers import RealServer, Scheduling, ServerKey, VirtualServer
from fakecluster.proxy.ipvs.termination import Terminations

TCP, UDP = ServerKey("TCP", "10.96.0.10:80"), ServerKey("UDP", "10.96.0.10:53")
POD = "10.244.0.4:8080"


def _servers(connections: int) -> dict[ServerKey, VirtualServer]:
    return {TCP: VirtualServer(Scheduling("rr"), {POD: RealServer(0, connections)})}


def test_a_tcp_server_with_connections_gets_weight_zero():
    terminations = Terminations()
    assert terminations.remove(TCP, POD, RealServer(1, 2)) == "-e -t 10.96.0.10:80 -r 10.244.0.4:8080 -m -w 0\n"
    assert (TCP, POD) in terminations


def test_an_idle_tcp_server_goes_at_once():
    terminations = Terminations()
    assert terminations.remove(TCP, POD, RealServer(1, 0)) == "-d -t 10.96.0.10:80 -r 10.244.0.4:8080\n"
    assert not terminations


def test_udp_does_not_wait_for_its_connections():
    assert Terminations().remove(UDP, POD, RealServer(1, 9)) == "-d -u 10.96.0.10:53 -r 10.244.0.4:8080\n"


def test_the_check_deletes_a_drained_server_and_no_other():
    terminations = Terminations()
    terminations.remove(TCP, POD, RealServer(1, 2))
    assert terminations.check(_servers(1)) == []
    assert terminations.check(_servers(0)) == ["-d -t 10.96.0.10:80 -r 10.244.0.4:8080\n"]
    assert not terminations


def test_a_server_that_someone_else_removed_is_forgotten():
    terminations = Terminations()
    terminations.remove(TCP, POD, RealServer(1, 2))
    assert terminations.check({}) == []
    assert not terminations


def test_a_copy_drains_by_itself():
    terminations = Terminations()
    terminations.remove(TCP, POD, RealServer(1, 2))
    copy = terminations.fork()
    copy.forget(TCP, POD)
    assert (TCP, POD) in terminations
