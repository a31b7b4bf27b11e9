"""Random rules, packets of a few flows and changes in between: a router with the flow cache does what one without does."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from kernel.kernel_node import router
from kernel.talks import Talk

from fakecluster.apps.echo import Echo
from fakecluster.errors import CommandError
from fakecluster.kernel.conntrack.text import listing
from fakecluster.kernel.effects import Deliver, Effect
from fakecluster.kernel.netns import Netns
from fakecluster.strategies import iptables_rules, nft_rules

EXAMPLES = int(os.environ.get("FLOW_CACHE_EXAMPLES", "50"))
MACS = {"eth0": "30", "podA": "41", "podB": "42"}
KUBE = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SEP - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully
-A POSTROUTING -o eth0 -j MASQUERADE
-A KUBE-SERVICES -d {vip}/{bits} -p tcp -m tcp --dport 80 -j KUBE-SEP
-A KUBE-SERVICES -d {vip}/{bits} -p udp -m udp --dport 80 -j KUBE-SEP
-A KUBE-SEP -m statistic --mode random --probability 0.50000000000 -j MARK --or-mark 0x4000
-A KUBE-SEP -p tcp -m tcp -j DNAT --to-destination {pod}:8080
-A KUBE-SEP -p udp -m udp -j DNAT --to-destination {pod}:8080
COMMIT
"""
#: Rules by which packets of connections that differ in the client's port only may fare differently, or not; by chain.
TELLING = {
    "FORWARD": (
        "-p tcp -m tcp --dport 1000:1004 -j MARK --set-mark 1", "-p tcp -m tcp --sport 1003 -j CONNMARK --set-mark 2",
        "-p tcp -m multiport --dports 1002,80,8080 -j ACCEPT",
        "-p tcp -m multiport --sports 80,8080,1001 -j CONNMARK --set-mark 3",
        "-p tcp -m multiport --ports 1000,1001 -j DROP", "-m conntrack --ctorigsrcport 1000:1004 -j MARK --set-mark 2",
        "-m conntrack --ctrepldstport 1001 -j DROP", "-m conntrack --ctorigdstport 80 -j ACCEPT",
        "-m conntrack --ctstatus ASSURED -j CONNMARK --set-mark 4",
        "-m conntrack --ctstatus SEEN_REPLY -j MARK --set-mark 2", "-m conntrack --ctstate NEW -j CONNMARK --set-mark 5",
        "-m conntrack ! --ctstate DNAT -j MARK --set-mark 1", "-m connmark --mark 5 -j MARK --set-mark 2",
        "-m connmark --mark 2 -j DROP", "-m conntrack --ctdir REPLY -j MARK --set-mark 6",
        "-p tcp --tcp-flags SYN,ACK SYN,ACK -j MARK --set-mark 2", "-p tcp --tcp-flags PSH PSH -j MARK --set-mark 3",
        "-p tcp ! --syn -m conntrack --ctstate NEW -j DROP",
        "-m statistic --mode random --probability 0.5 -j MARK --set-mark 9",
        "-m statistic --mode nth --every 3 --packet 1 -j DROP",
        "-m limit --limit 1/min --limit-burst 3 -j MARK --set-mark 2", "-p tcp -m connlimit --connlimit-above 2 -j DROP",
        "-m recent --name r --set -j MARK --set-mark 7", "-m recent --name r --rcheck --hitcount 3 -j DROP",
        "-m connbytes --connbytes 2: --connbytes-dir both --connbytes-mode packets -j MARK --set-mark 8",
        "-m mark --mark 2 -j ACCEPT",
    ),
    "PREROUTING": (
        "-j CONNMARK --restore-mark", "-j CONNMARK --save-mark", "-m mark --mark 1 -j ACCEPT",
        "-m conntrack --ctstate NEW -j MARK --set-mark 2", "-p tcp -m tcp --sport 1000:1004 -j MARK --set-mark 1",
        "-p tcp -m tcp --dport 1000:1004 -j MARK --set-mark 3", "-p tcp -m tcp --sport 8080 -j MARK --set-mark 2",
        "-m conntrack --ctstatus SEEN_REPLY -j MARK --or-mark 4",
    ),
    "POSTROUTING": (
        "-j CONNMARK --save-mark", "-m mark --mark 1 -j DROP", "-p tcp -m tcp --sport 1000:1004 -j MARK --set-mark 1",
        "-p tcp -m tcp --dport 1002 -j DROP", "-m conntrack --ctstatus CONFIRMED -j MARK --set-mark 2",
    ),
}  # fmt: skip
#: A chain that is long enough to be searched by port.
BY_PORT = "\n".join(f"-A FORWARD -p tcp -m tcp --dport {port} -j CONNMARK --set-mark {port % 3}" for port in range(995, 1008))
VIP, PEER, OUTSIDE = (
    {4: "10.96.0.1", 6: "fd00:96::1"},
    {4: "10.244.0.3", 6: "fd00:2::3"},
    {4: "203.0.113.7", 6: "fd00:1::7"},
)
OWN = {4: "192.168.1.10", 6: "fd00:1::10"}
ME = {4: "10.244.0.2", 6: "fd00:2::2"}
CHANGES = (
    "iptables -I FORWARD -p udp -j DROP", "iptables -t mangle -A PREROUTING -j CONNMARK --set-mark 7",
    "iptables -D FORWARD -p udp -j DROP", "ip6tables -A FORWARD -m length --length 0:80 -j DROP", "iptables -Z",
    "iptables -t raw -A PREROUTING -p udp -j NOTRACK", "sysctl -w net.netfilter.nf_conntrack_acct=1",
    "sysctl -w net.netfilter.nf_conntrack_checksum=0", "sysctl -w net.netfilter.nf_conntrack_udp_timeout=3",
    "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1", "sysctl -w net.ipv4.conf.all.rp_filter=1",
    "ip link set podB mtu 600", "ip link set podB mtu 1500", "ip neigh del 10.244.0.3 dev podB",
    "ip neigh add 10.244.0.3 lladdr 02:00:00:00:00:01 dev podB", "ip rule add fwmark 1 blackhole",
    "conntrack -D -p udp", "conntrack -F",
)  # fmt: skip
#: What may be odd about a packet, in the words of Talk.packet, and what is done to its bytes.
ODDITIES: tuple[tuple[dict[str, object], Callable[[bytes], bytes]], ...] = (
    ({"ttl": 1}, bytes),
    ({"tos": 0x10}, bytes),
    ({"back": 5}, bytes),
    ({"back": -90_000}, bytes),
    ({"flags": "FA"}, bytes),
    ({"flags": "R"}, bytes),
    ({"flags": "S"}, bytes),
    ({"flags": "UA"}, bytes),
    ({"options": [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]}, bytes),
    ({"options": [("SAck", (1, 9))]}, bytes),
    ({}, lambda packet: packet + b"padding"),
    ({}, lambda packet: packet[:-1] + bytes((packet[-1] ^ 1,))),
    ({}, lambda packet: packet[:10] + b"\x12\x34" + packet[12:]),
    ({}, lambda packet: packet[:6] + b"\x20" + packet[7:]),
    ({}, lambda packet: packet[:30]),
)


