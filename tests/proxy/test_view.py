"""Reading API objects into service ports and endpoints."""

from proxy_objects import endpoint, endpoint_slice, service

from fakecluster.proxy.view import (
    Endpoint,
    ServicePort,
    ServicePortName,
    canonical_ip,
    is_watched,
    service_ports,
    slice_endpoints,
)

HTTP = ServicePortName("shop", "web", "http", "TCP")


def test_a_service_port_is_printed_with_its_port_name_when_it_has_one():
    assert str(HTTP) == "shop/web:http"
    assert str(ServicePortName("shop", "web", "", "TCP")) == "shop/web"


def test_a_cluster_ip_service_becomes_one_service_port_per_port():
    ports = service_ports(
        service(
            ports=[{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]
        ),
        "IPv4",
    )
    assert ports == {
        HTTP: ServicePort(HTTP, "10.96.0.10", 80),
        (name := ServicePortName("shop", "web", "dns", "UDP")): ServicePort(name, "10.96.0.10", 53),
    }


def test_headless_and_external_name_services_have_no_service_ports():
    assert service_ports(service(clusterIP="None", clusterIPs=["None"]), "IPv4") == {}
    assert service_ports(service(type="ExternalName", clusterIP=""), "IPv4") == {}


def test_a_service_of_the_other_family_has_no_service_ports():
    assert service_ports(service(), "IPv6") == {}


def test_a_dual_stack_service_gives_each_family_its_own_addresses():
    dual = service(
        clusterIPs=["10.96.0.10", "fd00::0a"],
        externalIPs=["198.51.100.1", "2001:db8::1"],
        loadBalancerSourceRanges=["10.0.0.0/8 ", "2001:db8::/32"],
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"ip": "2001:db8::2", "ipMode": "VIP"}]}},
    )
    four, six = (service_ports(dual, family)[HTTP] for family in ("IPv4", "IPv6"))
    assert (four.cluster_ip, four.external_ips, four.load_balancer_ips, four.source_ranges) == (
        "10.96.0.10",
        ("198.51.100.1",),
        ("203.0.113.1",),
        ("10.0.0.0/8",),
    )
    assert (six.cluster_ip, six.external_ips, six.load_balancer_ips, six.source_ranges) == (
        "fd00::a",
        ("2001:db8::1",),
        ("2001:db8::2",),
        ("2001:db8::/32",),
    )


def test_proxy_mode_and_host_name_ingress_are_left_out():
    ingress = [{"ip": "203.0.113.1", "ipMode": "Proxy"}, {"hostname": "lb.example"}]
    port = service_ports(service(status={"loadBalancer": {"ingress": ingress}}), "IPv4")[HTTP]
    assert port.load_balancer_ips == ()


def test_a_zero_length_source_range_cancels_the_list():
    port = service_ports(service(loadBalancerSourceRanges=["10.0.0.0/8", "0.0.0.0/0"]), "IPv4")[HTTP]
    assert port.source_ranges == ()


def test_policy_local_counts_for_services_that_are_reachable_from_outside_only():
    assert not service_ports(service(externalTrafficPolicy="Local"), "IPv4")[HTTP].external_local
    assert service_ports(service(type="NodePort", externalTrafficPolicy="Local"), "IPv4")[HTTP].external_local


def test_the_health_check_port_needs_a_load_balancer_of_policy_local():
    local = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 30500}
    assert service_ports(service(type="LoadBalancer", **local), "IPv4")[HTTP].health_check_node_port == 30500
    assert service_ports(service(type="NodePort", **local), "IPv4")[HTTP].health_check_node_port == 0


def test_session_affinity_has_a_timeout():
    sticky = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 30}}}
    assert service_ports(service(**sticky), "IPv4")[HTTP].affinity_timeout_s == 30
    assert service_ports(service(), "IPv4")[HTTP].affinity_timeout_s == 0


def test_endpoints_are_sorted_as_text_and_duplicates_merge():
    slices = [endpoint_slice("10.244.0.9", "10.244.0.10"), endpoint_slice("10.244.0.9", name="web-2")]
    found = slice_endpoints(slices, "IPv4", "node-a")
    assert [e.text for e in found[HTTP]] == ["10.244.0.10:8080", "10.244.0.9:8080"]


def test_of_duplicates_the_one_that_is_not_terminating_wins():
    leaving = endpoint_slice(endpoint("10.244.0.9", ready=False, serving=True, terminating=True))
    found = slice_endpoints([leaving, endpoint_slice("10.244.0.9", name="web-2")], "IPv4", "node-a")
    assert not found[HTTP][0].is_terminating


def test_missing_conditions_mean_ready_serving_and_not_terminating():
    (found,) = slice_endpoints([endpoint_slice("10.244.0.9")], "IPv4", "node-a")[HTTP]
    assert found == Endpoint("10.244.0.9", 8080, "10.244.0.9:8080")


def test_an_endpoint_is_local_by_its_node_name_only():
    found = slice_endpoints(
        [endpoint_slice(endpoint("10.244.0.9", node="node-a"), endpoint("10.244.1.9", node="node-b"))], "IPv4", "node-a"
    )
    assert [e.is_local for e in found[HTTP]] == [True, False]


def test_ports_without_a_number_and_addresses_of_the_other_family_are_skipped():
    odd = endpoint_slice("fd00::1", ports=[{"name": "http", "port": None}, {"name": "http", "port": 8080}])
    assert slice_endpoints([odd], "IPv4", "node-a") == {}


def test_ipv6_endpoints_are_written_in_brackets():
    (found,) = slice_endpoints([endpoint_slice("fd00:0::1", family="IPv6")], "IPv6", "")[HTTP]
    assert found.text == "[fd00::1]:8080"


def test_objects_for_other_proxies_are_not_watched():
    assert is_watched(service())
    assert not is_watched(service(labels={"service.kubernetes.io/service-proxy-name": "mesh"}))
    assert not is_watched(service(labels={"service.kubernetes.io/headless": ""}))


def test_addresses_are_canonical_and_forgive_leading_zeros():
    assert canonical_ip("010.000.0.1") == "10.0.0.1"
    assert canonical_ip("FD00:0:0::1") == "fd00::1"
    assert canonical_ip("not an address") == ""
