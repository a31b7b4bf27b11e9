from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., dict[str, Any]]
Refusal = Callable[[Callable[[], Any]], str]

RANGE = "must be between 1 and 65535, inclusive"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ports": []}, "spec.ports: Required value"),
    (
        {"ports": [{}]},
        f"[spec.ports[0].port: Invalid value: 0: {RANGE}, spec.ports[0].targetPort: Invalid value: 0: {RANGE}]",
    ),
    ({"ports": [{"port": 80}, {"port": 81, "name": "b"}]}, "spec.ports[0].name: Required value"),
    (
        {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,'
        '"TargetPort":0,"NodePort":0}',
    ),
    (
        {"ports": [{"port": 80, "nodePort": 30080}]},
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ),
    (
        {"clusterIP": "010.096.000.005"},
        'spec.clusterIPs[0]: Invalid value: "010.096.000.005": must not have leading 0s',
    ),
    (
        {"clusterIPs": ["bad"]},
        '[spec.clusterIPs: Invalid value: ["bad"]: must be empty when `clusterIP` is not specified, '
        'spec.clusterIPs[0]: Invalid value: "bad": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)]',
    ),
    ({"type": "ExternalName"}, "spec.externalName: Required value"),
    (
        {"type": "NodePort", "clusterIP": "None"},
        "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
    ),
    (
        {"externalIPs": ["8.8.8.8", "127.0.0.2"]},
        'spec.externalIPs[1]: Invalid value: "127.0.0.2": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ),
    (
        {"externalTrafficPolicy": "Cluster"},
        'spec.externalTrafficPolicy: Invalid value: "Cluster": may only be set for externally-accessible services',
    ),
    (
        {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8"]},
        'spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": '
        "must not have bits set beyond the prefix length",
    ),
    (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: "
        "must be greater than 0 and less than 86400",
    ),
    (
        {"trafficDistribution": "PreferLocal"},
        'spec.trafficDistribution: Unsupported value: "PreferLocal": '
        'supported values: "PreferClose", "PreferSameZone", "PreferSameNode"',
    ),
    (
        {"ipFamilies": ["IPv4", "IPv6"]},
        "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' "
        "when multiple IP families are specified",
    ),
]


@pytest.mark.parametrize(("spec", "words"), REFUSED, ids=[words.partition(":")[0] for _, words in REFUSED])
def test_a_wrong_service_hears_the_servers_words(
    service: Create, refusal: Refusal, spec: dict[str, Any], words: str
) -> None:
    assert refusal(lambda: service(**spec)) == words


def test_a_load_balancer_may_have_the_port_of_kubelets(service: Create) -> None:
    assert service(type="LoadBalancer", ports=[{"port": 10250}])["spec"]["ports"][0]["port"] == 10250
