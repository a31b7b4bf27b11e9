"""Connections that differ in the client's port only: what one has shown serves the others, and nothing shows it."""

from __future__ import annotations

import pytest
from kernel.kernel_node import router
from kernel.talks import Talk

from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Effect
from fakecluster.kernel.flow_cache import kin
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import TCP
from fakecluster.trace import Hop, Recalled, Rewrite, is_decision

SERVICE = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d {vip} -p tcp -m tcp --dport 80 -j DNAT --to-destination {pod}:8080
-A PREROUTING -d {vip} -p tcp -m tcp --dport 81 -j DNAT --to-destination {pod}:8080
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
"""
ENDS = {4: ("10.244.0.2", "10.96.0.1", "10.244.0.3"), 6: ("fd00:2::2", "fd00:96::1", "[fd00:2::3]")}
#: How a connection goes: who speaks, flags, size of the data.
COURSE = ((0, "S", 0), (1, "SA", 0), (0, "A", 0), (1, "A", 0), (0, "PA", 9), (1, "PA", 100), (0, "A", 0), (0, "FA", 0))


def both(*commands: tuple[str, str], family: int = 4) -> tuple[Netns, Netns]:
    """The same router twice: with and without its flow cache."""
    machines = router(), router()
    machines[1].flow_cache.enabled = False
    _me, vip, pod = ENDS[family]
    word = "iptables" if family == 4 else "ip6tables"
    for netns in machines:
        for command, text in ((f"{word}-restore", SERVICE.format(vip=vip, pod=pod)), *commands):
            netns.run(command, text)
    return machines


def client(sport: int, *, family: int = 4, dst: str = "", dport: int = 80) -> Talk:
    return Talk("podA", ENDS[family][0], dst or ENDS[family][1], sport=sport, dport=dport)


def shown(netns: Netns) -> tuple[object, ...]:
    entries = list(netns.conntrack)
    tcp = [ct.proto_info for ct in entries if ct.orig.proto == TCP]
    inside = [(ct.id, ct.status, ct.mark, ct.expires_ns) for ct in entries], tcp
    return listing(netns.conntrack, entries), inside, list(netns.choices.taken)


def say(machines: tuple[Netns, Netns], talk: Talk, side: int, flags: str, size: int = 0, **odd: object) -> list[Effect]:
    """The next packet of a talk: the same must come of it on both."""
    packet = talk.packet(side, flags, b"x" * size, **odd)  # type: ignore[arg-type]
    return give(machines, talk, side, packet)


def give(machines: tuple[Netns, Netns], talk: Talk, side: int, packet: bytes) -> list[Effect]:
    effects = [netns.receive(packet, talk.arrives(side)) for netns in machines]
    assert effects[0] == effects[1]
    assert shown(machines[0]) == shown(machines[1])
    assert not machines[0].given
    if not side:
        talk.learn(effects[0])
    return effects[0]


def go(machines: tuple[Netns, Netns], talk: Talk, packets: int = len(COURSE)) -> Talk:
    """The first packets of a connection."""
    for side, flags, size in COURSE[:packets]:
        if not side or talk.far is not None:
            say(machines, talk, side, flags, size)
    return talk


def by_kin(netns: Netns, talk: Talk, side: int, flags: str, **odd: object) -> bool:
    """Whether the cache knows what comes of the talk's next packet."""
    packet = talk.packet(side, flags, **odd)  # type: ignore[arg-type]
    return netns.flow_cache.receive(packet, talk.arrives(side), b"") is not None


def counters(machines: tuple[Netns, Netns]) -> None:
    for command in ("iptables-save -c", "ip6tables-save -c", "nft list ruleset", "nfacct list"):
        assert machines[0].run(command) == machines[1].run(command)