#: How a connection begins: who speaks, flags, size.
OPENING = ((0, "S", 0), (1, "SA", 0), (0, "A", 0), (1, "A", 0), (0, "PA", 9), (1, "PA", 100), (0, "FA", 0))


@st.composite
def rule_texts(draw: st.DrawFn, family: int) -> list[tuple[str, str]]:
    """kube-proxy's rules, some lines of the random grammar, and sometimes an nft table."""
    word, bits = ("iptables", 32) if family == 4 else ("ip6tables", 128)
    pod = PEER[family] if family == 4 else f"[{PEER[family]}]"
    commands = [(f"{word}-restore", KUBE.format(vip=VIP[family], bits=bits, pod=pod))]
    for table, chain in (
        ("filter", "FORWARD"),
        ("mangle", "PREROUTING"),
        ("mangle", "POSTROUTING"),
        ("raw", "PREROUTING"),
    ):
        lines = draw(st.lists(iptables_rules.rules(family, table, chain), max_size=draw(st.sampled_from((0, 0, 1, 2)))))
        lines = [line for line in lines if "-j U" not in line and "-g U" not in line]
        if table == "mangle" or chain == "FORWARD":
            lines += [f"-A {chain} {rule}" for rule in draw(st.lists(st.sampled_from(TELLING[chain]), max_size=2))]
        if chain == "FORWARD" and draw(st.integers(0, 7)) == 0:
            lines.append(BY_PORT)
        commands.append((f"{word}-restore --noflush", "\n".join((f"*{table}", *lines, "COMMIT", ""))))
    if draw(st.sampled_from((False, False, True))):
        commands.append(("nft -f -", draw(nft_rules.files(family))))
    return commands


