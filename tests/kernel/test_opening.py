"""First packets of connections by recipe: when, and that nothing shows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kernel.kernel_node import router, wire
from kernel.test_flow_cache import CHANGES, COMPARED, SETS
from scapy.layers.inet import TCP, UDP

from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Drop, Effect, Transmit
from fakecluster.kernel.flow_cache import FlowCache, cache
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import SYN
from fakecluster.sim import Scripted

SERVICE = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:SVC - [0:0]
-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j SVC
-A SVC -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.3:8080
-A SVC -m statistic --mode random --probability 0.25000000000 -j MARK --set-mark 0x4000
-A SVC -p tcp -j DNAT --to-destination 10.244.0.3:8081
-A POSTROUTING -m mark --mark 0x4000 -j MASQUERADE --random-fully
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 22 -j DROP
COMMIT
"""
PLAIN = (
    "*nat\n-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.0.3:8080\nCOMMIT\n"
)
MAC = b"\2\0\0\0\0A"


def both(*commands: tuple[str, str]) -> tuple[Netns, Netns]:
    """The same router twice: with and without its flow cache."""
    machines = router(), router()
    machines[1].flow_cache.enabled = False
    for netns in machines:
        for command, text in commands:
            netns.run(command, text)
    return machines


def syn(
    sport: int, *, src: str = "10.244.0.2", dst: str = "10.96.0.1", dport: int = 80, load: bytes = b"", **fields: object
) -> bytes:
    header = {"flags": "S", "seq": 7, "window": 9000, "options": [("MSS", 1400), ("WScale", 7)]} | fields
    return wire(src, dst, TCP(sport=sport, dport=dport, **header) / load)


def by_recipe(netns: Netns, packet: bytes, iface: str = "podA") -> list[Effect] | None:
    """What the cache makes of a packet; None when it knows no recipe."""
    effects = netns.flow_cache.receive(packet, iface, MAC)
    netns.given.clear()
    return effects


def shown(netns: Netns) -> tuple[object, ...]:
    entries = list(netns.conntrack)
    sources = {key: len(mapped) for key, mapped in netns.conntrack.by_source.items()}
    marks = [(ct.id, ct.masq_oif, ct.status) for ct in entries]
    return listing(netns.conntrack, entries), marks, sources, list(netns.choices.taken)


def alike(machines: tuple[Netns, Netns], packet: bytes, iface: str = "podA") -> list[Effect]:
    """Give a packet to both; the same must come of it, and no answer is left over."""
    effects = [netns.receive(packet, iface, dst_mac=MAC) for netns in machines]
    assert effects[0] == effects[1]
    assert shown(machines[0]) == shown(machines[1])
    assert not machines[0].given
    return effects[0]


def test_a_connection_from_another_port_is_opened_by_recipe() -> None:
    machines = both(("iptables-restore", PLAIN))
    alike(machines, syn(1000))
    [sent] = by_recipe(machines[0], syn(1001)) or []
    assert [sent] == machines[1].receive(syn(1001), "podA")
    assert shown(machines[0]) == shown(machines[1])
    assert "[2:96] -A PREROUTING -d 10.96.0.1" in machines[0].run("iptables-save -c")
    assert "dport=80 [UNREPLIED] src=10.244.0.3 dst=10.244.0.2 sport=8080 dport=1001" in " ".join(
        machines[0].run("conntrack -L").split()
    )


def test_what_differs_by_more_than_the_port_is_another_matter() -> None:
    netns, _ = both(("iptables-restore", PLAIN))
    netns.receive(syn(1000), "podA")
    others = (
        syn(1001, src="10.244.0.9"), syn(1001, dport=81), syn(1001, flags="SA"), syn(1001, flags="SE"),
        wire("10.244.0.2", "10.96.0.1", TCP(sport=1001, dport=80, flags="S"), tos=4),
        wire("10.244.0.2", "10.96.0.1", UDP(sport=1001, dport=80)),
    )  # fmt: skip
    assert [by_recipe(netns, packet) for packet in others] == [None] * 6
    assert by_recipe(netns, syn(1001), "podB") is None
    assert netns.flow_cache.receive(syn(1001), "podA", b"\2\0\0\0\0Z") is None


