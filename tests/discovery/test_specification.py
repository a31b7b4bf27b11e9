"""The examples of the Kubernetes DNS-Based Service Discovery specification 1.1, section by section."""

from __future__ import annotations

from zone_objects import HTTP, ask, endpoint, endpoint_slice, exchange, namespace, server, service, unknown

from fakecluster.discovery.records import Answer, Question, Record

HTTPS = {"name": "https", "port": 443, "protocol": "TCP"}
KUBERNETES = service("kubernetes", "10.3.0.1", "2001:db8::1", at="default", ports=[HTTPS])
DEFAULT = namespace("default")
HEADLESS = (
    DEFAULT,
    service("headless", "None", at="default", ports=[HTTPS]),
    endpoint_slice(
        "headless",
        endpoint("10.3.0.100", hostname="my-pet"),
        endpoint("10.3.0.101", hostname="my-pet-2"),
        endpoint("10.3.0.102"),
        at="default",
        ports=[HTTPS],
    ),
)


def test_2_2_the_schema_version_is_a_txt_record() -> None:
    assert ask(server(), "dns-version.cluster.local", "TXT") == ['TXT "1.1.0"']


def test_2_3_1_a_service_with_a_cluster_ip_has_address_records() -> None:
    made = server(DEFAULT, KUBERNETES)
    assert ask(made, "kubernetes.default.svc.cluster.local") == ["A 10.3.0.1"]
    assert ask(made, "kubernetes.default.svc.cluster.local", "AAAA") == ["AAAA 2001:db8::1"]


def test_2_3_2_each_named_port_has_an_srv_record_with_the_addresses_beside_it() -> None:
    made = server(DEFAULT, KUBERNETES)
    message = exchange(made, "_https._tcp.kubernetes.default.svc.cluster.local.", "SRV", payload=4096)
    assert [rdata.to_text() for rrset in message.answer for rdata in rrset] == [
        "0 50 443 kubernetes.default.svc.cluster.local."
    ]
    beside = sorted(f"{rrset.name} {rdata.to_text()}" for rrset in message.additional for rdata in rrset)
    assert beside == [
        "kubernetes.default.svc.cluster.local. 10.3.0.1",
        "kubernetes.default.svc.cluster.local. 2001:db8::1",
    ]


def test_2_3_2_an_unnamed_port_has_none() -> None:
    made = server(service("plain", "10.3.0.9", ports=[{"port": 80, "protocol": "TCP"}]))
    assert ask(made, "_http._tcp.plain.ns.svc.cluster.local", "SRV") == ["NXDOMAIN"]


def test_2_3_2_ports_of_different_protocols_are_told_apart() -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    made = server(service("names", "10.3.0.10", ports=ports))
    assert ask(made, "_dns._udp.names.ns.svc.cluster.local", "SRV") == ["SRV 0 100 53 names.ns.svc.cluster.local."]
    assert ask(made, "_dns-tcp._tcp.names.ns.svc.cluster.local", "SRV") == ["SRV 0 100 53 names.ns.svc.cluster.local."]
    assert ask(made, "_dns._tcp.names.ns.svc.cluster.local", "SRV") == ["NXDOMAIN"]


def test_2_3_3_an_address_leads_back_to_its_service() -> None:
    made = server(DEFAULT, KUBERNETES)
    assert ask(made, "1.0.3.10.in-addr.arpa", "PTR") == ["PTR kubernetes.default.svc.cluster.local."]
    reverse = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
    assert ask(made, reverse, "PTR") == ["PTR kubernetes.default.svc.cluster.local."]


def test_2_4_1_a_headless_service_has_an_address_record_for_each_ready_endpoint() -> None:
    made = server(*HEADLESS)
    assert ask(made, "headless.default.svc.cluster.local") == ["A 10.3.0.100", "A 10.3.0.101", "A 10.3.0.102"]
    assert ask(made, "headless.default.svc.cluster.local", "AAAA") == ["NODATA"]


def test_2_4_1_an_endpoint_has_a_name_of_its_own_by_its_host_name_or_one_that_is_made_for_it() -> None:
    made = server(*HEADLESS)
    assert ask(made, "my-pet.headless.default.svc.cluster.local") == ["A 10.3.0.100"]
    assert ask(made, "10-3-0-102.headless.default.svc.cluster.local") == ["A 10.3.0.102"]


def test_2_4_1_endpoints_that_are_not_ready_are_left_out() -> None:
    made = server(
        service("hl", "None"), endpoint_slice("hl", endpoint("10.3.1.1", ready=False), endpoint("10.3.1.2", ready=None))
    )
    assert ask(made, "hl.ns.svc.cluster.local") == ["A 10.3.1.2"]
    assert ask(made, "10-3-1-1.hl.ns.svc.cluster.local") == ["NXDOMAIN"]


def test_2_4_2_a_headless_service_has_an_srv_record_for_each_endpoint_and_named_port() -> None:
    assert ask(server(*HEADLESS), "_https._tcp.headless.default.svc.cluster.local", "SRV") == [
        "SRV 0 33 443 10-3-0-102.headless.default.svc.cluster.local.",
        "SRV 0 33 443 my-pet-2.headless.default.svc.cluster.local.",
        "SRV 0 33 443 my-pet.headless.default.svc.cluster.local.",
    ]


def test_2_4_3_an_endpoint_leads_back_to_its_name() -> None:
    made = server(*HEADLESS)
    assert ask(made, "100.0.3.10.in-addr.arpa", "PTR") == ["PTR my-pet.headless.default.svc.cluster.local."]
    assert ask(made, "102.0.3.10.in-addr.arpa", "PTR") == ["PTR 10-3-0-102.headless.default.svc.cluster.local."]


def test_2_5_an_external_name_is_an_alias_that_is_followed() -> None:
    def outside(question: Question) -> Answer:
        if question.lower != "www.example.com." or question.type != "A":
            return unknown(question)
        alias = Record(question.name, 28715, "CNAME", "example.com.")
        return Answer(answer=(alias, Record("example.com.", 20, "A", "192.0.2.53")), authoritative=False)

    made = server(
        DEFAULT,
        service("foo", at="default", ports=[HTTP], type="ExternalName", externalName="www.example.com"),
        corefile=".:53 {\n kubernetes cluster.local {\n ttl 10\n }\n forward . 192.0.2.1\n}\n",
        outside=outside,
    )
    answer = made.resolve(Question("foo.default.svc.cluster.local.", "A"))
    assert [str(record) for record in answer.answer] == [
        "foo.default.svc.cluster.local. 10 CNAME www.example.com.",
        "www.example.com. 28715 CNAME example.com.",
        "example.com. 20 A 192.0.2.53",
    ]
    assert ask(made, "foo.default.svc.cluster.local", "CNAME") == ["CNAME www.example.com."]
