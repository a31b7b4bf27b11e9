"""nf_tables' evaluation where random rules showed that it was not the kernel's; the expected values are Linux 6.18's."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_RR
from scenario import Inject
from topology import arrive, model

from fakecluster.errors import Unsupported
from fakecluster.kernel.effects import Transmit
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Seeded


def loaded(rules: str) -> Netns:
    netns = model(Seeded(1))
    netns.run("nft -f -", f"table ip t {{\n{rules}\n}}\n")
    return netns


def sent(netns: Netns, packet: IP) -> list[IP]:
    return [IP(one.packet) for one in arrive(netns, Inject(bytes(packet), "vethA")) if isinstance(one, Transmit)]


def test_a_packet_rejected_before_routing_is_answered_from_the_way_back() -> None:
    """The host does not know yet that the destination is its own address."""
    packet = IP(src="10.244.0.2", dst="192.168.1.10") / UDP(sport=4000, dport=80) / b"ping"
    answers = {}
    for hook in ("prerouting", "input"):
        netns = loaded(f"chain c {{ type filter hook {hook} priority 0\nudp dport 80 reject\n}}")
        [answer] = sent(netns, packet)
        assert answer[ICMP].code == 3
        answers[hook] = answer.src
    assert answers == {"prerouting": "10.244.0.1", "input": "192.168.1.10"}


def test_a_quota_is_over_when_more_than_all_of_it_is_used() -> None:
    netns = loaded("chain c { type filter hook forward priority 0\nquota over 64 bytes drop\n}")
    packet = IP(src="10.244.0.2", dst="10.244.0.3") / UDP(sport=4000, dport=80) / b"ping"
    assert [len(sent(netns, packet)) for _ in range(3)] == [1, 1, 0]


def test_rt_mtu_is_known_of_every_protocol_and_looks_both_ways() -> None:
    netns = loaded("chain c { type filter hook forward priority 0\nrt mtu 1360 drop\n}")
    packet = IP(src="10.244.0.2", dst="10.244.0.3") / UDP(sport=4000, dport=80) / b"ping"
    assert len(sent(netns, packet)) == 1
    netns.run("ip route replace 10.244.0.2 dev vethA mtu 1400")
    assert sent(netns, packet) == []


def test_options_are_not_echoed_before_routing() -> None:
    """Nobody has read them there."""
    packet = IP(src="10.244.0.2", dst="10.244.0.1", options=[IPOption_RR(pointer=4, routers=["0.0.0.0"])]) / UDP(
        dport=9
    )
    lengths = {}
    for hook in ("prerouting", "input"):
        netns = loaded(f"chain c {{ type filter hook {hook} priority 0\nudp dport 9 reject\n}}")
        [answer] = sent(netns, packet)
        lengths[hook] = answer.ihl
    assert lengths == {"prerouting": 5, "input": 7}


def test_what_looped_back_is_not_routed_again() -> None:
    netns = loaded("chain c { type filter hook prerouting priority 0\niif lo udp dport 9 ip daddr set 10.244.0.3\n}")
    packet = IP(src="192.168.1.10", dst="10.244.0.1") / UDP(dport=9)
    assert [one for one in netns.send_local(bytes(packet)) if isinstance(one, Transmit)] == []


def test_a_packet_of_ours_rejected_before_routing_is_only_answered_from_an_address_of_ours() -> None:
    netns = loaded("chain c { type filter hook prerouting priority 0\nudp dport 9 reject\ncounter\n}")
    for target, answers in (("10.244.0.3", 0), ("10.244.0.1", 1)):
        arrive(netns, Inject(bytes(IP(src="192.168.1.10", dst=target) / UDP(sport=9, dport=9)), "vethA"))
        assert f"counter packets {answers} " in netns.run("nft list ruleset")


def test_a_chance_out_of_very_many_numbers_is_one_choice_of_two() -> None:
    netns = loaded("chain c { type filter hook forward priority 0\nnumgen random mod 2147483648 < 1073741824 counter\n}")
    packet = IP(src="10.244.0.2", dst="10.244.0.3") / UDP(sport=4000, dport=80)
    for _ in range(100):
        sent(netns, packet)
    counted = int(netns.run("nft list ruleset").partition("packets ")[2].split()[0])
    assert 35 < counted < 65  # always the same, as the seed is
    with pytest.raises(Unsupported, match="a choice among more than 65536 numbers"):
        loaded("chain c {\nnumgen random mod 65537 vmap { 0 : drop }\n}")