def test_chance_is_asked_as_ever_whether_the_answer_was_met_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = both(("iptables-restore", SERVICE))
    hits = []
    known = cache.UNKNOWN[SYN]
    monkeypatch.setitem(cache.UNKNOWN, SYN, lambda *given: hits.append(known(*given)) or hits[-1])
    for port in range(2000, 2040):
        alike(machines, syn(port))
    ports = {"8080", "8081"}
    lines = machines[0].run("conntrack -L").split()
    assert {word.removeprefix("sport=") for word in lines if word.startswith("sport=80")} == ports
    assert 30 <= sum(hit is not None for hit in hits) < 40
    assert machines[0].run("iptables-save -c") == machines[1].run("iptables-save -c")
    assert machines[0].choices.draw(1 << 32, "") == machines[1].choices.draw(1 << 32, "")


@pytest.mark.parametrize("chain", ["PREROUTING", "FORWARD", "POSTROUTING"])
def test_nothing_is_asked_for_a_packet_that_does_not_come_to_the_question(chain: str) -> None:
    half = "-m statistic --mode random --probability 0.5 -j MARK --set-mark 1"
    machines = both(("iptables-restore", PLAIN), (f"iptables -t mangle -A {chain} {half}", ""))
    for port in range(1000, 1006):
        alike(machines, syn(port))
    address = {"src": "10.244.0.2", "dst": "10.96.0.1"}
    alike(machines, wire(**address, transport=TCP(sport=2000, dport=80, flags="S"), ttl=1))
    alike(machines, wire(**address, transport=TCP(sport=2001, dport=80, flags="S") / bytes(1600), flags="DF"))
    alike(machines, wire(**address, transport=TCP(sport=2001, dport=80, flags="S") / bytes(1400)))
    for netns in machines:
        netns.receive(syn(2002), "podA", dst_mac=b"\2\0\0\0\0Z")
        netns.interfaces["podB"].mtu = 100
    for port in range(2500, 2504):
        alike(machines, syn(port))
    alike(machines, wire(**address, transport=TCP(sport=2003, dport=80, flags="S") / bytes(200), flags="DF"))
    for netns in machines:
        netns.neighbours.clear()
    for port in range(3000, 3006):
        alike(machines, syn(port))
    assert not machines[0].given
    assert machines[0].choices.draw(1 << 32, "") == machines[1].choices.draw(1 << 32, "")


@pytest.mark.parametrize("script", [[0, 0, 1], [1, 1, 1, 0, 0], [1, 0, 0, 1, 1, 1, 0]])
def test_scripted_answers_are_followed(script: list[int]) -> None:
    machines = both(("iptables-restore", SERVICE))
    for netns in machines:
        netns.choices = Scripted(script)
    for port in range(2000, 2006):
        alike(machines, syn(port))


#: Rules of FORWARD by which first packets may fare differently.
UNSTEADY = (
    "-p tcp -m tcp --sport 1:1000", "-p tcp -m multiport --sports 1:1000", "-p tcp -m multiport --ports 1,80",
    "-m conntrack --ctorigsrcport 1:1000", "-m conntrack --ctrepldstport 1:1000", "-m limit --limit 1/hour",
    "-m recent --set --name r", "-m recent --rcheck --name r", "-m connlimit --connlimit-above 1",
    "-m hashlimit --hashlimit-upto 1/hour --hashlimit-mode srcip,srcport --hashlimit-name h", "-m length --length 0:48",
    "-p tcp -m tcp --tcp-option 3", "-p tcp -m tcpmss --mss 1400", "-m string --string x --algo bm", "-m u32 --u32 0=0",
    "-m ttl --ttl-gt 3", "-m statistic --mode nth --every 2 --packet 0", "-m quota --quota 100", "-m socket",
    "-m set --match-set ends src,src", "-m set --match-set ends dst,dst", "-m set --match-set timed src",
    "-m set --match-set counted src", "-m conntrack --ctexpire 1:9", "-j LOG", "-j SET --add-set blocked src",
    "-j TTL --ttl-inc 1", "-j TOS --set-tos 8", "-p tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 1000",
)  # fmt: skip
STEADY = (
    "-m mark --mark 3", "-s 10.0.0.0/8 -j ACCEPT", "-i podA -o podB", "-p tcp -m tcp --dport 8080", "-p tcp --syn",
    "-p tcp -m multiport --dports 1,8080", "-m conntrack --ctstate NEW -j ACCEPT", "-m conntrack --ctorigdstport 80",
    "-m addrtype --dst-type LOCAL", "-m set ! --match-set blocked src", "-m nfacct --nfacct-name n",
    "-m statistic --mode random --probability 0.5 -j MARK --set-mark 9", "-j CONNMARK --set-mark 7", "-j MARK --or-mark 1",
    "-m connmark --mark 7", "-m iprange --src-range 10.0.0.0-10.255.255.255", "-m dscp --dscp 4", "-m pkttype "
    "--pkt-type unicast", "-p udp -m length --length 1:9", "-m conntrack --ctstate DNAT -j ACCEPT",
)  # fmt: skip


