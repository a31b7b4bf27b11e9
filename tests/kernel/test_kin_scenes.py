"""Kin share a walk: what must not be mixed up, what ends it, and that planted bugs of it are found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kernel.talks import Talk
from kernel.test_flow_cache import CHANGES, COMPARED, SETS
from kernel.test_flow_cache import both as plain
from kernel.test_flow_cache_scripts import ODDITIES
from kernel.test_kin import COURSE, both, client, give, go, say, shown

from fakecluster.kernel.flow_cache import FlowCache, cache, kin
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.trail import Trail
from fakecluster.kernel.xtables import dispatch

#: More than this many rules of a chain are searched by port.
BY_PORT = (
    "*filter\n"
    + "".join(f"-A FORWARD -p tcp -m tcp --dport {port} -j DROP\n" for port in range(1001, 1020))
    + "COMMIT\n"
)


def by_port() -> None:
    machines = both()
    for netns in machines:
        netns.run("iptables -D FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        netns.run("iptables-restore --noflush", BY_PORT)
    for sport in (1000, 1001, 1002):
        go(machines, client(sport))


def service_of_the_same_pod() -> None:
    machines = both(("iptables -t mangle -A FORWARD -m conntrack --ctorigdstport 81 -j MARK --set-mark 1", ""))
    for sport, dport in ((1000, 80), (1001, 81), (1002, 80), (1003, 81)):
        go(machines, client(sport, dport=dport))


def marks_of_single_connections() -> None:
    machines = both(
        ("iptables -t mangle -A FORWARD -m conntrack --ctstate NEW -p tcp -m tcp --sport 1001 -j CONNMARK --set-mark 2", ""),
        ("iptables -t mangle -A FORWARD -m connmark --mark 2 -j MARK --set-mark 7", ""),
    )  # fmt: skip
    for sport in (1000, 1001, 1002):
        go(machines, client(sport))


def a_port_that_is_taken() -> None:
    hide = "iptables -t nat -A POSTROUTING -s 10.244.0.9 -p tcp -j SNAT --to-source 10.244.0.2:1001"
    machines = both((hide, ""), ("iptables -t mangle -A FORWARD -m conntrack --ctstate SNAT -j MARK --set-mark 7", ""))
    go(machines, Talk("podA", "10.244.0.9", "10.244.0.3", sport=5, dport=8080), 1)
    for sport in (1000, 1001, 1002):
        go(machines, client(sport))


def picked_up_in_the_middle() -> None:
    machines = both(("iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -j MARK --set-mark 7", ""))
    go(machines, client(1000))
    talk = client(1001)
    for side in (0, 1, 1, 1, 0, 1):
        say(machines, talk, side, "A")


def masquerading_ends() -> None:
    machines = both()
    talk = go(machines, client(1000, dst="203.0.113.7"), 7)
    for netns in machines:
        netns.run("iptables -t nat -R POSTROUTING 1 -o eth0 -j SNAT --to-source 192.168.1.10")
    other = go(machines, client(1001, dst="203.0.113.7"), 7)
    for netns in machines:
        netns.run("ip route add 203.0.113.7 dev podB")
        netns.neighbours[4, 0xCB007107] = b"\2\0\0\0\0\1"
    for each in (other, talk):
        say(machines, each, 0, "A")


def an_acknowledgment_outside_the_window() -> None:
    machines = both()
    go(machines, client(1000))
    talk = go(machines, client(1001), 2)
    for back in (-90_000, 200_000, 0):
        say(machines, talk, 0, "A", back=back)
    say(machines, talk, 0, "PA", 50)


def answers_to_something_else() -> None:
    machines = both()
    go(machines, client(1000))
    talk = go(machines, client(1001), 1)
    for seq in (talk.seq[0] + 5, talk.seq[0] - 5, talk.seq[0]):
        before, talk.seq[0] = talk.seq[0], seq
        say(machines, talk, 1, "SA")
        talk.seq[0] = before
    say(machines, talk, 0, "A")


def a_rule_in_between() -> None:
    machines = both()
    go(machines, client(1000))
    talks = [go(machines, client(1001 + packets), packets) for packets in (1, 2, 3)]
    for netns in machines:
        netns.run("iptables -t mangle -A FORWARD -j MARK --set-mark 3")
    for talk, packets in zip(talks, (1, 2, 3), strict=True):
        for side, flags, size in COURSE[packets:]:
            say(machines, talk, side, flags, size)


def odd_packets() -> None:
    machines = both()
    go(machines, client(1000))
    for number, (fields, mangle) in enumerate(ODDITIES):
        talk = go(machines, client(2000 + number), 1)
        for side, flags in ((1, "SA"), (0, "A"), (1, "A")):
            again = talk.seq.copy()
            odd = {"flags": flags, **fields}
            give(machines, talk, side, mangle(talk.packet(side, **odd)))  # type: ignore[arg-type]
            talk.seq = again
            say(machines, talk, side, flags)
        say(machines, talk, 1, "PA", 1600)


def no_neighbour() -> None:
    machines = both()
    go(machines, client(1000))
    talks = [go(machines, client(1001 + packets), packets) for packets in (1, 2)]
    for netns in machines:
        netns.neighbours.clear()
    for talk, (side, flags, _size) in zip(talks, COURSE[1:], strict=False):
        say(machines, talk, side, flags)


def in_a_zone() -> None:
    zone = "table ip z { chain c { type filter hook prerouting priority -300; ct zone set 5; }; }"
    machines = both()
    earlier = go(machines, client(1000), 2)
    for netns in machines:
        netns.run("nft -f -", zone)
    for sport in (1001, 1002):
        go(machines, client(sport))
    say(machines, earlier, 0, "A")
    assert not machines[0].flow_cache.kin
    assert not machines[0].flow_cache.answers


def rules_on_ports() -> None:
    for rule in ("-p tcp -m tcp --dport 1000 -j MARK --set-mark 1", "-p tcp -m tcp --sport 1000 -j MARK --set-mark 1"):
        machines = both((f"iptables -t mangle -A FORWARD {rule}", ""))
        for sport in (1001, 1000):
            go(machines, client(sport))


SCENES: tuple[Callable[[], None], ...] = (
    by_port, service_of_the_same_pod, marks_of_single_connections, a_port_that_is_taken, picked_up_in_the_middle,
    masquerading_ends, odd_packets, no_neighbour, in_a_zone, an_acknowledgment_outside_the_window,
    answers_to_something_else, a_rule_in_between, rules_on_ports,
)  # fmt: skip


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_nothing_shows_that_kin_share_a_walk(scene: Callable[[], None]) -> None:
    scene()


def _key_without(monkeypatch: pytest.MonkeyPatch, *places: int) -> None:
    def key(*given: object) -> tuple[object, ...]:
        return tuple(None if at in places else part for at, part in enumerate(known(*given)))  # type: ignore[arg-type]

    known = kin.kin_key
    monkeypatch.setattr(kin, "kin_key", key)


def _one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(held: FlowCache, *rest: object) -> None:
        known(held, *rest)  # type: ignore[arg-type]
        held.kin.update({key: flow for key, (flow, _decisions) in held.answers.items()})

    known = cache.learn_kin
    monkeypatch.setattr(cache, "learn_kin", learn)


def _keep_kin(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(held: FlowCache) -> None:
        kept, answers = held.kin.copy(), held.answers.copy()
        known(held)
        held.kin.update(kept)
        held.answers.update(answers)

    known = FlowCache.changed
    monkeypatch.setattr(FlowCache, "changed", changed)


def _never_looks_at_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trail, "holds", lambda trail, steady, asked: asked <= steady[trail.opening])


def _searches_by_port_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = ((dispatch._port_key, lambda skb: skb.proto << 16 | skb.dport),)
    monkeypatch.setattr(dispatch, "FIELDS", fields)


def _takes_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    known = kin.tcp_handshake.answer
    monkeypatch.setattr(
        kin.tcp_handshake, "answer", lambda times, ct, ack, *rest: known(times, ct, ct.proto_info.seen[0].td_end, *rest)
    )


def _checks_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "checksum_is_right", lambda packet, family: True)


def _stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin.tcp_handshake, "close_again", lambda ct, before: None)


#: Bugs, and what finds them.
BUGS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[[], None]]] = {
    "a key without the status": (lambda patch: _key_without(patch, 3), a_port_that_is_taken),
    "a key without the mark": (lambda patch: _key_without(patch, 4), marks_of_single_connections),
    "a key without the masquerading interface": (lambda patch: _key_without(patch, 5), masquerading_ends),
    "a key without where the client wanted to go": (lambda patch: _key_without(patch, 8, 9), service_of_the_same_pod),
    "what answers a SYN serves for what follows": (_one_for_all, picked_up_in_the_middle),
    "kin outlive a change": (_keep_kin, a_rule_in_between),
    "looks at ports go unnoticed": (_never_looks_at_ports, rules_on_ports),
    "a search by port goes unnoticed": (_searches_by_port_untold, by_port),
    "no checksum is wrong": (_checks_no_sum, odd_packets),
    "any SYN-ACK is an answer": (_takes_any_answer, answers_to_something_else),
    "a refused acknowledgment opens a connection": (_stays_open, an_acknowledgment_outside_the_window),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, scene = BUGS[bug]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        scene()


def after(machines: tuple[Netns, Netns], packets: int, change: Callable[[Netns], object]) -> None:
    """Something changes after so many packets of a second connection."""
    go(machines, client(1000))
    talk = go(machines, client(1001), packets)
    for netns in machines:
        change(netns)
    for side, flags, _size in COURSE[packets:4]:
        if talk.far is not None and talk.arrives(side) in machines[0].interfaces:
            packet = talk.packet(side, flags, b"x" * 50)
            mac = b"\2\0\0\0\0" + talk.arrives(side)[-1].encode()
            effects = [netns.receive(packet, talk.arrives(side), dst_mac=mac) for netns in machines]
            assert effects[0] == effects[1]
            assert shown(machines[0]) == shown(machines[1])


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("change", [*CHANGES, *COMPARED])
def test_a_change_is_noticed(change: str, packets: int) -> None:
    after(plain(*SETS), packets, {**CHANGES, **COMPARED}[change])


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("change", [change for change in CHANGES if change != "a device that is gone"])
def test_a_change_that_the_cache_is_not_told_of_is_found(
    change: str, packets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlowCache, "changed", lambda held: None)
    with pytest.raises(AssertionError):
        after(plain(*SETS), packets, CHANGES[change])
