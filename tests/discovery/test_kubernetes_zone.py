"""The kubernetes plugin beyond the specification: its options, the edges of its zone, Pods, itself."""

from __future__ import annotations

import pytest
from zone_objects import ask, endpoint, endpoint_slice, namespace, pod, server, service

from fakecluster.discovery.kubernetes import address_of_pod_name, address_of_reverse, parse_request
from fakecluster.discovery.records import Question

WEB = service("web", "10.96.0.5")


@pytest.mark.parametrize(
    ("name", "rtype", "expected"),
    [
        ("cluster.local", "A", ["NODATA"]),
        ("svc.cluster.local", "A", ["NODATA"]),
        ("ns.svc.cluster.local", "A", ["NODATA"]),
        ("other.svc.cluster.local", "A", ["NXDOMAIN"]),
        ("web.ns.svc.cluster.local", "AAAA", ["NODATA"]),
        ("web.ns.svc.cluster.local", "MX", ["NODATA"]),
        ("web.ns.svc.cluster.local", "AXFR", ["REFUSED"]),
        ("web.other.svc.cluster.local", "A", ["NXDOMAIN"]),
        ("*.ns.svc.cluster.local", "A", ["NXDOMAIN"]),
        ("web.*.svc.cluster.local", "A", ["NXDOMAIN"]),
        ("a.b.c.web.ns.svc.cluster.local", "A", ["NXDOMAIN"]),
        ("bogus.cluster.local", "A", ["NXDOMAIN"]),
        ("cluster.local", "TXT", ["NXDOMAIN"]),  # unlike every other type at the top of the zone
        ("_http._tcp.web.ns.svc.cluster.local", "A", ["A 10.96.0.5"]),
        ("http.tcp.web.ns.svc.cluster.local", "SRV", ["SRV 0 100 80 web.ns.svc.cluster.local."]),
        ("_http._udp.web.ns.svc.cluster.local", "SRV", ["NXDOMAIN"]),
        ("WEB.Ns.SVC.cluster.LOCAL", "A", ["A 10.96.0.5"]),
        ("9.9.9.9.in-addr.arpa", "PTR", ["NXDOMAIN"]),
        ("9.9.in-addr.arpa", "PTR", ["NXDOMAIN"]),
    ],
)
def test_names_of_the_zone_and_beside_it(name: str, rtype: str, expected: list[str]) -> None:
    assert ask(server(WEB), name, rtype) == expected


def test_answers_keep_the_spelling_of_the_question() -> None:
    answer = server(WEB).resolve(Question("WeB.ns.svc.cluster.local.", "A"))
    assert [record.name for record in answer.answer] == ["WeB.ns.svc.cluster.local."]


def test_names_that_do_not_exist_come_with_the_zone_s_soa() -> None:
    answer = server(options="").resolve(Question("nope.ns.svc.cluster.local.", "A"))
    (soa,) = answer.authority
    assert (answer.rcode, soa.name, soa.type, soa.ttl_s) == ("NXDOMAIN", "cluster.local.", "SOA", 30)
    assert soa.data == "ns.dns.cluster.local. hostmaster.cluster.local. 1767225600 7200 1800 86400 30"


@pytest.mark.parametrize(
    ("mode", "known", "unknown", "no_address"),
    [
        ("disabled", ["NXDOMAIN"], ["NXDOMAIN"], ["NXDOMAIN"]),
        ("insecure", ["A 10.244.0.7"], ["A 10.244.0.99"], ["NXDOMAIN"]),
        ("verified", ["A 10.244.0.7"], ["NXDOMAIN"], ["NXDOMAIN"]),
    ],
)
def test_pod_records_by_mode(mode: str, known: list[str], unknown: list[str], no_address: list[str]) -> None:
    made = server(pod("p", "10.244.0.7"), options=f"pods {mode}")
    assert ask(made, "10-244-0-7.ns.pod.cluster.local") == known
    assert ask(made, "10-244-0-99.ns.pod.cluster.local") == unknown
    assert ask(made, "p.ns.pod.cluster.local") == no_address
    assert ask(made, "10-244-0-7.other.pod.cluster.local") == ["NXDOMAIN"]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_has_no_verified_record(phase: str) -> None:
    made = server(pod("p", "10.244.0.7", phase=phase), options="pods verified")
    assert ask(made, "10-244-0-7.ns.pod.cluster.local") == ["NXDOMAIN"]