def with_rule(rule: str) -> tuple[Netns, Netns]:
    chain = "PREROUTING" if "socket" in rule else "FORWARD"
    sets = ("timed hash:ip timeout 60", "counted hash:ip counters", "blocked hash:ip", "ends hash:ip,port")
    commands = [*[(f"ipset create {each}", "") for each in sets], ("nfacct add n", ""), ("iptables-restore", PLAIN)]
    return both(*commands, (f"iptables -t mangle -I {chain} {rule}", ""))


@pytest.mark.parametrize("rule", UNSTEADY)
def test_what_may_differ_between_first_packets_is_not_remembered(rule: str) -> None:
    machines = with_rule(rule)
    alike(machines, syn(1000))
    assert by_recipe(machines[0], syn(1001)) is None
    for port in (1001, 1002, 1003):
        alike(machines, syn(port))
    assert machines[0].run("iptables-save -c") == machines[1].run("iptables-save -c")


@pytest.mark.parametrize("rule", STEADY)
def test_what_first_packets_share_is_remembered(rule: str) -> None:
    machines = with_rule(rule)
    for port in range(1000, 1004):
        alike(machines, syn(port))
    assert by_recipe(machines[0], syn(1004)) == machines[1].receive(syn(1004), "podA")
    for command in ("iptables-save -c", "nfacct list", "conntrack -L"):
        assert machines[0].run(command) == machines[1].run(command)


#: Rules of nat PREROUTING or POSTROUTING, and whether connections that they map are opened by recipe.
MAPPINGS = (
    ("PREROUTING -p tcp -j DNAT --to-destination 10.244.0.3", True),
    ("PREROUTING -p tcp -j DNAT --to-destination 10.96.0.1:80", True),
    ("PREROUTING -p tcp -j DNAT --to-destination 10.244.0.3:1-9", False),
    ("PREROUTING -p tcp -j DNAT --to-destination 10.244.0.3-10.244.0.4", False),
    ("PREROUTING -p tcp -j DNAT --to-destination 10.244.0.3:80 --random", False),
    ("PREROUTING -p tcp -j NETMAP --to 10.244.0.3/32", False),
    ("PREROUTING -p tcp -j REDIRECT --to-ports 8080", False),
    ("POSTROUTING -p tcp -j MASQUERADE", True),
    ("POSTROUTING -p tcp -j MASQUERADE --random-fully", True),
    ("POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:100-200", True),
    ("POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4-1.2.3.9", False),
)


@pytest.mark.parametrize(("rule", "remembered"), MAPPINGS)
def test_a_mapping_to_one_place_is_remembered_and_ports_are_looked_for_anew(rule: str, remembered: bool) -> None:
    machines = both((f"iptables -t nat -A {rule}", ""), ("iptables-restore --noflush", PLAIN))
    for port in (1000, 1001, 1002):
        alike(machines, syn(port))
        alike(machines, syn(port))  # sent again
        alike(machines, syn(port, src="10.244.0.8"))  # from the same port of another host: SNAT must look for another
    assert (by_recipe(machines[0], syn(1003)) is not None) == remembered


NFT = """table ip t {
    set timed { type ipv4_addr; flags timeout; elements = { 10.244.0.2 timeout 1h } }
    set ports { type inet_service; elements = { 1000 } }
    set seen { type ipv4_addr; flags dynamic; size 10; }
    map to { type inet_service : ipv4_addr; elements = { 80 : 10.244.0.3 } }
    counter c { }
    chain pre {
        type nat hook prerouting priority -100;
        ip daddr 10.96.0.1 tcp dport 80 DNAT
    }
    chain forward {
        type filter hook forward priority 10;
        ct state new RULE
    }
}
"""
NFT_UNSTEADY = (
    "tcp sport 1000 accept", "tcp sport @ports accept", "th sport 1000 accept",
    "meta l4proto tcp ct original proto-src 1000 accept", "meta l4proto tcp ct reply proto-dst 1000 accept", "ct id 5 accept",
    "numgen inc mod 2 1 accept", "limit rate 1/hour accept",
    "tcp sport vmap { 1000 : accept }", "ip saddr . tcp sport { 10.244.0.2 . 1000 } accept", "update @seen { ip saddr }",
    "jhash tcp sport mod 2 seed 1 1 accept", "ip saddr @timed accept", "ct count 2 accept", "meta length 48 accept",
    "tcp option maxseg size 1400 accept", "log", "tcp window 9000 accept",
)  # fmt: skip
NFT_STEADY = (
    "tcp dport 80 counter", "ip saddr . tcp dport { 10.244.0.2 . 8080 } accept", "counter name c", "tcp flags syn accept",
    "numgen random mod 2 1 accept", "meta mark set 5", "ct mark set 5", "jhash ip saddr mod 2 seed 1 1 accept",
    "ct original ip daddr 10.96.0.1 accept", "fib saddr . iif oif exists accept",
)  # fmt: skip
NFT_DNAT = (
    ("dnat to 10.244.0.3:8080", True),
    ("dnat to tcp dport map @to", True),
    ("dnat to numgen random mod 2 map { 0 : 10.244.0.3, 1 : 10.244.0.9 }", True),
    ("dnat to jhash tcp sport mod 2 seed 1 map { 0 : 10.244.0.3, 1 : 10.244.0.9 }", False),
)


