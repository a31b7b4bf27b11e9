"""What decided on packets that went by recipe, against full traces."""

from __future__ import annotations

from kernel.kernel_node import wire
from kernel.test_opening import MAC, PLAIN, SERVICE, both, shown, syn
from scapy.layers.inet import TCP

from fakecluster.kernel.effects import Drop, Effect, Transmit
from fakecluster.trace import Hop, Recalled, Rewrite, RuleStep, Step, is_decision


def decided(effects: list[Effect]) -> list[Step]:
    """What decided on the packet itself, and was rewritten."""
    (effect,) = effects
    assert isinstance(effect, Transmit | Drop)
    assert effect.hop is not None
    return [step for step in effect.hop.steps if is_decision(step)]


def test_a_packet_that_goes_by_recipe_tells_what_decided() -> None:
    machines = both(("iptables-restore", SERVICE))
    machines[0].receive(syn(1000), "podA")
    machines[1].receive(syn(1000), "podA")
    packets = [syn(port) for port in range(2000, 2020)]
    packets += [
        wire("10.244.0.2", "10.96.0.1", TCP(sport=2020 + ttl, dport=80, flags="S"), ttl=ttl) for ttl in (9, 200)
    ]
    for packet in packets:
        told = machines[0].receive(packet, "podA", dst_mac=MAC, decisions=True)
        traced = machines[1].receive(packet, "podA", dst_mac=MAC, trace=True)
        assert decided(told) == decided(traced)
        assert [effect.packet for effect in told] == [effect.packet for effect in traced]
    assert shown(machines[0]) == shown(machines[1])
    hop = machines[0].receive(syn(3000), "podA", dst_mac=MAC, decisions=True)[0].hop
    assert hop is not None
    assert isinstance(hop, Recalled)
    assert [step.text for step in hop.steps if isinstance(step, RuleStep)][-1].endswith(":8081")


def test_each_packet_tells_its_own_ports() -> None:
    netns, _ = both(
        ("iptables-restore", "*nat\n-A POSTROUTING -p tcp -j SNAT --to-source 10.244.0.1:5000-5999\nCOMMIT\n")
    )
    for port in (1000, 1001, 1002):
        (sent,) = netns.receive(syn(port, dst="10.244.0.3"), "podA", dst_mac=MAC, decisions=True)
    assert isinstance(sent, Transmit)
    assert isinstance(sent.hop, Recalled)
    assert [(step.field, step.before, step.after) for step in sent.hop.steps if isinstance(step, Rewrite)] == [
        ("ttl", "64", "63"), ("src", "10.244.0.2", "10.244.0.1"), ("sport", "1002", str(int.from_bytes(sent.packet[20:22]))),
    ]  # fmt: skip


def test_a_recipe_whose_decisions_nobody_wanted_tells_nothing_but_is_learned_anew() -> None:
    netns, _ = both(("iptables-restore", PLAIN))
    netns.receive(syn(1000), "podA", dst_mac=MAC)
    (asked, by_recipe_then) = (netns.receive(syn(port), "podA", dst_mac=MAC, decisions=True) for port in (1001, 1002))
    assert decided(asked)[0] == decided(by_recipe_then)[0]
    assert [type(effects[0].hop) for effects in (asked, by_recipe_then)] == [Hop, Recalled]  # type: ignore[union-attr]
    assert netns.receive(syn(1003), "podA", dst_mac=MAC)[0].hop is None  # type: ignore[union-attr]


def test_what_asks_whether_it_is_traced_is_not_remembered_of_a_traced_packet() -> None:
    netns, _ = both(
        (
            "nft -f -",
            "table ip t {\n chain c {\n type filter hook forward priority 0\n ct state new meta nftrace 1 drop\n }\n}\n",
        )
    )
    (dropped,) = netns.receive(syn(1000, dst="10.244.0.3"), "podA", dst_mac=MAC, decisions=True)
    assert isinstance(dropped, Drop)
    assert not netns.flow_cache.recipes
    (sent,) = netns.receive(syn(1001, dst="10.244.0.3"), "podA", dst_mac=MAC)
    assert isinstance(sent, Transmit)
    assert netns.flow_cache.recipes
    (dropped,) = netns.receive(syn(1002, dst="10.244.0.3"), "podA", dst_mac=MAC, decisions=True)
    assert isinstance(dropped, Drop)