def kinds(machines: tuple[Netns, Netns], *, family: int = 4) -> str:
    """Of which packets the cache knows what comes without a walk, when a second connection is opened."""
    go(machines, client(1000, family=family))
    talk, known = client(1001, family=family), []
    for side, flags, size in COURSE[:4]:
        before = machines[0].flow_cache.kin.copy(), machines[0].flow_cache.answers.copy()
        packet = talk.packet(side, flags, b"x" * size)
        effects = machines[0].flow_cache.receive(packet, talk.arrives(side), b"")
        machines[0].given.clear()
        if effects is not None:
            known.append(f"{flags}{side}")
            assert before == (machines[0].flow_cache.kin, machines[0].flow_cache.answers)
        else:
            effects = machines[0].receive(packet, talk.arrives(side))
        assert effects == machines[1].receive(packet, talk.arrives(side))
        if not side:
            talk.learn(effects)
    assert shown(machines[0]) == shown(machines[1])
    return " ".join(known)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("dst", ["", "outside"])
def test_a_second_connection_is_opened_without_a_walk(family: int, dst: str) -> None:
    machines = both(family=family)
    far = {4: "203.0.113.7", 6: "fd00:1::1"}[family] if dst else ""
    go(machines, client(1000, family=family, dst=far))
    machines[0].run_hooks = None  # type: ignore[assignment,method-assign]  # whoever goes the long way fails
    go(machines, client(1001, family=family, dst=far), len(COURSE) - 1)
    go(machines, client(1002, family=family, dst=far), len(COURSE) - 1)
    assert len(machines[0].flow_cache.flows) == 6
    counters(machines)


@pytest.mark.parametrize("family", [4, 6])
def test_an_answer_tells_what_decided(family: int) -> None:
    word = "iptables" if family == 4 else "ip6tables"
    machines = both((f"{word} -t mangle -A FORWARD -m conntrack --ctdir REPLY -j MARK --set-mark 5", ""), family=family)
    hops: list[type] = []
    for sport in (1000, 1001, 1002):
        talk = go(machines, client(sport, family=family), 1)
        packet = talk.packet(1, "SA")
        how = ({"decisions": sport != 1000}, {"trace": True})
        told, traced = (netns.receive(packet, "podB", **each)[0] for netns, each in zip(machines, how, strict=True))
        assert shown(machines[0]) == shown(machines[1])
        if sport == 1000:
            assert told.hop is None  # type: ignore[union-attr]
            continue
        steps = [[step for step in effect.hop.steps if is_decision(step)] for effect in (told, traced)]  # type: ignore[union-attr]
        assert steps[0] == steps[1]
        assert [(step.field, step.after) for step in steps[0] if isinstance(step, Rewrite)] == [
            ("ttl", "63"), ("src", ENDS[family][1]), ("sport", "80"),
        ]  # fmt: skip
        hops.append(type(told.hop))  # type: ignore[union-attr]
    assert hops == [Hop, Recalled]


def test_little_is_learned_while_few_connections_have_kin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "THRIFT", 2)
    machines = both()
    known, thrift = machines[0].flow_cache, machines[0].flow_cache.thrift
    sizes = []
    for host in (20, 21, 22, 23, 24, 24, 24, 24, 25, 26):
        go(machines, Talk("podA", f"10.244.0.{host}", ENDS[4][1], sport=1000 + len(sizes)))
        sizes.append((len(known.answers), thrift.served, len(known.kin)))
    assert sizes[:5] == [(1, 0, 2), (2, 0, 4), (3, 0, 4), (3, 0, 4), (3, 0, 4)]
    known.changed()
    assert not thrift.met
    assert sizes[5:] == [(4, 0, 4), (4, 1, 6), (4, 2, 6), (5, 2, 8), (6, 2, 10)]
    machines[0].run("true")
    assert not thrift.met