def nft(rule: str = "accept", dnat: str = "dnat to 10.244.0.3:8080") -> tuple[Netns, Netns]:
    return both(("nft -f -", NFT.replace("RULE", rule).replace("DNAT", dnat)))


@pytest.mark.parametrize("rule", NFT_UNSTEADY)
def test_what_may_differ_is_not_remembered_in_nft_either(rule: str) -> None:
    machines = nft(rule)
    alike(machines, syn(1000))
    assert by_recipe(machines[0], syn(1001)) is None
    for port in (1001, 1002):
        alike(machines, syn(port))


@pytest.mark.parametrize("rule", NFT_STEADY)
def test_what_is_the_same_is_remembered_in_nft_too(rule: str) -> None:
    machines = nft(rule)
    for port in range(1000, 1006):
        alike(machines, syn(port))
    assert by_recipe(machines[0], syn(1006)) == machines[1].receive(syn(1006), "podA")
    assert machines[0].run("nft list ruleset") == machines[1].run("nft list ruleset")


@pytest.mark.parametrize(("dnat", "remembered"), NFT_DNAT)
def test_nft_maps_to_what_all_first_packets_share(dnat: str, remembered: bool) -> None:
    machines = nft(dnat=dnat)
    for port in range(1000, 1006):
        alike(machines, syn(port))
    assert (by_recipe(machines[0], syn(1006)) is not None) == remembered


def after(machines: tuple[Netns, Netns], change: Callable[[Netns], object]) -> list[Effect]:
    alike(machines, syn(1000, load=bytes(50)))
    assert by_recipe(machines[0], syn(1001, load=bytes(50))) is not None
    machines[1].receive(syn(1001, load=bytes(50)), "podA", dst_mac=MAC)
    for netns in machines:
        change(netns)
    return alike(machines, syn(1002, load=bytes(50)))


#: What is not noticed of a first packet, or not by the cache alone.
ELSEWHERE = ("a sysctl of conntrack", "a device's address")


@pytest.mark.parametrize("change", [*CHANGES, *COMPARED])
def test_a_change_is_noticed(change: str) -> None:
    after(both(*SETS), {**CHANGES, **COMPARED}[change])


@pytest.mark.parametrize("change", [change for change in CHANGES if change not in ELSEWHERE])
def test_a_change_that_the_cache_is_not_told_of_is_found(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowCache, "changed", lambda cache: None)
    with pytest.raises(AssertionError):
        after(both(*SETS), CHANGES[change])


def test_an_entry_with_the_same_tuple_is_met_the_long_way() -> None:
    machines = both(("iptables-restore", PLAIN))
    alike(machines, syn(1000))
    alike(machines, syn(1000))  # sent again
    assert by_recipe(machines[0], syn(1000)) is None
    for netns in machines:
        netns.clock.advance(121)  # gone, but not yet swept away
    alike(machines, syn(1000))
    alike(machines, syn(8080, src="10.244.0.3", dst="10.244.0.2", dport=1000), "podB")  # its answer's tuple


def test_the_answer_of_another_connection_is_not_taken() -> None:
    machines = both(("iptables-restore", PLAIN))
    alike(machines, syn(1000))
    crossing = syn(8080, src="10.244.0.3", dst="10.244.0.2", dport=1001)
    alike(machines, crossing, "podB")
    alike(machines, syn(1001))


