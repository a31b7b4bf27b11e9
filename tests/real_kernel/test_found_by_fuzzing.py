"""What random scenarios found: each stays here, small, so that the kernel and the model go on agreeing about it."""

from __future__ import annotations

import pytest
from both import compare
from real_node import why_not
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.sctp import SCTP, SCTPChunkAbort, SCTPChunkShutdown
from scapy.packet import Packet
from scenario import Inject, Load, React, Scenario, Send, Step

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"needs a network namespace of the real kernel: {REASON}")

A, B, OUT, OWN = "10.244.0.2", "10.244.0.3", "203.0.113.7", "192.168.1.10"
A6, B6, OUT6 = "fd00:10:244::2", "fd00:10:244::3", "2001:db8::7"
SYN = TCP(sport=1000, dport=80, flags="S")


def table(name: str, *rules: str, tool: str = "iptables") -> Load:
    return Load((f"{tool}-restore",), "\n".join((f"*{name}", *rules, "COMMIT", "")))


def command(text: str) -> Load:
    return Load(tuple(text.split()))


def comes(packet: Packet, iface: str = "vethA") -> Inject:
    return Inject(bytes(packet), iface)


TRACKED = table("filter", "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT")
TRACKED6 = table("filter", "-A FORWARD -m conntrack --ctstate NEW -j ACCEPT", tool="ip6tables")
BIG = IP(src=A, dst=OUT, id=9) / UDP(sport=4000, dport=80) / (b"y" * 120)
BIG_HERE = IP(src=A, dst=OWN, id=9) / ICMP(id=7) / (b"y" * 120)
BIG6 = IPv6(src=A6, dst="fd00:1::10") / IPv6ExtHdrFragment(id=9) / ICMPv6EchoRequest(id=7, data=b"y" * 1000)
FOUND: dict[str, tuple[tuple[Load, ...], tuple[Step, ...]]] = {
    "a packet with a zone cannot be left untracked": (
        (table("raw", "-A PREROUTING -j CT --zone 1", "-A PREROUTING -j NOTRACK"),),
        (comes(IP(src=A, dst=B) / SYN),),
    ),
    "a flow that REJECT resets is closed at once": (
        (table("filter", "-A FORWARD -p tcp -m tcp --tcp-flags ACK ACK -j REJECT --reject-with tcp-reset"), TRACKED),
        (
            comes(IP(src=A, dst=B) / SYN),
            comes(IP(src=A, dst=B) / TCP(sport=1000, dport=80, flags="A", seq=1)),
        ),
    ),
    "a reset that ends a flow is counted": (
        (table("filter", "-A OUTPUT -m connbytes --connbytes 2: --connbytes-dir both --connbytes-mode packets"),),
        (comes(IP(src=B, dst=OWN) / TCP(sport=1000, dport=53, flags="A", seq=1000, ack=2000), "vethB"),),
    ),
    "timestamps are told": ((), (comes(IP(src=A, dst=OWN) / ICMP(type=13, id=7, seq=1)),)),
    "an ABORT opens no flow": ((TRACKED,), (comes(IP(src=A, dst=B) / SCTP(sport=1, dport=2) / SCTPChunkAbort()),)),
    "a SHUTDOWN with an unknown tag opens none": (
        (TRACKED,),
        (comes(IP(src=A, dst=B) / SCTP(sport=1, dport=2, tag=7) / SCTPChunkShutdown()),),
    ),
    "UDP over IPv6 without a checksum is tracked": (
        (TRACKED6,),
        (comes(IPv6(src=A6, dst=B6) / UDP(sport=1, dport=2, chksum=0)),),
    ),
    "a datagram in one fragment loses the fragment header": (
        (TRACKED6,),
        (comes(IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(nh=17, id=7) / UDP(sport=1, dport=2)),),
    ),
    "broadcast segments are not reset": ((), (comes(IP(src=A, dst="255.255.255.255") / SYN),)),
    "a broadcast from one of our addresses is a martian": (
        (table("filter", "-A INPUT -p icmp"),),
        (comes(IP(src=OWN, dst="255.255.255.255") / ICMP()),),
    ),
    "the loose reverse path needs a route": (
        (command("ip route del default"), command("sysctl -q -w net.ipv4.conf.vethA.rp_filter=2")),
        (comes(IP(src="8.8.8.8", dst=B) / SYN),),
    ),
    "a rule that makes the sender unreachable does not make it a martian": (
        (command(f"ip rule add to {OUT} unreachable"),),
        (comes(IP(src=OUT, dst=B) / SYN, "eth0"),),
    ),
    "an unreachable rule says what no route says": (
        (command(f"ip rule add to {OUT} unreachable"), command(f"ip -6 rule add to {OUT6} unreachable")),
        (
            Send(bytes(IP(src=OWN, dst=OUT) / UDP(sport=1, dport=2))),
            Send(bytes(IPv6(src="fd00:1::10", dst=OUT6) / UDP(sport=1, dport=2))),
            comes(IP(src=A, dst=OUT) / SYN),
            comes(IPv6(src=A6, dst=OUT6) / SYN),
        ),
    ),
    "local routes of one's own have sources looked at closely": (
        (command("ip route add local 10.96.0.1 dev lo"),),
        (comes(IP(src="192.168.1.255", dst=OUT) / SYN), comes(IP(src=A, dst=OUT) / SYN)),
    ),
    "a fragment of our own is held without an error": (
        (table("filter", "-A OUTPUT -m conntrack --ctstate NEW"),),
        (Send(bytes(IP(src=OWN, dst=B, flags="MF") / UDP(sport=1, dport=2))),),
    ),
    "INPUT sees every fragment of IPv6, and no fragment of IPv4": (
        (
            table("filter", ":INPUT ACCEPT [0:0]", "-A INPUT -m length --length 0:700", tool="ip6tables"),
            table("filter", ":INPUT ACCEPT [0:0]", "-A INPUT -m length --length 0:120"),
        ),
        (
            *(comes(each) for each in fragment6(IPv6(bytes(BIG6)), 600)),
            *(comes(each) for each in fragment(IP(bytes(BIG_HERE)), fragsize=64)),
        ),
    ),
    "errors for a broadcast address go to everybody": (
        (),
        (comes(IP(src="192.168.1.255", dst=OWN) / UDP(sport=1, dport=2)),),
    ),
    "the way back is asked as if from here": (
        (command("ip rule add iif vethA blackhole"), command("sysctl -q -w net.ipv4.conf.all.rp_filter=1")),
        (comes(IP(src=A, dst=OWN) / ICMP()),),
    ),
    "iif lo means what the host sends": (
        (command("ip route add default dev vethB table 100"), command("ip rule add iif lo lookup 100")),
        (Send(bytes(IP(src=OWN, dst=OUT) / UDP(sport=1, dport=2))), comes(IP(src=A, dst=OUT) / UDP(sport=1, dport=2))),
    ),
    "errors are routed before they have a source": (
        (command(f"ip rule add from {OWN} blackhole"),),
        (comes(IP(src=OUT, dst=B, ttl=1) / SYN, "eth0"),),
    ),
    "a device may forward for itself": (
        (command("sysctl -q -w net.ipv4.conf.vethA.forwarding=0"),),
        (comes(IP(src=A, dst=B) / SYN), comes(IP(src=B, dst=OUT) / SYN, "vethB")),
    ),
    "answers of the stack have a socket but no user": (
        (
            table(
                "filter",
                "-A OUTPUT -m owner --socket-exists",
                "-A OUTPUT -m owner --uid-owner 0",
                "-A OUTPUT -m owner ! --uid-owner 0",
            ),
        ),
        (comes(IP(src=A, dst=OWN) / ICMP()), comes(IP(src=A, dst=OWN) / SYN), comes(IP(src=A, dst=OWN) / UDP())),
    ),
    "a set takes in networks as long as its longest": (
        (
            Load(("ipset", "restore"), "create n hash:net\nadd n 10.96.0.0/31\nadd n 10.0.0.0/8\n"),
            table("filter", "-A FORWARD -j SET --add-set n src"),
        ),
        (comes(IP(src=B, dst=OUT) / SYN, "vethB"),),
    ),
    "a set takes in no port out of its range": (
        (
            Load(("ipset", "restore"), "create p bitmap:port range 100-200\n"),
            table("filter", "-A FORWARD -j SET --add-set p dst", "-A FORWARD -j SET --add-set p src"),
        ),
        (comes(IP(src=A, dst=B) / TCP(sport=150, dport=80)),),
    ),
    "looking for sockets puts fragments together": (
        (table("mangle", "-A INPUT -m socket", "-A FORWARD -m length --length 148"),),
        tuple(comes(each) for each in fragment(IP(bytes(BIG)), fragsize=64)),
    ),
    "addresses of a link mean nothing on another": (
        (),
        (
            comes(IPv6(src="fe80::9", dst=B6) / UDP(sport=1, dport=2)),
            comes(IPv6(src=A6, dst="fe80::9") / UDP(sport=1, dport=2)),
            comes(IPv6(src="fe80::9", dst="fd00:10:244::1") / UDP(sport=1, dport=2)),
            comes(IPv6(src="::", dst=B6) / UDP(sport=1, dport=2)),
        ),
    ),
    "a local route alone is no source of errors": (
        (command(f"ip -6 route add local {OUT6} dev lo"),),
        (comes(IPv6(src=A6, dst=OUT6) / UDP(sport=1, dport=2)), comes(IPv6(src=A6, dst=OUT6) / ICMPv6EchoRequest())),
    ),
    "a route is recorded as the sender sees it": (
        (),
        (
            comes(
                IP(src=A, dst=OUT, options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)]) / UDP(sport=1, dport=2)
            ),
            React(0, "again"),
        ),
    ),
    "a raw socket's length counts": (
        (),
        (Send(bytes(IP(src=OWN, dst=B) / UDP(sport=1, dport=2)) + b"more"),),
    ),
    "no bits are compared with nothing": ((table("security", f"-A OUTPUT ! -s {A}/0 -j ACCEPT"),), ()),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_kernel_and_the_model_still_agree(name: str) -> None:
    loads, steps = FOUND[name]
    result = compare(Scenario(loads, steps))
    assert not result.differences
    assert result.outcome in ("compared", "refused")
    assert (result.outcome == "refused") == (not steps)
