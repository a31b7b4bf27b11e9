"""Rules that remember, and entries that end: what time and earlier packets do is the same in the kernel and the model."""

from __future__ import annotations

import pytest
from both import compare
from real_node import why_not
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scenario import Inject, Load, Pause, Run, Scenario, Step

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

A, B, OUT = "10.244.0.2", "10.244.0.3", "203.0.113.7"
#: what the tools do in ways of their own
BEGINNINGS = (
    "a rule more",
    "one counter at zero",
    "the same rules again",
    "another name of the chain",
    "no chain to zero",
)
DROP_OTHERS = "-A FORWARD -j DROP"
TRACKED = ("-A FORWARD -m conntrack --ctstate NEW", "-A FORWARD -m conntrack --ctstate ESTABLISHED")


def restore(*rules: str) -> str:
    return "\n".join(("*filter", *rules, "COMMIT", ""))


def udp(sport: int = 4000, *, source: str = A, octets: int = 1) -> Inject:
    packet = IP(src=source, dst=B) / UDP(sport=sport, dport=53) / (b"x" * octets)
    return Inject(bytes(packet), "vethA" if source == A else "eth0")


def answer() -> Inject:
    return Inject(bytes(IP(src=B, dst=A) / UDP(sport=53, dport=4000) / b"y"), "vethB")


def tcp(flags: str, **fields: int) -> Inject:
    return Inject(bytes(IP(src=A, dst=B) / TCP(sport=1000, dport=80, flags=flags, **fields)), "vethA")


def tcp_answer(flags: str, **fields: int) -> Inject:
    return Inject(bytes(IP(src=B, dst=A) / TCP(sport=80, dport=1000, flags=flags, **fields)), "vethB")


def ping() -> Inject:
    return Inject(bytes(IP(src=A, dst=B) / ICMP(id=7)), "vethA")


def command(text: str, stdin: str = "") -> Run:
    return Run(tuple(text.split()), stdin)


def timeouts(**seconds: int) -> tuple[Load, ...]:
    return tuple(
        Load(("sysctl", "-q", "-w", f"net.netfilter.nf_conntrack_{name}={value}")) for name, value in seconds.items()
    )


RECENT, HASHLIMIT = "-m recent --name r", "-m hashlimit --hashlimit-name h"
OPEN = (tcp("S", seq=1), tcp_answer("SA", seq=100, ack=2), tcp("A", seq=2, ack=101))
CLOSE = (tcp("FA", seq=2, ack=101), tcp_answer("FA", seq=101, ack=3), tcp("A", seq=3, ack=102))
EVERY_THIRD = ("-A FORWARD -m statistic --mode nth --every 3 --packet 0 -j ACCEPT", DROP_OTHERS)
#: rules and what happens; {tool} stands for the tool's name
MEMORIES: dict[str, tuple[tuple[str, ...], tuple[Step, ...]]] = {
    "limit fills up again": (
        ("-A FORWARD -m limit --limit 2/s --limit-burst 3 -j ACCEPT", DROP_OTHERS),
        (*[udp()] * 5, Pause(0.8), *[udp()] * 3),
    ),
    "a table of hashlimit is gone through every so often": (
        (
            f"-A FORWARD {HASHLIMIT} --hashlimit-above 1/minute --hashlimit-burst 2 --hashlimit-mode srcip"
            " --hashlimit-htable-expire 100 --hashlimit-htable-gcinterval 1000 -j DROP",
        ),
        (*[udp()] * 3, Pause(0.4), udp(), Pause(1.5), *[udp()] * 3),  # the kernel may come half a second late
    ),
    "rules of one name share the table of the first": (
        (
            f"-A FORWARD -p udp {HASHLIMIT} --hashlimit-above 1/s --hashlimit-burst 2 --hashlimit-mode srcip -j DROP",
            f"-A FORWARD -p tcp {HASHLIMIT} --hashlimit-above 9/s --hashlimit-burst 5 --hashlimit-mode dstport -j DROP",
        ),
        (*[tcp("S")] * 3, udp()),
    ),
    "a table of hashlimit holds eight times its size": (
        (
            f"-A FORWARD {HASHLIMIT} --hashlimit-above 1/s --hashlimit-burst 9 --hashlimit-mode srcport"
            " --hashlimit-htable-size 1 -j DROP",
        ),
        (*(udp(port) for port in range(1, 11)), udp(1)),
    ),
    "a table of hashlimit holds as many as it has chains": (
        (
            f"-A FORWARD {HASHLIMIT} --hashlimit-above 1/s --hashlimit-burst 9 --hashlimit-mode srcport"
            " --hashlimit-htable-size 4 --hashlimit-htable-max 2 -j DROP",
        ),
        tuple(udp(port) for port in range(1, 6)),
    ),
    "recent forgets after a second": (
        (
            f"-A FORWARD {RECENT} --update --seconds 1 --hitcount 2 -j DROP",
            f"-A FORWARD {RECENT} --set -j ACCEPT",
        ),
        (*[udp()] * 4, Pause(0.6), udp(), Pause(0.6), *[udp()] * 3),
    ),
    "a match behind recent comes too late": (
        (
            f"-A FORWARD {RECENT} --set -p udp -m udp --dport 99 -j ACCEPT",
            f"-A FORWARD -p udp {RECENT} --set -m mark --mark 4",
            f"-A FORWARD -p icmp {RECENT} --rcheck -j ACCEPT",
            DROP_OTHERS,
        ),
        (ping(), udp(), ping()),
    ),
    "a rule that wants more hits empties the list": (
        (f"-A FORWARD -p tcp {RECENT} --set -j ACCEPT", f"-A FORWARD -p udp {RECENT} --rcheck -j ACCEPT", DROP_OTHERS),
        (tcp("S"), udp(), command(f"{{tool}} -A INPUT {RECENT} --rcheck --hitcount 100"), udp()),
    ),
    "connlimit counts dead connections behind a live one": (
        ("-A FORWARD -m connlimit --connlimit-above 1 -j DROP",),
        tuple(step for port in (1, 1, 2, 1, 2, 2) for step in (udp(port), Pause(0.05))),
    ),
    "a rule more": (EVERY_THIRD, (*[udp()] * 2, command("{tool} -A INPUT -p tcp"), *[udp()] * 2)),
    "another name of the chain": (
        (":U - [0:0]", EVERY_THIRD[0].replace("ACCEPT", "U"), DROP_OTHERS, "-A U -j ACCEPT"),
        (*[udp()] * 2, command("{tool} -E U V"), *[udp()] * 2),
    ),
    "counters at zero": (EVERY_THIRD, (*[udp()] * 2, command("{tool} -Z FORWARD"), *[udp()] * 2)),
    "one counter at zero": (EVERY_THIRD, (*[udp()] * 2, command("{tool} -Z FORWARD 2"), *[udp()] * 2)),
    "counters at zero that are zero": (
        ("-A FORWARD -m quota ! --quota 100 -j DROP",),
        (udp(octets=40), command("{tool} -Z"), udp(octets=40)),
    ),
    "the same rules again": (
        EVERY_THIRD,
        (*[udp()] * 2, command("{tool}-restore", restore(*EVERY_THIRD)), *[udp()] * 2),
    ),
    "no chain to zero": (EVERY_THIRD, (command("{tool} -Z INPUT"), command("{tool} -Z INPUT 1"))),
}


