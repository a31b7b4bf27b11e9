"""Firewalls as programs and people write them: nft and the model list the same after the same text."""

from __future__ import annotations

import re

import pytest
from nft_files import loaded, real
from real_node import why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

HOST = """#!/usr/sbin/nft -f
flush ruleset
define office = { 192.0.2.0/24, 198.51.100.7 }
define services = { ssh, http, https }
table inet filter {
	set blocked {
		type ipv4_addr
		flags interval, timeout
		auto-merge
		elements = { 203.0.113.0/25, 203.0.113.128/25, 10.9.8.7 timeout 1h }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif lo accept
		ip saddr @blocked counter drop
		icmp type { echo-request, destination-unreachable, time-exceeded } limit rate 10/second accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, echo-request } accept
		ip saddr $office tcp dport $services ct state new accept comment "the office"
		udp dport { 5353, 67-68 } accept
		log prefix "dropped: " limit rate 3/minute
		reject with icmpx type port-unreachable
	}
	chain forward { type filter hook forward priority filter; policy drop; }
	chain output { type filter hook output priority filter; policy accept; }
}
"""
#: Zones, policies and dispatch chains, as a firewall daemon lays them out.
ZONES = """table inet daemon {
	chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; }
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
	chain nat_POSTROUTING {
		type nat hook postrouting priority srcnat + 10; policy accept;
		oifname "eth0" goto nat_POST_public
	}
	chain nat_POST_public { meta nfproto ipv4 oifname != "lo" masquerade; }
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES {
		iifname "vethA" goto filter_IN_trusted
		goto filter_IN_public
	}
	chain filter_IN_trusted { accept; }
	chain filter_IN_public {
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_IN_public_allow {
		tcp dport 22 accept
		ip6 daddr fe80::/64 udp dport 546 accept
		tcp dport 8000-8100 accept
	}
}
"""
#: Containers behind a bridge: as a container engine's tables come out of iptables-translate.
CONTAINERS = """add table ip nat
add chain ip nat PREROUTING { type nat hook prerouting priority -100; policy accept; }
add chain ip nat POSTROUTING { type nat hook postrouting priority 100; policy accept; }
add chain ip nat OUTPUT { type nat hook output priority -100; policy accept; }
add chain ip nat ENGINE
add rule ip nat PREROUTING fib daddr type local counter jump ENGINE
add rule ip nat OUTPUT ip daddr != 127.0.0.0/8 fib daddr type local counter jump ENGINE
add rule ip nat POSTROUTING oifname != "bridge0" ip saddr 172.17.0.0/16 counter masquerade
add rule ip nat POSTROUTING ip saddr 172.17.0.2 ip daddr 172.17.0.2 tcp dport 80 counter masquerade
add rule ip nat ENGINE iifname "bridge0" counter return
add rule ip nat ENGINE iifname != "bridge0" tcp dport 8080 counter dnat to 172.17.0.2:80
add table ip filter
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add chain ip filter ENGINE-USER
add chain ip filter ISOLATION-1
add chain ip filter ISOLATION-2
add rule ip filter FORWARD counter jump ENGINE-USER
add rule ip filter FORWARD counter jump ISOLATION-1
add rule ip filter FORWARD oifname "bridge0" ct state related,established counter accept
add rule ip filter FORWARD iifname "bridge0" oifname != "bridge0" counter accept
add rule ip filter ISOLATION-1 iifname "bridge0" oifname != "bridge0" counter jump ISOLATION-2
add rule ip filter ISOLATION-1 counter return
add rule ip filter ISOLATION-2 oifname "bridge0" counter drop
insert rule ip filter ENGINE-USER ip saddr { 10.0.0.1-10.0.0.9, 10.1.0.0/16 } meta mark and 0xff == 0x1 accept
"""
ROUTER = """table ip gateway {
	map forwards {
		type inet_service : ipv4_addr . inet_service
		elements = { 80 : 192.168.1.10 . 8080, 443 : 192.168.1.10 . 8443 }
	}
	map lanes { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/8 : 0x10, 172.16.0.0/12 : 0x20 } }
	set tries { type ipv4_addr; flags dynamic, timeout; timeout 10m; size 4096; }
	counter web { }
	quota monthly { over 1024 mbytes }
	limit pings { rate 400/minute burst 20 packets }
	chain prerouting {
		type nat hook prerouting priority dstnat;
		iifname "eth0" dnat ip to tcp dport map @forwards
	}
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname "eth0" snat to 198.51.100.1-198.51.100.4 persistent
	}
	chain marks {
		type filter hook forward priority mangle;
		meta mark set ip saddr map @lanes
		ct mark set meta mark
		tcp flags syn / syn,rst tcp option maxseg size set rt mtu
		quota name "monthly" drop
		tcp dport { 80, 443 } counter name "web"
		icmp type echo-request limit name "pings" accept
		tcp dport 22 ct state new add @tries { ip saddr limit rate over 3/minute } drop
	}
}
"""


@pytest.mark.parametrize("text", [HOST, ZONES, CONTAINERS, ROUTER], ids=["host", "zones", "containers", "router"])
def test_a_firewall_is_listed_as_nft_lists_it(text: str) -> None:
    ours = loaded(text).run("nft list ruleset")
    said, listed, checked = real([(text, ("-f", "-")), ("", ("list", "ruleset")), (ours, ("-c", "-f", "-"))])
    assert (said, checked) == ("", "")
    assert without_expiry(ours) == without_expiry(listed)


def without_expiry(listing: str) -> str:
    """An element's rest of life is the clock's."""
    return re.sub(r" expires \w+", "", listing)
