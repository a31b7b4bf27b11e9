"""Hashed names, as a real kube-proxy wrote them."""

from fakecluster.proxy.names import endpoint_chain, is_service_chain, service_hash
from fakecluster.proxy.view import ServicePortName


def test_service_chains_hash_the_service_port_and_its_protocol():
    assert service_hash(ServicePortName("kp-clusterip-basic-s1", "one-db", "", "TCP")) == "A3FP4URNMVFYSYPY"
    assert service_hash(ServicePortName("kp-clusterip-basic-s1", "app-front", "dns", "UDP")) == "V5H7KCWINWQJMXGH"


def test_endpoint_chains_hash_the_endpoint_too():
    one_db = ServicePortName("kp-clusterip-basic-s1", "one-db", "", "TCP")
    assert endpoint_chain(one_db, "10.244.1.25:17450") == "KUBE-SEP-4IQFGSNSYULRLZRS"


def test_only_chains_of_services_count_as_such():
    assert is_service_chain("KUBE-SVL-OLDOLD")
    assert not is_service_chain("KUBE-XLB-OLDOLD")
    assert not is_service_chain("KUBE-SERVICES")