@pytest.mark.parametrize(("dst", "dport"), [("10.244.0.3", 8080), ("10.96.0.1", 80)])
def test_a_source_that_another_one_hides_behind_gets_another_port(dst: str, dport: int) -> None:
    hide = "iptables -t nat -A POSTROUTING -s 10.244.0.9 -p tcp -j SNAT --to-source 10.244.0.2:1001"
    machines = both((hide, ""), ("iptables-restore --noflush", PLAIN))
    alike(machines, syn(1000, dst=dst, dport=dport))
    alike(machines, syn(5, src="10.244.0.9", dst="10.244.0.3", dport=8080))
    [sent] = alike(machines, syn(1001, dst=dst, dport=dport))
    assert isinstance(sent, Transmit)
    assert sent.packet[20:22] != (1001).to_bytes(2)


def test_chance_that_is_asked_after_a_port_was_drawn_keeps_its_turn() -> None:
    late = "table ip late { chain c { type filter hook postrouting priority 200; numgen random mod 9 1 counter; }; }"
    rule = "iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --random-fully"
    machines = both((rule, ""), ("nft -f -", late), ("iptables-restore --noflush", PLAIN))
    for port in range(1000, 1010):
        alike(machines, syn(port))


def test_a_connection_in_a_zone_is_opened_the_long_way() -> None:
    zone = "table ip z { chain c { type filter hook prerouting priority -300; ct zone set 5; }; }"
    machines = both(("nft -f -", zone), ("iptables-restore --noflush", PLAIN))
    for port in (1000, 1001):
        alike(machines, syn(port))
    assert machines[0].run("conntrack -L").count("zone=5") == 2


def test_a_packet_through_a_bridge_goes_the_long_way() -> None:
    machines = both(("iptables-restore", PLAIN))
    for netns in machines:
        netns.add_interface("br0")
        netns.interfaces["podA"].master = "br0"
    for port in (1000, 1001):
        for netns in machines:
            netns.receive(syn(port), "podA")
    assert machines[0].flow_cache.receive(syn(1002), "podA", b"") is None
    assert shown(machines[0]) == shown(machines[1])


@pytest.mark.parametrize("most", [1, 3])
def test_a_full_table_is_noticed(most: int) -> None:
    machines = both(("iptables-restore", PLAIN), (f"sysctl -w net.netfilter.nf_conntrack_max={most}", ""))
    for port in range(1000, 1008):
        alike(machines, syn(port))
    assert len(machines[0].conntrack) == most


def test_no_port_is_left_to_translate_to() -> None:
    rule = "iptables -t nat -A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:100-102"
    machines = both((rule, ""), ("iptables-restore --noflush", PLAIN))
    ends = [alike(machines, syn(port))[0] for port in range(1000, 1006)]
    assert [type(end) for end in ends] == [Transmit] * 3 + [Drop] * 3
    assert machines[0].run("iptables-save -c") == machines[1].run("iptables-save -c")


def test_broken_first_packets_go_the_long_way() -> None:
    machines = both(("iptables-restore", PLAIN))
    alike(machines, syn(1000))
    good = syn(1001)
    odd = (
        good[:10] + b"\1\2" + good[12:], good[:36] + b"\1\2" + good[38:], good + b"x", good[:39],
        wire("10.244.0.2", "10.96.0.1", TCP(sport=1002, dport=80, flags="S"), ttl=1),
        wire("10.244.0.2", "10.96.0.1", TCP(sport=1002, dport=80, flags="S") / (b"x" * 1600)),
        wire("10.244.0.2", "10.96.0.1", TCP(sport=1003, dport=80, flags="S", dataofs=4)),
    )  # fmt: skip
    for packet in odd:
        alike(machines, packet)
    assert by_recipe(machines[0], syn(1009)) is not None


def test_counting_of_connections_and_their_marks_are_kept() -> None:
    machines = both(
        ("iptables-restore", PLAIN),
        ("sysctl -w net.netfilter.nf_conntrack_acct=1", ""),
        ("iptables -t mangle -A PREROUTING -j CONNMARK --set-mark 5", ""),
    )
    for port in (1000, 1001):
        alike(machines, syn(port))
    line = " ".join(machines[0].run("conntrack -L").splitlines()[1].split())
    assert "sport=1001 dport=80 packets=1 bytes=48 [UNREPLIED]" in line
    assert "mark=5" in line


def test_recipes_are_bounded_and_a_fork_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    netns, _ = both(("iptables-restore", PLAIN))
    monkeypatch.setattr(cache, "MAX_RECIPES", 3)
    for host in range(2, 12):
        netns.receive(syn(1000, src=f"10.244.0.{host}"), "podA")
        assert 1 <= len(netns.flow_cache.recipes) <= 3
    assert not netns.fork(netns.clock.fork(), netns.choices.fork()).flow_cache.recipes
