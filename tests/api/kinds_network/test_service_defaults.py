from __future__ import annotations

from collections.abc import Callable
from typing import Any

Create = Callable[..., dict[str, Any]]


def test_a_service_that_says_little_gets_the_rest(service: Create) -> None:
    spec = service(clusterIP="10.96.7.7")["spec"]
    assert spec == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "clusterIP": "10.96.7.7",
        "clusterIPs": ["10.96.7.7"],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }


def test_session_affinity_lasts_three_hours_by_default(service: Create) -> None:
    spec = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": None})["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_a_config_without_affinity_is_forgotten(service: Create) -> None:
    spec = service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10}})["spec"]
    assert "sessionAffinityConfig" not in spec


def test_external_traffic_has_a_policy_only_where_there_is_any(service: Create) -> None:
    assert "externalTrafficPolicy" not in service("a")["spec"]
    assert service("b", externalIPs=["1.2.3.4"])["spec"]["externalTrafficPolicy"] == "Cluster"
    assert service("c", type="NodePort")["spec"]["externalTrafficPolicy"] == "Cluster"


def test_an_external_name_has_no_addresses_and_no_policy(service: Create) -> None:
    spec = service(type="ExternalName", externalName="a.b", internalTrafficPolicy="Cluster")["spec"]
    assert spec == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ExternalName",
        "externalName": "a.b",
        "sessionAffinity": "None",
    }


def test_headless_without_selector_is_dual_stack_by_itself(service: Create) -> None:
    spec = service(clusterIP="None")["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")
    assert service("b", clusterIP="None", selector={"a": "b"})["spec"]["ipFamilies"] == ["IPv4"]


def test_families_follow_the_address_that_was_asked_for(service: Create) -> None:
    spec = service(clusterIP="fd00:10:96::61", ipFamilyPolicy="PreferDualStack")["spec"]
    assert spec["ipFamilies"] == ["IPv6", "IPv4"]
    assert spec["clusterIPs"][0] == "fd00:10:96::61"
    assert spec["clusterIPs"][1].startswith("10.96.")
