"""iptables-nft and nft share their tables; the texts are those of iptables 1.8.9 and nft 1.0.6 on Linux 6.18."""

from __future__ import annotations

import pytest
from kernel.kernel_node import router

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.netns import Netns

MADE_BY_IPTABLES = """*filter
:INPUT DROP [0:0]
:WEB - [0:0]
-A INPUT -m conntrack --ctstate NEW -j WEB
-A WEB -j ACCEPT
COMMIT
*nat
-A POSTROUTING -j MASQUERADE
COMMIT
"""
MADE_BY_NFT = """table ip filter {
    chain web { }
    chain INPUT {
        type filter hook input priority filter; policy drop
        iifname "eth*" ip saddr != 10.0.0.0/8 counter packets 3 bytes 120 goto web
        tcp dport 80-90 accept comment "hello"
        meta mark & 0xff == 0x10 limit rate 10/minute burst 7 packets return
        tcp flags syn log group 3
    }
}
"""
AS_IPTABLES_SHOWS_IT = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT ! -s 10.0.0.0/8 -i eth+ -g web
-A INPUT -p tcp -m tcp --dport 80:90 -m comment --comment hello -j ACCEPT
-A INPUT -m mark --mark 0x10/0xff -m limit --limit 10/min --limit-burst 7 -j RETURN
-A INPUT -p tcp -m tcp ! --tcp-flags SYN NONE -j NFLOG --nflog-group 3
COMMIT
"""


def with_iptables() -> Netns:
    netns = router()
    netns.run("iptables-restore", MADE_BY_IPTABLES)
    return netns


def with_nft(text: str = MADE_BY_NFT) -> Netns:
    netns = router()
    netns.run("nft -f -", text)
    return netns


def test_nft_flushes_and_deletes_tables_of_iptables() -> None:
    netns = with_iptables()
    netns.run("nft flush table ip filter")
    assert netns.run("iptables-save -t filter") == (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:WEB - [0:0]\nCOMMIT\n"
    )
    netns.run("nft delete table ip filter")
    assert "*filter" not in netns.run("iptables-save")
    netns.run("nft flush ruleset ip6")
    assert "MASQUERADE" in netns.run("iptables-save")
    netns.run("nft flush ruleset")
    assert netns.run("iptables-save") == ""


def test_a_failing_batch_leaves_tables_of_iptables_alone() -> None:
    netns = with_iptables()
    before = netns.run("iptables-save")
    with pytest.raises(CommandError, match="No such file or directory"):
        netns.run("nft -f -", "flush ruleset\nadd rule ip nowhere c accept\n")
    assert netns.run("iptables-save") == before


def test_parts_of_a_table_of_iptables_are_not_changed_by_nft() -> None:
    netns = with_iptables()
    netns.run("nft add table ip nat")
    with pytest.raises(Unsupported, match="1: not modelled: nft add rule in table ip nat, which is iptables'"):
        netns.run("nft add rule ip nat POSTROUTING accept")
    netns.run("nft add table ip6 nat")  # another family's


def test_iptables_shows_a_table_of_nft_as_its_own() -> None:
    netns = with_nft()
    assert netns.run("iptables-save") == AS_IPTABLES_SHOWS_IT
    assert "[3:120] -A INPUT ! -s 10.0.0.0/8 -i eth+ -g web\n" in netns.run("iptables-save -c")
    assert netns.run("iptables -S web") == "-N web\n"
    assert netns.run("ip6tables-save") == ""
    assert netns.run("iptables-save -t raw") == "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    assert netns.run("iptables-legacy-save") == ""


def test_a_table_of_what_iptables_does_not_know_is_incompatible() -> None:
    netns = with_nft("table ip filter {\nchain c {\nct state new accept\n}\n}\n")
    assert netns.run("iptables-save") == "# Table `filter' is incompatible, use 'nft' tool.\n"
    with pytest.raises(CommandError) as refused:
        netns.run("iptables -S")
    assert refused.value.stderr == "iptables v1.8.9 (nf_tables): table `filter' is incompatible, use 'nft' tool.\n"


def test_base_chains_elsewhere_are_left_out() -> None:
    netns = with_nft("table ip mangle {\nchain X { type filter hook forward priority mangle\n}\n}\n")
    assert netns.run("iptables-save").startswith(
        "# Table `mangle' contains incompatible base-chains, use 'nft' tool to list them.\n*mangle\n:PREROUTING ACCEPT [0:0]\n"
    )


@pytest.mark.parametrize("rule", ["ip saddr { 10.0.0.1, 10.0.0.2 } accept", "ip saddr 10.0.0.1-10.0.0.9 drop"])
def test_what_iptables_misreads_is_refused(rule: str) -> None:
    netns = with_nft(f"table ip filter {{\nchain c {{\n{rule}\n}}\n}}\n")
    with pytest.raises(Unsupported, match="what iptables-nft makes of the rules of table ip filter"):
        netns.run("iptables-save")


@pytest.mark.parametrize("command", ["iptables -A INPUT -j DROP", "iptables -t filter -F"])
def test_iptables_does_not_change_a_table_of_nft(command: str) -> None:
    with pytest.raises(Unsupported, match="iptables on table ip filter, which nft made"):
        with_nft().run(command)