def steps() -> st.SearchStrategy[tuple[object, ...]]:
    """(what, ...): a packet of a talk, possibly odd; another connection like it; a command; time."""
    talk, side = st.integers(0, 5), st.sampled_from((0, 0, 1))
    size = st.sampled_from((0, 0, 1, 100, 101, 1400, 1600))
    plain = st.tuples(st.just("packet"), talk, side, size, st.just(-1))
    odd = st.tuples(st.just("packet"), talk, side, size, st.integers(0, len(ODDITIES) - 1))
    oddity = st.one_of(st.just(-1), st.just(-1), st.integers(0, len(ODDITIES) - 1))
    packets = st.integers(0, len(OPENING))
    opening = st.tuples(st.just("open"), talk, st.integers(1000, 1009), packets, oddity, packets)
    change = st.tuples(st.just("run"), st.sampled_from(CHANGES))
    wait = st.tuples(st.just("wait"), st.sampled_from((0, 1, 2, 2, 40, 200)))
    return st.one_of(plain, plain, plain, opening, opening, opening, odd, change, wait)


def shown(effects: list[Effect]) -> list[object]:
    """Effects without what two machines cannot share."""
    return [effect._replace(socket=None) if isinstance(effect, Deliver) else effect for effect in effects]


def state(netns: Netns) -> tuple[object, ...]:
    """Connections and sockets, without a command, which would make the cache forget."""
    ends = [(each.key, each.state, each.snd_nxt, each.rcv_nxt) for each in netns.sockets.connections.values()]
    entries = list(netns.conntrack)
    numbers = [entry.id for entry in entries]
    return listing(netns.conntrack, entries), numbers, ends, shown(netns.take_effects()), list(netns.given)


def inject(machines: tuple[Netns, Netns], packet: bytes, iface: str) -> list[Effect]:
    mac = bytes.fromhex("0200000000" + MACS[iface])
    results = [netns.receive(packet, iface, src_mac=b"\2\0\0\0\0\1", dst_mac=mac) for netns in machines]
    assert shown(results[0]) == shown(results[1])
    return results[0]


def run(machines: tuple[Netns, Netns], command: str, text: str = "") -> None:
    outcomes = []
    for netns in machines:
        try:
            outcomes.append(netns.run(command, text))
        except CommandError as refused:
            outcomes.append(refused.stderr)
    assert outcomes[0] == outcomes[1]


