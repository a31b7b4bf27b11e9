"""The same rules and packets through the real kernel and the model: what comes out must be equal."""

from __future__ import annotations

import pytest
from both import Result, compare
from fuzz import LANGUAGES, fuzz
from real_node import why_not
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scenario import Inject, Load, React, Scenario, Send

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

KUBE_NAT = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-1 - [0:0]
-A PREROUTING -m comment --comment "service portals" -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-1
-A KUBE-SVC-1 -s 10.244.0.3/32 -j KUBE-MARK-MASQ
-A KUBE-SVC-1 -p tcp -m tcp -j DNAT --to-destination 10.244.0.3:8080
COMMIT
"""
NFT_SERVICES = """table ip t {
    map services {
        type ipv4_addr . inet_service : verdict
        elements = { 10.96.0.1 . 80 : goto web, 10.96.0.2 . 53 : drop }
    }
    map endpoints { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.244.0.3 . 8080 } }
    set seen { type ipv4_addr; flags dynamic; }
    chain web {
        update @seen { ip saddr counter }
        dnat ip to tcp dport map @endpoints
    }
    chain pre {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr . tcp dport vmap @services
        ip daddr . udp dport vmap @services
    }
    chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "eth0" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state vmap { established : accept, related : accept, invalid : drop }
        tcp dport 22 reject with tcp reset
        udp dport 5000-5999 counter reject
    }
}
"""


def agree(scenario: Scenario) -> Result:
    result = compare(scenario)
    assert not result.differences, "\n".join((str(scenario), *result.differences))
    return result


def packet(source: str, target: str, transport: object) -> bytes:
    header = IP(src=source, dst=target) if "." in source else IPv6(src=source, dst=target)
    return bytes(header / transport)


HANDSHAKE = (
    Inject(packet("10.244.0.2", "10.96.0.1", TCP(sport=4000, dport=80, flags="S", seq=1)), "vethA"),
    React(0, "answer"),
    React(1, "answer"),
    React(2, "answer"),
)


@pytest.mark.parametrize("tool", ["iptables-restore", "iptables-legacy-restore"])
def test_a_service_leads_to_its_endpoint_and_back(tool: str) -> None:
    result = agree(Scenario((Load((tool,), KUBE_NAT),), HANDSHAKE))
    assert (result.outcome, result.packets) == ("compared", 4)


def test_a_pod_that_calls_itself_is_masqueraded() -> None:
    hairpin = Inject(packet("10.244.0.3", "10.96.0.1", TCP(sport=4000, dport=80, flags="S")), "vethB")
    result = agree(Scenario((Load(("iptables-restore",), KUBE_NAT),), (hairpin, React(0, "answer"))))
    assert result.outcome == "compared"


def test_the_node_reaches_the_service_too() -> None:
    sent = Send(packet("192.168.1.10", "10.96.0.1", TCP(sport=4000, dport=80, flags="S")))
    agree(Scenario((Load(("iptables-restore",), KUBE_NAT),), (sent, React(0, "answer"))))


def test_errors_about_translated_packets_come_back_translated() -> None:
    steps = (HANDSHAKE[0], React(0, "error"), React(0, "refuse"))
    agree(Scenario((Load(("iptables-restore",), KUBE_NAT),), steps))


def test_an_echo_is_answered_with_the_type_of_service_that_it_had() -> None:
    asked = IPv6(src="fd00:10:244::2", dst="fd00:10:244::1", tc=0x10) / ICMPv6EchoRequest(id=8, seq=1, data=b"ping")
    asked4 = IP(src="10.244.0.2", dst="10.244.0.1", tos=0x10) / ICMP(type=8, id=8, seq=1) / b"ping"
    agree(Scenario((), (Inject(bytes(asked), "vethA"), Inject(bytes(asked4), "vethA"))))


def test_verdict_maps_maps_and_dynamic_sets_decide_as_in_the_kernel() -> None:
    steps = (
        *HANDSHAKE,
        Inject(packet("10.244.0.2", "10.96.0.2", UDP(sport=1000, dport=53)), "vethA"),
        Inject(packet("10.244.0.2", "10.244.0.3", TCP(sport=1000, dport=22, flags="S")), "vethA"),
        Inject(packet("10.244.0.2", "10.244.0.3", UDP(sport=1000, dport=5353)), "vethA"),
        Inject(packet("10.244.0.2", "203.0.113.7", ICMP(type=8, id=7)), "vethA"),
        React(-1, "answer"),
    )
    result = agree(Scenario((Load(("nft", "-f", "-"), NFT_SERVICES),), steps))
    assert (result.outcome, result.packets) == ("compared", 9)


def test_rules_that_the_kernel_refuses_are_refused() -> None:
    rules = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REDIRECT --to-ports 80\nCOMMIT\n"
    assert agree(Scenario((Load(("iptables-restore",), rules),), ())).outcome == "refused"


def test_a_planted_difference_is_found() -> None:
    rules = "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j TTL --ttl-set 9\nCOMMIT\n"
    load = Load(("iptables-restore",), rules)
    honest = Scenario((load,), (Inject(packet("10.244.0.2", "10.244.0.3", UDP(sport=1, dport=2)), "vethA"),))
    assert not compare(honest).differences

    real, model = compare.__globals__["_real"], compare.__globals__["_model"]
    try:
        compare.__globals__["_model"] = lambda netns, action: (
            netns.run("iptables -t mangle -F"),
            model(netns, action),
        )[1]
        assert "step 1: vethB: the kernel sent" in compare(honest).differences[0]
    finally:
        compare.__globals__["_real"], compare.__globals__["_model"] = real, model


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_random_rules_and_packets_come_out_alike(language: str) -> None:
    counts, difference = fuzz(language, examples=15, start=1, shrink=False)
    assert not difference, difference
    assert counts["compared"] > 3
