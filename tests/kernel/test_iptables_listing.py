"""iptables -L and -v as a whole, as recorded from the real tools (1.8.9); single rules: test_iptables_words.py.

A case in iptables_listing.txt is a command line behind `### ` and what it prints. They run in order, from RULES on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fakecluster.errors import CommandError
from fakecluster.kernel.netns import Netns

RULES = """\
*filter
:INPUT DROP [123456:7890123]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [99999:100000]
:KUBE-SERVICES - [0:0]
:b - [0:0]
[99999:100000] -A INPUT -i lo -p tcp -m tcp --dport 80 -m comment --comment "to http" -j KUBE-SERVICES
[123456789:18446744073709551615] -A INPUT ! -i eth+ -s 10.0.0.0/8 ! -d 10.0.0.1 -g KUBE-SERVICES
[9999500:9999499] -A KUBE-SERVICES -m conntrack --ctstate NEW -j RETURN
-A KUBE-SERVICES -p udp -j b
COMMIT
"""
CASES = [case.split("\n", 1) for case in (Path(__file__).parent / "iptables_listing.txt").read_text().split("### ")[1:]]


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_listings_and_what_changes_say_are_those_of_the_real_tool(backend: str) -> None:
    node = Netns()
    node.run(f"iptables-{backend}-restore -c", RULES)
    wrong = []
    for command, printed in CASES:
        if command.startswith(f"iptables-{backend} "):
            try:
                ours = node.run(command)
            except CommandError as refused:
                ours = refused.stderr
            if ours != printed:
                wrong.append((command, printed, ours))
    assert not wrong


def test_a_rule_for_several_addresses_is_inserted_one_before_the_other() -> None:
    node = Netns()
    node.run("iptables -A INPUT -j ACCEPT")
    node.run("iptables -I INPUT -s 1.1.1.1,2.2.2.2 -d 3.3.3.3,4.4.4.4")
    assert node.run("iptables -S INPUT").splitlines() == [
        "-P INPUT ACCEPT", "-A INPUT -s 2.2.2.2/32 -d 4.4.4.4/32", "-A INPUT -s 2.2.2.2/32 -d 3.3.3.3/32",
        "-A INPUT -s 1.1.1.1/32 -d 4.4.4.4/32", "-A INPUT -s 1.1.1.1/32 -d 3.3.3.3/32", "-A INPUT -j ACCEPT",
    ]  # fmt: skip


def test_every_extension_has_its_words() -> None:
    from fakecluster.rules import iptables

    assert set(iptables.MATCH_WORDS) == set(iptables.MATCHES)
    assert set(iptables.TARGET_WORDS) == set(iptables.TARGETS)


def test_the_first_packet_of_every_nth_is_not_named() -> None:
    node = Netns()
    node.run("iptables -N A")
    node.run("iptables -A A -m statistic --mode nth --every 3 --packet 0")
    node.run("iptables -A A -m statistic --mode nth --every 3 --packet 1")
    assert [row[61:] for row in node.run("iptables -nL A").splitlines()[2:]] == [
        " statistic mode nth every 3", " statistic mode nth every 3 packet 1",
    ]  # fmt: skip
