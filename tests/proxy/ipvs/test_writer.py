"""Syncs of ipvs mode on a node of the kernel model."""

from collections.abc import Sequence

import pytest
from proxy_objects import endpoint, endpoint_slice, node, service

from fakecluster.errors import CommandError
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config
from fakecluster.proxy.process import KubeProxy, clean_up
from fakecluster.proxy.program import Recorder
from fakecluster.sim import Clock, Scripted

PODS = ("10.244.1.1", "10.244.1.2", "10.244.1.3")


class World:
    """One node with a kube-proxy in ipvs mode and the Service `web`, 10.96.0.10:80."""

    def __init__(self, **ipvs: object) -> None:
        self.clock = Clock()
        self.netns = Netns("node-a", clock=self.clock, choices=Scripted())
        self.netns.add_interface("eth0")
        self.netns.run("ip address add 192.168.1.10/24 dev eth0")
        self.netns.run("ip route add default via 192.168.1.1 dev eth0")
        self.recorder = Recorder(self.netns)
        self.start(**ipvs)

    def start(self, **ipvs: object) -> None:
        document = {"apiVersion": config.API_VERSION, "kind": config.KIND, "mode": "ipvs", "ipvs": ipvs}
        self.proxy = KubeProxy("node-a", config.parse(document), self.recorder, self.clock, choices=Scripted())
        self.proxy.on_object("nodes", node())
        self.proxy.on_object("services", service())
        self.endpoints(PODS)
        self.proxy.start()
        self.clock.settle()

    def endpoints(self, ips: Sequence[str]) -> None:
        self.proxy.on_object(
            "endpointslices.discovery.k8s.io", endpoint_slice(*[endpoint(ip, ready=True) for ip in ips])
        )
        self.clock.settle()

    def servers(self) -> str:
        return "".join(line + "\n" for line in self.netns.run("ipvsadm -Sn").splitlines())

    def real_servers(self) -> list[str]:
        """In the kernel's order: address and weight."""
        lines = [line.split() for line in self.netns.run("ipvsadm -Ln --nosort").splitlines()]
        return [f"{words[1]} {words[3]}" for words in lines if words[0] == "->" and words[2] == "Masq"]


def test_the_kernel_lists_what_was_added_last_first():
    assert World().real_servers() == ["10.244.1.3:8080 1", "10.244.1.2:8080 1", "10.244.1.1:8080 1"]


def test_a_sync_that_changes_nothing_asks_the_kernel_for_no_change():
    world = World()
    before = len(world.recorder.commands)
    world.clock.advance(31)
    argvs = [command.argv for command in world.recorder.commands[before:]]
    assert ("ipvsadm", "-Ln", "--nosort") in argvs
    assert not [
        argv for argv in argvs if argv[:2] == ("ipvsadm", "-R") or (argv[:2] == ("ip", "address") and "add" in argv)
    ]


def test_every_period_puts_right_what_someone_else_changed():
    world = World()
    wanted = world.servers()
    world.netns.run("ipvsadm -d -t 10.96.0.10:80 -r 10.244.1.2:8080")
    world.netns.run("ipvsadm -A -t 172.30.0.1:80 -s rr")
    world.netns.run("ip address del 10.96.0.10/32 dev kube-ipvs0")
    world.netns.run("ipset flush KUBE-CLUSTER-IP")
    world.clock.advance(31)
    assert sorted(world.servers().splitlines()) == sorted(wanted.splitlines())
    assert "10.96.0.10/32" in world.netns.run("ip address show dev kube-ipvs0")
    assert "add KUBE-CLUSTER-IP 10.96.0.10,tcp:80" in world.netns.run("ipset save")


def test_a_weight_that_someone_else_changed_stays_until_a_restart():
    world = World()
    world.netns.run("ipvsadm -e -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 7")
    world.clock.advance(31)
    assert "10.244.1.2:8080 7" in world.real_servers()
    world.proxy.stop()
    world.start()
    assert "10.244.1.2:8080 1" in world.real_servers()


def test_foreign_servers_inside_exclude_cidrs_stay():
    world = World(excludeCIDRs=["172.30.0.0/16"])
    world.netns.run("ipvsadm -A -t 172.30.0.1:80 -s rr")
    world.netns.run("ipvsadm -A -t 172.31.0.1:80 -s rr")
    world.clock.advance(31)
    assert "-A -t 172.30.0.1:80 -s rr" in world.servers()
    assert "172.31.0.1" not in world.servers()


def test_the_scheduler_is_edited_in_place_after_a_restart_with_another():
    world = World()
    world.proxy.stop()
    world.start(scheduler="sh")
    assert "-A -t 10.96.0.10:80 -s sh" in world.servers()
    assert len(world.real_servers()) == 3


def test_a_scheduler_that_the_kernel_does_not_know_changes_nothing():
    world = World()
    before = world.servers()
    world.proxy.stop()
    with pytest.raises(CommandError, match="can't use the IPVS proxier: no such file or directory"):
        world.start(scheduler="bogus")
    assert world.servers() == before


def test_strict_arp_and_timeouts_are_set_at_the_start():
    world = World(strictARP=True, tcpTimeout="10m", udpTimeout="7s")
    assert world.netns.run("sysctl -n net.ipv4.conf.all.arp_ignore") == "1\n"
    assert world.netns.run("sysctl -n net.ipv4.conf.all.arp_announce") == "2\n"
    assert world.netns.run("sysctl -n net.ipv4.vs.conntrack") == "1\n"
    assert world.netns.run("ipvsadm -L --timeout") == "Timeout (tcp tcpfin udp): 600 120 7\n"


def test_new_endpoints_go_to_the_head_and_idle_ones_go_at_once():
    world = World()
    world.endpoints(["10.244.1.0", "10.244.1.2", "10.244.1.3"])
    world.clock.advance(2)
    assert world.real_servers() == ["10.244.1.0:8080 1", "10.244.1.3:8080 1", "10.244.1.2:8080 1"]


def test_a_copy_of_the_process_goes_its_own_way():
    world = World()
    clock = world.clock.fork()
    netns = world.netns.fork(clock, Scripted())
    copy = world.proxy.fork(netns, clock)
    copy.on_object("services", service(), deleted=True)
    clock.advance(2)
    assert netns.run("ipvsadm -Sn") == ""
    assert len(world.real_servers()) == 3


def test_clean_up_leaves_neither_servers_nor_device_nor_chains():
    world = World()
    world.proxy.stop()
    complaints = clean_up(world.netns)
    assert all("CHAIN_DEL failed" in complaint for complaint in complaints)  # iptables mode's part, which goes first
    assert world.netns.run("ipvsadm -Sn") == ""
    assert "kube-ipvs0" not in world.netns.run("ip link show")
    assert "KUBE-" not in world.netns.run("iptables-save")
    assert "create KUBE-CLUSTER-IP " not in world.netns.run("ipset save")
