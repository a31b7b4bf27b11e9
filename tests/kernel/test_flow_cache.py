"""The flow cache: what it remembers, and that nothing shows that it is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kernel.kernel_node import router, sent, wire
from kernel.talks import Talk
from scapy.layers.inet import UDP

from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Effect, Transmit
from fakecluster.kernel.flow_cache import FlowCache
from fakecluster.kernel.hooks import DROP, Hook
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.routing import Route
from fakecluster.kernel.xtables import compile, steady

SERVICE = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.0.3:8080
-A PREROUTING -d 10.96.0.1/32 -p udp -m udp --dport 80 -j DNAT --to-destination 10.244.0.3:8080
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 22 -j DROP
COMMIT
"""


def both(*commands: tuple[str, str]) -> tuple[Netns, Netns]:
    """The same router twice: with and without its flow cache."""
    with_cache, without = router(), router()
    without.flow_cache.enabled = False
    for netns in (with_cache, without):
        for command, text in commands:
            netns.run(command, text)
    return with_cache, without


def client(proto: str = "tcp", **fields: object) -> Talk:
    return Talk("podA", "10.244.0.2", "10.96.0.1", proto, **fields)  # type: ignore[arg-type]


def known(netns: Netns, talk: Talk, side: int = 0) -> list[Effect] | None:
    """What the cache makes of the talk's next packet."""
    return netns.flow_cache.receive(talk.packet(side), talk.arrives(side), b"")


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("side", [0, 1])
def test_packets_of_an_open_flow_are_known_both_ways(proto: str, side: int) -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    talk = client(proto)
    talk.open(netns)
    effects = known(netns, talk, side)
    assert effects is not None
    [(iface, packet)] = sent(effects)
    ends = (packet.src, packet.sport, packet.dst, packet.dport)
    there = ("podB", ("10.244.0.2", 1000, "10.244.0.3", 8080))
    back = ("podA", ("10.96.0.1", 80, "10.244.0.2", 1000))
    assert (iface, ends) == (back if side else there)
    assert packet.ttl == 63


def test_a_new_flow_is_not_known() -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    client().open(netns)
    assert known(netns, client(sport=1001)) is None


def test_counters_and_the_connection_go_on() -> None:
    netns, without = both(("iptables-restore", SERVICE), ("sysctl -w net.netfilter.nf_conntrack_acct=1", ""))
    talk = client()
    talk.open(netns, without)
    for load in (b"", b"x", b"abc" * 100):
        packet = talk.packet(0, "PA", load)
        assert netns.receive(packet, "podA") == without.receive(packet, "podA")
        netns.clock.advance(3)
        without.clock.advance(3)
    assert "[6:517] -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED" not in netns.run("iptables-save -c")
    assert netns.run("iptables-save -c") == without.run("iptables-save -c")
    assert netns.run("conntrack -L") == without.run("conntrack -L")


LISTS = """*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m set --match-set blocked src -j DROP
-A FORWARD -p udp -m udp --dport 666 -j SET --add-set blocked dst
-A FORWARD -p udp -m udp --dport 667 -j SET --del-set allowed dst
-A FORWARD -m set ! --match-set allowed src -j DROP
COMMIT
"""
NFT_LISTS = """table ip t {
    set blocked { type ipv4_addr; flags dynamic; size 100; }
    set allowed { type ipv4_addr; flags dynamic; size 100; elements = { 10.244.0.2, 10.244.0.3 } }
    chain forward {
        type filter hook forward priority 10;
        ip saddr @blocked drop
        udp dport 666 add @blocked { ip daddr }
        udp dport 667 delete @allowed { ip daddr }
        ip saddr != @allowed drop
    }
}
"""
SETS = (
    ("ipset create blocked hash:ip", ""),
    ("ipset create allowed hash:ip", ""),
    ("ipset add allowed 10.244.0.2", ""),
    ("ipset add allowed 10.244.0.3", ""),
    ("iptables-restore", LISTS),
    ("nft -f -", NFT_LISTS),
    ("iptables-restore --noflush", SERVICE),
)


def _other_flow(port: int) -> Callable[[Netns], object]:
    return lambda netns: netns.receive(wire("10.244.0.3", "10.244.0.2", UDP(sport=9, dport=port)), "podB")


