"""What one service port needs in ipvs mode."""

from typing import Any

from proxy_objects import service

from fakecluster.proxy.ipvs.chains import BlockedAddress
from fakecluster.proxy.ipvs.service import Needs, Surroundings, needs_of
from fakecluster.proxy.topology import categorize
from fakecluster.proxy.view import Endpoint, service_ports

NODE_IP = "192.168.1.10"
HERE = Endpoint("10.244.0.4", 8080, "10.244.0.4:8080", is_local=True)
THERE = Endpoint("10.244.1.9", 8080, "10.244.1.9:8080")


def _needs(
    *endpoints: Endpoint, scheduler: str = "rr", node_port_ips: tuple[str, ...] = (NODE_IP,), **spec: Any
) -> Needs:
    (port,) = service_ports(service(**spec), "IPv4").values()
    surroundings = Surroundings(scheduler, NODE_IP, (NODE_IP,), node_port_ips)
    return needs_of(port, categorize(endpoints, port, "node-a", ""), endpoints, surroundings)


def _servers(needs: Needs) -> dict[str, tuple[str, ...]]:
    return {str(key): wanted.real_servers for key, wanted in needs.servers}


def test_a_cluster_ip_is_a_bound_virtual_server_with_all_ready_endpoints():
    needs = _needs(HERE, THERE)
    assert _servers(needs) == {"TCP 10.96.0.10:80": ("10.244.0.4:8080", "10.244.1.9:8080")}
    assert needs.bound == ("10.96.0.10",)
    assert needs.entries == (
        ("LOOP-BACK", "10.244.0.4,tcp:8080,10.244.0.4"),
        ("CLUSTER-IP", "10.96.0.10,tcp:80"),
    )


def test_a_server_exists_without_endpoints():
    assert _servers(_needs()) == {"TCP 10.96.0.10:80": ()}


def test_local_policy_without_local_endpoints_falls_back_to_the_clusters():
    spec = {"type": "NodePort", "externalTrafficPolicy": "Local"}
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    local = _needs(HERE, THERE, ports=ports, **spec)
    assert _servers(local)["TCP 192.168.1.10:30080"] == ("10.244.0.4:8080",)
    assert local.lacking == frozenset()
    remote = _needs(THERE, ports=ports, **spec)
    assert _servers(remote)["TCP 192.168.1.10:30080"] == ("10.244.1.9:8080",)
    assert remote.lacking == {"external"}


def test_an_sctp_node_port_is_entered_with_every_address():
    ports = [{"name": "sig", "port": 3868, "protocol": "SCTP", "nodePort": 30123}]
    needs = _needs(type="NodePort", ports=ports, node_port_ips=(NODE_IP, "192.168.7.1"))
    assert [entry for name, entry in needs.entries if name == "NODE-PORT-SCTP-HASH"] == [
        "192.168.1.10,sctp:30123",
        "192.168.7.1,sctp:30123",
    ]


def test_an_external_ip_that_the_node_has_is_served_but_not_bound():
    needs = _needs(externalIPs=[NODE_IP, "192.168.99.9"])
    assert set(_servers(needs)) == {"TCP 10.96.0.10:80", "TCP 192.168.1.10:80", "TCP 192.168.99.9:80"}
    assert needs.bound == ("10.96.0.10", "192.168.99.9")


def test_source_ranges_without_the_node_block_the_node_itself():
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.4"}]}}
    spec = {"type": "LoadBalancer", "status": status}
    needs = _needs(loadBalancerSourceRanges=["203.0.113.0/24", "10.0.0.1/32"], **spec)
    assert needs.blocked == (BlockedAddress("198.51.100.4", "TCP", 80),)
    ranges = [entry for name, entry in needs.entries if name == "LOAD-BALANCER-SOURCE-CIDR"]
    assert ranges == ["198.51.100.4,tcp:80,203.0.113.0/24", "198.51.100.4,tcp:80,10.0.0.1"]
    allowed = _needs(loadBalancerSourceRanges=["192.168.1.0/24"], **spec)
    assert allowed.blocked == ()
    assert ("LOAD-BALANCER-SOURCE-IP", "198.51.100.4,tcp:80,198.51.100.4") in allowed.entries


def test_affinity_and_the_mh_scheduler_set_their_options():
    needs = _needs(scheduler="mh", sessionAffinity="ClientIP")
    assert [wanted.scheduling.options for _, wanted in needs.servers] == ["-s mh -p 10800 -b mh-port"]


def test_without_node_port_addresses_the_health_check_port_is_given_up_too():
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, "ports": ports}
    assert ("HEALTH-CHECK-NODE-PORT", "32000") in _needs(**spec).entries
    assert ("HEALTH-CHECK-NODE-PORT", "32000") not in _needs(node_port_ips=(), **spec).entries
