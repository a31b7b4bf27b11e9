"""Which Service a rule of any mode is about."""

from __future__ import annotations

import pytest

from fakecluster.explaining.service_names import ServiceNames, service_names

SERVICES = [
    {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"], "externalIPs": ["203.0.113.7"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}, {"hostname": "web.example"}]}},
    },
    {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}},
]  # fmt: skip
SLICES = [
    {
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "any", "port": None}],
        "endpoints": [{"addresses": ["10.244.0.5"]}],
    },
    {"metadata": {"name": "of-nobody"}, "ports": [{"port": 9}], "endpoints": [{"addresses": ["10.244.0.9"]}]},
]
NAMES = service_names(SERVICES, SLICES)


@pytest.mark.parametrize(
    ("rule", "chain", "name"),
    [
        ('-d 10.0.0.1/32 -m comment --comment "default/web:http cluster IP" -j X', "KUBE-SERVICES", "default/web:http"),
        ("-m comment --comment default/web -j X", "KUBE-SERVICES", "default/web"),
        ('-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING', "POSTROUTING", ""),
        ('ip saddr @x drop comment "service hairpin connections"', "chain masquerading", ""),
        ("10.96.0.1 . tcp . 80 : goto service-ABCDEFGH-default/web/tcp/http", "map service-ips", "default/web:http"),
        ("meta l4proto tcp dnat to 10.244.0.5:80", "chain endpoint-ABCDEFGH-default/web/tcp/__10.244.0.5/80", "default/web"),
        ("10.244.0.5 . 10.244.0.5 . tcp . 8080", "set hairpin-connections", "shop/web:http"),
        ("fd00::7", "set cluster-ips", "shop/web"),
        ("-A -t 10.96.0.7:80 -s rr", "", "shop/web:http"),
        ("-a -t [fd00::7]:80 -r [fd00::5]:8080 -m -w 1", "", "shop/web:http"),
        ("-A -u 198.51.100.7:53 -s rr", "", "shop/web"),
        ("-A -t 172.18.0.2:30080 -s rr", "", "shop/web:http"),
        ("-A --sctp-service 10.96.0.7:80 -s rr", "", ""),
        ("add KUBE-CLUSTER-IP 203.0.113.7,tcp:80", "", "shop/web:http"),
        ("add KUBE-LOOP-BACK 10.244.0.5,tcp:8080,10.244.0.5", "", "shop/web:http"),
        ("add KUBE-NODE-PORT-LOCAL-TCP 30080", "", "shop/web:http"),
        ("add KUBE-IPVS-IPS 10.96.0.7", "", "shop/web"),
        ("create KUBE-IPVS-IPS hash:ip family inet", "", ""),
        ("-j ACCEPT", "FORWARD", ""),
    ],
)  # fmt: skip
def test_services_are_found_in_rules(rule: str, chain: str, name: str) -> None:
    assert NAMES.of(rule, chain) == name


def test_without_objects_comments_and_chains_still_name_services() -> None:
    assert ServiceNames().of('-m comment --comment "default/web:http"') == "default/web:http"
    assert ServiceNames().of("-A -t 10.96.0.7:80 -s rr") == ""