def _set(name: str, value: str) -> Callable[[Netns], object]:
    return lambda netns: netns.sysctls.__setitem__(name, value)


def _device(name: str, field: str, value: object) -> Callable[[Netns], object]:
    return lambda netns: setattr(netns.interfaces[name], field, value)


#: What ends every entry of the cache: a client's packets fare differently afterwards.
CHANGES: dict[str, Callable[[Netns], object]] = {
    "a rule": lambda netns: netns.run("iptables -I FORWARD -s 10.244.0.2 -j DROP"),
    "a policy": lambda netns: netns.run("iptables-restore", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"),
    "an nft rule": lambda netns: netns.run("nft add rule ip t forward tcp dport 8080 drop"),
    "an nft element": lambda netns: netns.run("nft add element ip t blocked { 10.244.0.2 }"),
    "an element of a set": lambda netns: netns.run("ipset add blocked 10.244.0.2"),
    "an element that a packet adds to a set": _other_flow(666),
    "an element that a packet deletes from a set": _other_flow(667),
    "a sysctl": _set("net.ipv4.ip_forward", "0"),
    "a sysctl of conntrack": _set("net.netfilter.nf_conntrack_tcp_timeout_established", "77"),
    "a route": lambda netns: netns.routes.remove(Route(4, 0x0AF40003, 32)),
    "a policy rule": lambda netns: netns.run("ip rule add from 10.244.0.2 blackhole priority 5"),
    "an address": lambda netns: netns.run("ip address add 10.244.0.3/32 dev eth0"),
    "an MTU": _device("podB", "mtu", 68),
    "a device that is down": _device("podB", "up", False),
    "a device's address": _device("podA", "mac", b"\2\0\0\0\0\x77"),
    "a device that is gone": lambda netns: netns.remove_interface("podB"),
    "a hook": lambda netns: netns.hooks.register(4, Hook.FORWARD, 1, "no", lambda skb, ctx: DROP),
}
#: What every packet is compared with, so that it needs no telling.
COMPARED: dict[str, Callable[[Netns], object]] = {
    "a neighbour": lambda netns: netns.neighbours.pop((4, 0x0AF40003)),
    "a dead connection": lambda netns: netns.conntrack.flush(),
    "an expired connection": lambda netns: netns.clock.advance(432_001),
}


def after(netns: Netns, talk: Talk, change: Callable[[Netns], object]) -> tuple[list[Effect], str]:
    """A packet of the flow, and its connection, after a change."""
    change(netns)
    mac = b"\2\0\0\0\0" + b"A"
    effects = netns.receive(talk.packet(0, "A", b"x" * 50), "podA", dst_mac=mac)
    return effects, listing(netns.conntrack, list(netns.conntrack))


@pytest.mark.parametrize("change", [*CHANGES, *COMPARED])
def test_a_change_is_noticed(change: str) -> None:
    netns, without = both(*SETS)
    talk = client()
    talk.open(netns, without)
    assert known(netns, talk) is not None
    twin = Talk(**{field: getattr(talk, field) for field in ("iface", "src", "dst", "far")}, seq=talk.seq.copy())
    act = {**CHANGES, **COMPARED}[change]
    assert after(netns, talk, act) == after(without, twin, act)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_the_cache_is_not_told_of_is_found(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowCache, "changed", lambda cache: None)
    with pytest.raises(AssertionError):
        test_a_change_is_noticed(change)


#: Rules of FORWARD whose answer may differ from packet to packet of one flow.
UNSTEADY = (
    "-m length --length 0:1000", "-m limit --limit 1/hour", "-m statistic --mode nth --every 2 --packet 0",
    "-m statistic --mode random --probability 0.5", "-m string --string x --algo bm", "-m ttl --ttl-gt 3",
    "-m recent --set --name r", "-m quota --quota 100", "-m u32 --u32 0=0", "-m connbytes --connbytes 0:9 "
    "--connbytes-dir both --connbytes-mode packets", "-m conntrack --ctexpire 1:9", "-p tcp -m tcp --tcp-flags PSH PSH",
    "-p tcp -m tcp --tcp-option 8", "-m hashlimit --hashlimit-upto 1/hour --hashlimit-mode srcip --hashlimit-name h",
    "-m mac --mac-source 02:00:00:00:00:01", "-p tcp -m tcpmss --mss 5", "-m set --match-set timed src",
    "-m set --match-set counted src", "-m connlimit --connlimit-above 3", "-m socket", "-j TTL --ttl-inc 1",
    "-j TOS --set-tos 8", "-j LOG", "-j SET --add-set blocked src",
)  # fmt: skip
STEADY = (
    "-m mark --mark 3", "-m connmark --mark 3", "-s 10.0.0.0/8", "-i podA", "-o podB", "-p tcp -m tcp --dport 8080",
    "-p tcp -m tcp --tcp-flags SYN,ACK SYN", "-m multiport -p tcp --dports 1,2", "-m conntrack --ctdir ORIGINAL",
    "-m addrtype --dst-type LOCAL", "-m dscp --dscp 4", "-m set ! --match-set blocked src", "-m nfacct --nfacct-name n",
    "-m comment --comment x", "-p udp -m length --length 0:1000", "-j MARK --set-mark 1", "-j CONNMARK --set-mark 1",
    "-m pkttype --pkt-type unicast", "-m iprange --src-range 10.0.0.0-10.255.255.255", "-m rpfilter --loose",
)  # fmt: skip


def with_rule(rule: str) -> tuple[Netns, Netns]:
    """Routers whose first rule is the given one."""
    chain = "PREROUTING" if "rpfilter" in rule or "socket" in rule else "FORWARD"
    sets = (
        "ipset create timed hash:ip timeout 60",
        "ipset create counted hash:ip counters",
        "ipset create blocked hash:ip",
    )
    commands = [(command, "") for command in (*sets, "nfacct add n")]
    return both(*commands, ("iptables-restore", SERVICE), (f"iptables -t mangle -I {chain} {rule}", ""))


@pytest.mark.parametrize("rule", UNSTEADY)
def test_what_may_differ_from_packet_to_packet_is_not_remembered(rule: str) -> None:
    netns, without = with_rule(rule)
    talk = client()
    talk.open(netns, without)
    assert known(netns, talk) is None
    assert netns.run("iptables-save -c") == without.run("iptables-save -c")


@pytest.mark.parametrize("rule", STEADY)
def test_what_is_the_same_for_every_packet_is_remembered(rule: str) -> None:
    netns, without = with_rule(rule)
    talk = client()
    talk.open(netns, without)
    packet = talk.packet(0)
    assert known(netns, talk) is not None
    without.receive(packet, "podA")
    for command in ("iptables-save -c", "nfacct list", "conntrack -L"):
        assert netns.run(command) == without.run(command)


NFT = """table ip t {
    set timed { type ipv4_addr; flags timeout; elements = { 10.244.0.2 timeout 1h } }
    set counted { type ipv4_addr; counter; elements = { 10.244.0.2 } }
    set plain { type ipv4_addr; elements = { 10.244.0.2 } }
    set seen { type ipv4_addr; flags dynamic; size 10; }
    map marks { type ipv4_addr : mark; elements = { 10.244.0.2 : 7 } }
    counter c { }
    quota q { 9 bytes }
    chain forward {
        type filter hook forward priority 10;
        ct state established RULE
    }
}
"""
NFT_UNSTEADY = (
    "meta length > 20", "limit rate 1/hour accept", "quota 90 bytes accept", "numgen inc mod 2 1 accept",
    "ip ttl 9 accept", "ip id 5 accept", "ip saddr @timed accept", "ip saddr @counted accept", "quota name q accept",
    "ct expiration 1h accept", "ct bytes > 5 accept", "tcp flags psh accept", "tcp window 7 accept",
    "tcp option maxseg size 7 accept", "@th,32,32 5 accept", "add @seen { ip saddr }", "ct count 5 accept",
    "ip ttl set 5", "ip dscp set cs1", "log",
)  # fmt: skip
NFT_STEADY = (
    "ip saddr @plain counter", "tcp dport { 80, 8080 } counter", "meta mark set ip saddr map @marks", "counter name c",
    "tcp flags & (syn | ack) == syn accept", "tcp flags syn accept", "ct mark set 5", "ct status snat accept",
    "ip dscp cs1 accept", "iifname podA counter", "fib saddr . iif oif exists accept", "meta l4proto tcp counter",
    "udp dport 5 meta length > 20", "ct original ip daddr 10.96.0.1 counter", "ip saddr vmap { 10.244.0.2 : accept }",
    "jhash ip saddr mod 2 seed 5 vmap { 0 : accept, 1 : accept }",
)  # fmt: skip


@pytest.mark.parametrize("rule", NFT_UNSTEADY)
def test_what_may_differ_is_not_remembered_in_nft_either(rule: str) -> None:
    netns, _ = both(("iptables-restore", SERVICE), ("nft -f -", NFT.replace("RULE", rule)))
    talk = client()
    talk.open(netns)
    assert known(netns, talk) is None


@pytest.mark.parametrize("rule", NFT_STEADY)
def test_what_is_the_same_is_remembered_in_nft_too(rule: str) -> None:
    netns, without = both(("iptables-restore", SERVICE), ("nft -f -", NFT.replace("RULE", rule)))
    talk = client()
    talk.open(netns, without)
    packet = talk.packet(0)
    assert known(netns, talk) is not None
    without.receive(packet, "podA")
    for command in ("nft list ruleset", "conntrack -L"):
        assert netns.run(command) == without.run(command)


def test_every_match_that_is_taken_for_steady_is_modelled() -> None:
    assert steady.MATCHES.keys() <= compile.MATCHES.keys()
    assert compile.TARGETS.keys() >= steady.TARGETS


def test_a_fork_starts_with_an_empty_cache_of_its_own() -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    talk = client()
    talk.open(netns)
    copy = netns.fork(netns.clock.fork(), netns.choices.fork())
    assert (len(netns.flow_cache.flows), len(copy.flow_cache.flows)) == (2, 0)
    copy.receive(talk.packet(0), "podA")
    copy.sysctls["net.ipv4.ip_forward"] = "0"
    assert (len(netns.flow_cache.flows), len(copy.flow_cache.flows)) == (2, 0)


def test_a_connection_takes_its_flows_with_it() -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    client().open(netns)
    client(sport=1001).open(netns)
    assert len(netns.flow_cache.flows) == 4
    netns.conntrack.kill(next(iter(netns.conntrack)))
    assert len(netns.flow_cache.flows) == 2


def test_a_connection_does_not_gather_places_that_are_forgotten() -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    talk = client()
    talk.open(netns)
    for _ in range(5):
        netns.run("iptables-save")
        netns.receive(talk.packet(0), "podA")
        netns.receive(talk.packet(1), "podB")
    [ct] = netns.conntrack
    assert len(ct.shortcuts) == len(netns.flow_cache.flows) == 2


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakecluster.kernel.flow_cache.cache.MAX_FLOWS", 5)
    netns, _ = both(("iptables-restore", SERVICE))
    for port in range(2000, 2010):
        client(sport=port).open(netns)
        assert len(netns.flow_cache.flows) <= 5


def test_a_traced_packet_takes_the_long_way() -> None:
    netns, _ = both(("iptables-restore", SERVICE))
    talk = client()
    talk.open(netns)
    [effect] = netns.receive(talk.packet(0), "podA", trace=True)
    assert isinstance(effect, Transmit)
    assert effect.hop is not None
    assert any("ESTABLISHED" in str(step) for step in effect.hop.steps)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sysctl -w net.ipv4.ip_forward=0", "forwarding is off"),
        ("ip route replace blackhole 10.244.0.3", "blackhole"),
        ("ip address add 10.244.0.2/32 dev lo", "martian source: one of our own addresses"),
    ],
)
def test_a_remembered_route_is_forgotten_when_something_changes(command: str, reason: str) -> None:
    netns = router()
    packet = wire("10.244.0.2", "10.244.0.3", UDP(sport=1, dport=2))
    assert [type(netns.receive(packet, "podA")[0]) for _ in range(2)] == [Transmit, Transmit]
    assert len(netns.flow_cache.input_routes) == 1
    netns.run(command)
    assert netns.receive(packet, "podA")[0].reason == reason  # type: ignore[union-attr]
    assert not netns.flow_cache.input_routes
