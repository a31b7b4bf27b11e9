"""What iptables says and leaves behind, as iptables 1.8.9 does on a real kernel, of both backends."""

from __future__ import annotations

import pytest

from fakecluster.errors import CommandError
from fakecluster.kernel.netns import Netns

HINT = "Try `iptables -h' or 'iptables --help' for more information.\n"
LEGACY, NFT = "iptables v1.8.9 (legacy): ", "iptables v1.8.9 (nf_tables): "
DMESG = "iptables: Invalid argument. Run `dmesg' for more information.\n"
APPEND = NFT + " RULE_APPEND failed (Invalid argument): rule in chain INPUT\n"
NEEDS_PORTS = "multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'\n" + HINT
#: command -> (status, words) of iptables-legacy, and of iptables-nft
REFUSED = {
    "-A INPUT -m multiport --dports 1": ((2, LEGACY + NEEDS_PORTS), (2, NFT + NEEDS_PORTS)),
    "-A INPUT -m multiport --dports 1 -p tcp": ((2, LEGACY + NEEDS_PORTS), (2, NFT + NEEDS_PORTS)),
    "-A INPUT -m tcpmss --mss 100": ((1, DMESG), (4, APPEND)),
    "-A INPUT -m owner --uid-owner 100-50": ((1, DMESG), (4, APPEND)),
    "-A INPUT -6 -p tcp": ((2, HINT), (2, HINT)),
    "-A INPUT -m string --hex-string |01 --algo bm": (
        (2, f"{LEGACY}Invalid hex block\n{HINT}"),
        (2, f"{NFT}Invalid hex block\n{HINT}"),
    ),
    "-A INPUT -c 5": (
        (2, f"{LEGACY}-c requires packet and byte counter\n{HINT}"),
        (2, f"{NFT}-c requires packet and byte counter\n{HINT}"),
    ),
    "-D INPUT -c 5 6": (
        (2, f"{LEGACY}Illegal option `-c' with this command\n{HINT}"),
        (2, f"{NFT}Illegal option `-c' with this command\n{HINT}"),
    ),
    "-I INPUT foo -j ACCEPT": (
        (2, f"{LEGACY}Invalid rule number `foo'\n{HINT}"),
        (2, f"{NFT}Invalid rule number `foo'\n{HINT}"),
    ),
    "-D nochain -j ACCEPT": (
        (1, "iptables: Bad rule (does a matching rule exist in that chain?).\n"),
        (1, "iptables: Bad rule (does a matching rule exist in that chain?).\n"),
    ),
    "-X USED": (
        (1, "iptables: Too many links.\n"),
        (4, NFT + " CHAIN_DEL failed (Device or resource busy): chain USED\n"),
    ),
    "-A USED -j USED": (
        (1, "iptables: Too many levels of symbolic links.\n"),
        (4, NFT + " RULE_APPEND failed (Too many links): rule in chain USED\n"),
    ),
    "-A INPUT -j nosuch": (
        (2, f"{LEGACY}Couldn't load target `nosuch':No such file or directory\n\n{HINT}"),
        (2, f"{NFT}Chain 'nosuch' does not exist\n{HINT}"),
    ),
}


def refusal(command: str, backend: str) -> tuple[int, str]:
    node = Netns("node")
    tool = f"iptables-{backend}"
    node.run(f"{tool} -N USED")
    node.run(f"{tool} -A USED -p tcp -j ACCEPT")
    node.run(f"{tool} -A INPUT -j USED")
    before = node.run(f"{tool}-save")
    with pytest.raises(CommandError) as refused:
        node.run((tool, *command.split()))
    assert node.run(f"{tool}-save") == before
    return refused.value.status, refused.value.stderr


@pytest.mark.parametrize("command", REFUSED)
def test_each_backend_refuses_in_its_words(command: str) -> None:
    assert (refusal(command, "legacy"), refusal(command, "nft")) == REFUSED[command]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ("-m ttl --ttl 3", "-m ttl --ttl-eq 3"),
        ("-s 10", "-s 10.0.0.0/32"),
        ("-j LOG --log-prefix 0123456789012345678901234567890", "-j LOG --log-prefix 01234567890123456789012345678"),
    ],
)
def test_other_spellings_are_saved_as_the_usual_one(options: str, saved: str) -> None:
    node = Netns("node")
    node.run(f"iptables -A INPUT {options}")
    assert node.run("iptables -S INPUT") == f"-P INPUT ACCEPT\n-A INPUT {saved}\n"


@pytest.mark.parametrize("tool", ["iptables-legacy-restore", "iptables-restore"])
def test_a_restore_passes_over_lines_of_the_other_family(tool: str) -> None:
    node = Netns("node")
    lines = "-6 -A INPUT -p icmpv6 --icmpv6-type 1 -j ACCEPT\n-A INPUT -6 -j DROP\n-4 -A INPUT -j RETURN\n"
    node.run(tool, f"*filter\n{lines}COMMIT\n")
    assert node.run(f"{tool.removesuffix('-restore')} -S INPUT") == "-P INPUT ACCEPT\n-A INPUT -j RETURN\n"


def test_what_the_kernel_refuses_is_told_of_the_line_that_commits_in_iptables_legacy() -> None:
    node = Netns("node")
    with pytest.raises(CommandError) as refused:
        node.run("iptables-legacy-restore", "*filter\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\n-A INPUT\nCOMMIT\n")
    assert (refused.value.status, refused.value.stderr) == (1, "iptables-restore: line 6 failed\n")


def test_iptables_legacy_keeps_policies_that_a_restore_does_not_name() -> None:
    node = Netns("node")
    for tool in ("iptables-legacy", "iptables-nft"):
        node.run(f"{tool} -P OUTPUT DROP")
        node.run(f"{tool}-restore", "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert "-P OUTPUT DROP" in node.run("iptables-legacy -S")
    assert "-P OUTPUT ACCEPT" in node.run("iptables-nft -S")
    node.run("iptables-legacy-restore", "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n")
    assert "-P OUTPUT DROP" in node.run("iptables-legacy -S")


def test_a_segment_size_is_only_set_in_rules_that_ask_for_syn_in_iptables_legacy() -> None:
    node = Netns("node")
    rule = ("-t", "mangle", "-A", "FORWARD", "-p", "tcp", "-j", "TCPMSS", "--set-mss", "1400")
    node.run(("iptables-nft", *rule))
    node.run(("iptables-legacy", *rule[:6], "--syn", *rule[6:]))
    with pytest.raises(CommandError, match="Invalid argument"):
        node.run(("iptables-legacy", *rule))