#: Rules of mangle FORWARD, by the packets of a second connection of which the cache knows what comes: flags and side.
RULES = {
    "S0 A0": (
        "-p tcp -m tcp --dport 8080", "-p tcp -m tcp --dport 1000", "-p tcp -m multiport --dports 8080,1000",
    ),
    "SA1 A1": (
        "-p tcp -m tcp --sport 8080", "-p tcp -m tcp --sport 1000", "-p tcp -m multiport --sports 8080,1000",
        "-i podA -p tcp -m tcp --sport 1000 -j MARK --set-mark 1",
    ),
    "": (
        "-p tcp -m multiport --ports 8080,1000", "-m conntrack --ctorigsrcport 1000", "-m conntrack --ctrepldstport 1000",
        "-m conntrack --ctexpire 1:9", "-p tcp -m tcp --tcp-option 3", "-m length --length 0:48",
        "-m statistic --mode nth --every 2 --packet 0", "-m limit --limit 1/hour", "-m recent --set --name r",
        "-m connlimit --connlimit-above 9", "-j LOG",
        "-m connbytes --connbytes 2: --connbytes-dir both --connbytes-mode packets", "-m set --match-set ends src,src",
        "-m set --match-set ends dst,dst", "-m set --match-set lists src,src",
    ),
    "S0 SA1 A0 A1": (
        "-p udp -m udp --dport 1000", "-m conntrack --ctorigdstport 80 -j ACCEPT", "-m conntrack --ctreplsrcport 8080",
        "-m conntrack --ctstatus ASSURED -j MARK --set-mark 3", "-m conntrack --ctstate NEW",
        "-m conntrack --ctdir REPLY -j MARK --set-mark 3", "-m connmark --mark 3", "-j CONNMARK --set-mark 3",
        "-m mark --mark 3", "-p tcp --tcp-flags SYN,ACK SYN,ACK -j MARK --set-mark 3", "-m nfacct --nfacct-name n",
        "-m set ! --match-set hosts src", "-m addrtype --dst-type LOCAL",
    ),
    "S0": (
        "-p tcp --tcp-flags PSH PSH", "-m statistic --mode random --probability 0.5",
    ),
}  # fmt: skip


def one_by_one(rules: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(rule, known) for known, several in rules.items() for rule in several]


def with_rule(rule: str) -> tuple[Netns, Netns]:
    sets = ("ends hash:ip,port", "hosts hash:ip", "lists list:set")
    commands = [*[(f"ipset create {each}", "") for each in sets], ("ipset add lists ends", ""), ("nfacct add n", "")]
    return both(*commands, (f"iptables -t mangle -I FORWARD {rule}", ""))


@pytest.mark.parametrize(("rule", "known"), one_by_one(RULES))
def test_a_walk_serves_kin_unless_a_rule_looks_at_what_they_do_not_share(rule: str, known: str) -> None:
    assert kinds(with_rule(rule)) == known
    machines = with_rule(rule)
    for sport in (999, 1000, 1001, 1000, 1002):
        go(machines, client(sport))
    counters(machines)


NFT = """table ip t {{
    set ports {{ type inet_service; elements = {{ 1000 }} }}
    map to {{ type inet_service : verdict; elements = {{ 1001 : drop }} }}
    counter c {{ }}
    chain forward {{
        type filter hook forward priority 10;
        {rule}
    }}
}}
"""
NFT_RULES = {
    "S0 A0": (
        "tcp dport 8080 counter", "tcp dport @ports counter", "tcp dport vmap @to",
        "ip saddr . tcp dport { 10.244.0.3 . 1000 } drop", "jhash tcp dport mod 2 seed 1 1 counter",
    ),
    "SA1 A1": (
        "tcp sport 8080 counter", "tcp sport @ports counter", "th sport 1000 counter",
    ),
    "S0 SA1 A0 A1": (
        "udp dport 1000 counter", "ct status assured counter", "ct mark set 3", "ct direction reply counter",
        "ct original ip daddr 10.96.0.1 counter name c", "tcp flags & (syn | ack) == syn | ack counter",
    ),
    "": (
        "meta l4proto tcp ct original proto-src 1000 counter", "meta l4proto tcp ct reply proto-dst 1000 counter",
        "ct id 3 counter", "numgen inc mod 2 1 counter", "limit rate 1/hour counter", "ct count over 9 drop",
        "meta length 48 counter",
    ),
    "S0": (
        "numgen random mod 2 1 counter",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "known"), one_by_one(NFT_RULES))
def test_nft_rules_are_known_alike(rule: str, known: str) -> None:
    with_nft = ("nft -f -", NFT.format(rule=rule))
    assert kinds(both(with_nft)) == known
    machines = both(with_nft)
    for sport in (999, 1000, 1001, 1000, 1002):
        go(machines, client(sport))
    counters(machines)