def test_only_chosen_namespaces_are_served() -> None:
    made = server(WEB, namespace("b"), service("web", "10.96.0.6", at="b"), options="namespaces b")
    assert ask(made, "web.ns.svc.cluster.local") == ["NXDOMAIN"]
    assert ask(made, "web.b.svc.cluster.local") == ["A 10.96.0.6"]
    assert ask(made, "5.0.96.10.in-addr.arpa", "PTR") == ["NXDOMAIN"]


def test_services_without_endpoints_can_be_ignored() -> None:
    full = service("full", "10.96.0.6"), endpoint_slice("full", endpoint("10.244.0.8"))
    made = server(WEB, *full, options="ignore empty_service")
    assert ask(made, "web.ns.svc.cluster.local") == ["NXDOMAIN"]
    assert ask(made, "full.ns.svc.cluster.local") == ["A 10.96.0.6"]


def test_endpoints_can_be_named_by_their_pods() -> None:
    objects = service("hl", "None"), endpoint_slice("hl", endpoint("10.244.0.8", target="hl-0"))
    made = server(*objects, options="endpoint_pod_names")
    assert ask(made, "hl-0.hl.ns.svc.cluster.local") == ["A 10.244.0.8"]
    assert ask(made, "10-244-0-8.hl.ns.svc.cluster.local") == ["NXDOMAIN"]


def test_without_endpoints_headless_services_have_no_names() -> None:
    objects = service("hl", "None"), endpoint_slice("hl", endpoint("10.244.0.8"))
    made = server(WEB, *objects, options="noendpoints")
    assert ask(made, "hl.ns.svc.cluster.local") == ["NXDOMAIN"]
    assert ask(made, "web.ns.svc.cluster.local") == ["A 10.96.0.5"]


def test_a_headless_service_without_ready_endpoints_does_not_exist() -> None:
    assert ask(server(service("hl", "None")), "hl.ns.svc.cluster.local") == ["NXDOMAIN"]


def test_an_alias_inside_the_zone_is_followed_and_a_loop_is_not() -> None:
    made = server(
        WEB,
        service("good", type="ExternalName", externalName="web.ns.svc.cluster.local"),
        service("self", type="ExternalName", externalName="self.ns.svc.cluster.local"),
        service("left", type="ExternalName", externalName="right.ns.svc.cluster.local"),
        service("right", type="ExternalName", externalName="left.ns.svc.cluster.local"),
    )
    assert ask(made, "good.ns.svc.cluster.local") == ["A 10.96.0.5", "CNAME web.ns.svc.cluster.local."]
    for name in ("self", "left", "right"):
        assert ask(made, f"{name}.ns.svc.cluster.local") == ["NODATA"]


def test_the_server_s_own_name_leads_to_its_services_or_to_itself() -> None:
    made = server()
    made.local_ips = ("10.244.0.2",)
    assert ask(made, "cluster.local", "NS") == ["NS ns.dns.cluster.local."]
    assert ask(made, "ns.dns.cluster.local") == ["A 10.244.0.2"]
    for obj in (service("kube-dns", "10.96.0.10"), endpoint_slice("kube-dns", endpoint("10.244.0.2"))):
        made.on_change(obj)
    assert ask(made, "cluster.local", "NS") == ["NS kube-dns.ns.svc.cluster.local."]
    assert ask(made, "ns.dns.cluster.local") == ["A 10.96.0.10"]


@pytest.mark.parametrize(
    ("label", "address"),
    [("10-0-0-1", "10.0.0.1"), ("fd00--5", "fd00::5"), ("1-2-3", ""), ("10-0-0-256", ""), ("web", ""), ("", "")],
)
def test_dashed_labels_spell_addresses(label: str, address: str) -> None:
    assert address_of_pod_name(label) == address


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("4.3.2.1.in-addr.arpa.", "1.2.3.4"),
        ("3.2.1.in-addr.arpa.", ""),
        ("256.3.2.1.in-addr.arpa.", ""),
        ("1." + "0." * 31 + "ip6.arpa.", "::1"),
        ("1.0.ip6.arpa.", ""),
        ("g." + "0." * 31 + "ip6.arpa.", ""),
        ("web.cluster.local.", ""),
    ],
)
def test_reverse_names_spell_addresses(name: str, address: str) -> None:
    assert address_of_reverse(name) == address


def test_a_request_is_taken_apart_from_its_end() -> None:
    request = parse_request(["_http", "_tcp", "web", "ns", "svc"])
    assert (request.kind, request.namespace, request.service) == ("svc", "ns", "web")
    assert (request.port, request.protocol, request.endpoint) == ("http", "tcp", "")
    assert parse_request(["web-0", "web", "ns", "svc"]).endpoint == "web-0"
