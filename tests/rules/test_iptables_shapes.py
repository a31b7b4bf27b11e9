"""Lines read at a glance mean what they mean word by word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.rules.iptables.match_packet import CommentMatch
from fakecluster.rules.iptables.match_rate import StatisticMatch
from fakecluster.rules.iptables.match_transport import PortsMatch, TcpMatch
from fakecluster.rules.iptables.reading import read
from fakecluster.rules.iptables.rule import Match, Network, Protocol, RuleParts, Target
from fakecluster.rules.iptables.shapes import glance
from fakecluster.rules.iptables.target_nat import NatTarget
from fakecluster.rules.iptables.words import split

ALL_ONES = 0xFFFFFFFF
HOSTS = {4: ("10.0.0.1", "255.255.255.255", "0.0.0.0"), 6: ("fd00::1", "::", "2001:db8:0:1:2:3:4:5", "::ffff:1.2.3.4")}
LENGTHS = {4: ("", "/32", "/24", "/1", "/0"), 6: ("", "/128", "/64", "/1", "/0")}
VALUES = ("0x0", "0x4000", "0xffffffff", "0x4000/0x4000", "0x1/0x0")


def optional(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(("", *texts))


@st.composite
def lines(draw: st.DrawFn, family: int) -> str:
    """A line that kube-proxy could write, or iptables-save print; some that are only nearly so."""
    network = st.builds("{}{}".format, st.sampled_from(HOSTS[family]), st.sampled_from(LENGTHS[family]))
    source = draw(st.just("") | st.builds("{} -s {}".format, optional(" !"), network))
    target = draw(st.just("") | st.builds(" -d {}".format, network))
    comment = draw(optional(" -m comment --comment \"a: -d 10.0.0.9 -> [b], 'c' -j X\"", " -m comment --comment a/b:c"))
    protocol = draw(st.sampled_from(("", "tcp", "udp", "sctp")))
    dport = draw(optional(" --dport 1", " --dport 65535", " --dport 8080")) if protocol else ""
    more = draw(optional(*(f" -m statistic --mode random --probability {p}" for p in ("0.5", "0.3333333333", "1.0"))))
    if draw(st.booleans()):
        more += draw(st.just("") | st.builds(" -m mark{} --mark {}".format, optional(" !"), st.sampled_from(VALUES)))
        module = draw(optional(f" -m {protocol}{dport}")) if protocol else ""
        start = f"{source}{target}{f' -p {protocol}' if protocol else ''}{comment}{module}"
    else:
        module = f" -m {protocol} -p {protocol}" if protocol else ""
        start = f"{comment}{module}{target}{dport}{source}"
    goals = ["ACCEPT", "DROP", "RETURN", "MASQUERADE", "KUBE-SVC-ABC", *(f"MARK --set-xmark {v}" for v in VALUES)]
    goals += ["MARK --or-mark 0x4000", "MASQUERADE --random-fully"]
    if protocol:
        host = draw(st.sampled_from(HOSTS[family]))
        goals.append(f"DNAT --to-destination {host if family == 4 else f'[{host}]'}:8080")
    return f"-A KUBE-SERVICES{start}{more} -j {draw(st.sampled_from(goals))}"


@given(st.data(), st.sampled_from((4, 6)))
@settings(max_examples=150, deadline=None)
def test_a_line_means_the_same_both_ways(data: st.DataObject, family: int) -> None:
    line = data.draw(lines(family))
    seen = glance(line, family)
    if seen is not None:
        assert seen[1].parts == read(split(line), family).rules[0]


WEB = Match("tcp", TcpMatch(dport=(80, 80)))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (
            '-A K -m comment --comment "ns/web cluster IP" -m tcp -p tcp -d 10.96.0.1 --dport 80 ! -s 10.244.0.0/16 -j K-M',
            RuleParts(
                4, Network(0x0AF40000, 0xFFFF0000, inverted=True), Network(0x0A600001, ALL_ONES),
                protocol=Protocol(6), matches=(Match("comment", CommentMatch("ns/web cluster IP")), WEB),
                target=Target("K-M", is_chain=True),
            ),
        ),
        (
            "-A K -d 10.96.0.1/32 -p tcp -m comment --comment web -m tcp --dport 80 -j K-M",
            RuleParts(
                4, dst=Network(0x0A600001, ALL_ONES), protocol=Protocol(6),
                matches=(Match("comment", CommentMatch("web")), WEB), target=Target("K-M", is_chain=True),
            ),
        ),
        (
            "-A K -m udp -p udp -j DNAT --to-destination 10.244.0.4:53",
            RuleParts(
                4, protocol=Protocol(17), matches=(Match("udp", PortsMatch()),),
                target=Target("DNAT", NatTarget(4, (0x0AF40004, 0x0AF40004), (53, 53))),
            ),
        ),
        (
            "-A K -p tcp -j DNAT --to-destination [fd00::4]:53",
            RuleParts(
                6, protocol=Protocol(6),
                target=Target("DNAT", NatTarget(6, (0xFD00 << 112 | 4,) * 2, (53, 53))),
            ),
        ),
        (
            "-A K -m statistic --mode random --probability 0.5 -j K-A",
            RuleParts(
                4, matches=(Match("statistic", StatisticMatch("random", 1 << 30)),), target=Target("K-A", is_chain=True)
            ),
        ),
        (
            "-A K -j MASQUERADE --random-fully",
            RuleParts(4, target=Target("MASQUERADE", NatTarget(4, random_fully=True))),
        ),
        ("-A K -p tcp -j MASQUERADE --random-fully", None),
        ("-A K -d 10.0.0.0/0 -j ACCEPT", None),
        ("-A K -p tcp --dport 80 -j ACCEPT", None),
        ("-A K -j TRACE", None),
    ],
)  # fmt: skip
def test_a_line_of_a_known_shape_is_taken_apart_and_no_other(line: str, parts: RuleParts | None) -> None:
    seen = glance(line, 6 if "[" in line and ":4]" in line else 4)
    assert (seen and seen[1].parts) == parts