CASES = [("iptables", name) for name in MEMORIES] + [("iptables-legacy", name) for name in BEGINNINGS]


@pytest.mark.parametrize(("tool", "name"), CASES)
def test_rules_remember_alike(tool: str, name: str) -> None:
    rules, steps = MEMORIES[name]
    named = [
        Run((step.argv[0].replace("{tool}", tool), *step.argv[1:]), step.stdin) if isinstance(step, Run) else step
        for step in steps
    ]
    result = compare(Scenario((Load((f"{tool}-restore",), restore(*rules)),), tuple(named)))
    assert (result.outcome, result.differences) == ("compared", [])


def test_entries_end_alike() -> None:
    """A stream, a SYN sent again, a closed connection and a question without an answer, at once."""
    again = Inject(bytes(IP(src=A, dst=B) / TCP(sport=1001, dport=80, flags="S", seq=1)), "vethA")
    too_late = Inject(bytes(IP(src=B, dst=A) / TCP(sport=80, dport=1001, flags="SA", seq=9, ack=2)), "vethB")
    pong = Inject(bytes(IP(src=B, dst=A) / ICMP(type=0, id=7)), "vethB")
    steps = (
        *(udp(), answer(), ping(), *OPEN, *CLOSE, again, Pause(0.6)),
        *(again, Pause(0.9), too_late, pong, CLOSE[2], Pause(0.9), udp()),
    )
    seconds = timeouts(
        udp_timeout=10, udp_timeout_stream=40, icmp_timeout=1, tcp_timeout_syn_sent=1, tcp_timeout_time_wait=1
    )
    result = compare(Scenario((*seconds, Load(("iptables-restore",), restore(*TRACKED))), steps))
    assert (result.outcome, result.differences) == ("compared", [])


FLOWS: dict[str, tuple[tuple[Load, ...], tuple[Step, ...]]] = {
    "a SYN in TIME_WAIT": ((), (*OPEN, *CLOSE, tcp("S", seq=9000))),
    "a reset connection": (timeouts(tcp_timeout_close=20), (*OPEN, tcp("R", seq=2))),
    "a SYN sent too often": (
        timeouts(tcp_timeout_syn_sent=100, tcp_timeout_max_retrans=10),
        (*[tcp("S", seq=1)] * 6,),
    ),
    "a shut window": (
        timeouts(tcp_timeout_max_retrans=50),
        (*OPEN, tcp_answer("A", seq=101, ack=2, window=0)),
    ),
}


@pytest.mark.parametrize("name", FLOWS)
def test_entries_have_as_long_to_live(name: str) -> None:
    loads, steps = FLOWS[name]
    result = compare(Scenario((*loads, Load(("iptables-restore",), restore(*TRACKED))), steps))
    assert (result.outcome, result.differences) == ("compared", [])


def test_what_a_rule_adds_to_a_set_counts_its_packet_and_ends() -> None:
    sets = "create s hash:ip timeout 1\ncreate c hash:ip counters\n"
    rules = (
        "-A FORWARD -p tcp -j SET --add-set s src",
        "-A FORWARD -p tcp -j SET --add-set c src --exist",
        "-A FORWARD -p udp -m set --match-set c src",
        "-A FORWARD -p udp -m set ! --match-set s src -j DROP",
    )
    steps = (tcp("S"), udp(), Pause(0.5), tcp("S"), udp(), Pause(0.9), udp())
    loads = (Load(("ipset", "restore"), sets), Load(("iptables-restore",), restore(*rules)))
    result = compare(Scenario(loads, steps))
    assert (result.outcome, result.differences) == ("compared", [])
