"""The rules of userspace mode."""

from proxy_objects import service

from fakecluster.proxy.userspace.portals import ProxyAddress, portal_rules
from fakecluster.proxy.view import service_ports

EVERYWHERE = ProxyAddress("0.0.0.0", "192.168.1.10")


def _rules(address: ProxyAddress = EVERYWHERE, **spec: object) -> list[str]:
    (port,) = service_ports(service(**spec), "IPv4").values()
    return [f"{rule.table} {rule.chain} {' '.join(rule.args)}" for rule in portal_rules(port, 40001, address)]


MATCH = "-m comment --comment shop/web:http -p tcp -m tcp --dport 80 -d 10.96.0.10/32"


def test_pods_are_redirected_and_the_node_itself_is_sent_to_its_own_address():
    assert _rules() == [
        f"nat KUBE-PORTALS-CONTAINER {MATCH} -j REDIRECT --to-ports 40001",
        f"nat KUBE-PORTALS-HOST {MATCH} -j DNAT --to-destination 192.168.1.10:40001",
    ]


def test_a_proxy_that_listens_on_one_address_is_reached_by_dnat_from_everywhere():
    targets = [rule.partition("-j ")[2] for rule in _rules(ProxyAddress("192.168.7.1", "192.168.1.10"))]
    assert targets == ["DNAT --to-destination 192.168.7.1:40001"] * 2


def test_an_external_ip_is_taken_from_outside_and_where_it_is_an_address_of_the_node():
    match = MATCH.replace("10.96.0.10", "203.0.113.7")
    assert _rules(externalIPs=["203.0.113.7"])[2:] == [
        f"nat KUBE-PORTALS-CONTAINER {match} -m physdev ! --physdev-is-in -j REDIRECT --to-ports 40001",
        f"nat KUBE-PORTALS-CONTAINER {match} -m addrtype --dst-type LOCAL -j REDIRECT --to-ports 40001",
        f"nat KUBE-PORTALS-HOST {match} -m addrtype --dst-type LOCAL -j DNAT --to-destination 192.168.1.10:40001",
    ]


def test_a_node_port_is_taken_on_every_address_and_let_in():
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    words = "-m comment --comment shop/web:http -p tcp -m tcp --dport"
    assert _rules(type="NodePort", ports=ports)[2:] == [
        f"nat KUBE-NODEPORT-CONTAINER {words} 30080 -j REDIRECT --to-ports 40001",
        f"nat KUBE-NODEPORT-HOST {words} 30080 -j DNAT --to-destination 192.168.1.10:40001",
        f"filter KUBE-NODEPORT-NON-LOCAL {words} 40001 -m state --state NEW -j ACCEPT",
    ]