def play(machines: tuple[Netns, Netns], talks: list[Talk], step: tuple[object, ...]) -> None:
    if step[0] == "run":
        run(machines, str(step[1]))
    elif step[0] == "wait":
        for netns in machines:
            netns.clock.advance(float(str(step[1])))
    elif step[0] == "open":
        _what, at, sport, packets, odd, which = step
        model = talks[int(str(at))]
        talk = Talk(model.iface, model.src, model.dst, model.proto, int(str(sport)), model.dport, model.local)
        for number, (side, flags, size) in enumerate(OPENING[: int(str(packets))]):
            say(machines, talk, side, flags, size, int(str(odd)) if number == which else -1)
    else:
        _what, at, side, size, odd = step
        say(machines, talks[int(str(at))], int(str(side)), "PA" if size else "A", int(str(size)), int(str(odd)))


def say(machines: tuple[Netns, Netns], talk: Talk, side: int, flags: str, size: int, odd: int) -> None:
    """The next packet of a talk, possibly odd."""
    if side and (talk.far is None or talk.local):
        return
    fields, mangle = ODDITIES[odd] if odd != -1 else ({}, bytes)
    fields = dict(fields)
    if ":" in talk.src:
        fields = {{"ttl": "hlim", "tos": "tc"}.get(name, name): value for name, value in fields.items()}
    flags = str(fields.pop("flags", flags))
    packet = mangle(talk.packet(side, flags, b"x" * size, **fields))  # type: ignore[arg-type]
    effects = inject(machines, packet, talk.arrives(side))
    if not side:
        talk.learn(effects)


@st.composite
def scripts(draw: st.DrawFn) -> tuple[list[tuple[str, str]], int, list[tuple[object, ...]], int]:
    family = draw(st.sampled_from((4, 4, 6)))
    in_vain = draw(st.sampled_from((0, 0, 10**6)))
    return draw(rule_texts(family)), family, draw(st.lists(steps(), min_size=4, max_size=25)), in_vain


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(scripts())
def test_nothing_shows_that_there_is_a_cache(
    script: tuple[list[tuple[str, str]], int, list[tuple[object, ...]], int],
) -> None:
    commands, family, played, in_vain = script
    machines = router(), router()
    machines[1].flow_cache.enabled = False
    machines[0].flow_cache.thrift.learned = in_vain
    for command, text in commands:
        run(machines, command, text)
    for netns in machines:
        for proto in ("tcp", "udp"):
            netns.sockets.bind(proto, 80, Echo("router"), family=family)
    me = ME[family]
    talks = [
        Talk("podA", me, VIP[family]), Talk("podA", me, VIP[family], "udp"), Talk("podA", me, OUTSIDE[family], dport=53),
        Talk("podA", me, PEER[family], "udp", dport=8080), Talk("podA", me, OWN[family], local=True),
        Talk("podA", me, OWN[family], "udp", local=True),
    ]  # fmt: skip
    for talk in talks:
        for side, flags in ((0, "S"), (1, "SA"), (0, "A"), (1, "A")):
            if not side or talk.far is not None:
                effects = inject(machines, talk.packet(side, flags), talk.arrives(side))
                if not side:
                    talk.learn(effects)
    most, recipes, kin = 0, 0, 0
    for step in played:
        play(machines, talks, step)
        most = max(most, len(machines[0].flow_cache.flows))
        recipes = max(recipes, len(machines[0].flow_cache.recipes))
        kin = max(kin, len(machines[0].flow_cache.kin) + len(machines[0].flow_cache.answers))
        assert not machines[1].flow_cache.flows
        assert not machines[1].flow_cache.recipes
        assert not machines[1].flow_cache.kin
        assert not machines[1].flow_cache.answers
        states = [state(netns) for netns in machines]
        assert states[0] == states[1]
    event(f"up to {most} flows remembered")
    event(f"up to {recipes} recipes remembered")
    event(f"up to {kin} entries for kin remembered")
    for command in ("iptables-save -c", "ip6tables-save -c", "nft list ruleset", "conntrack -L"):
        run(machines, command)
    assert machines[0].choices.taken == machines[1].choices.taken
    assert machines[0].choices.draw(1 << 32, "") == machines[1].choices.draw(1 << 32, "")
