"""Hypothesis strategies for what is set up beside rules: sets, routes and policy rules, sysctls."""

from __future__ import annotations

from hypothesis import strategies as st
from scenario import Load

from fakecluster.strategies.rule_addresses import OUTSIDE, OWN, PODS, VIPS

_SETS = {
    4: (
        ("create s1 hash:ip", ("10.244.0.2", "10.96.0.1", "203.0.113.0/30")),
        ("create s2 hash:net", ("10.244.0.0/16", "10.244.0.2/32 nomatch", "10.96.0.0/31", "203.0.113.7")),
        ("create s3 hash:ip,port", ("10.96.0.1,tcp:80", "10.96.0.1,udp:53", "10.244.0.3,8080", "10.244.0.2,icmp:8/0")),
        ("create s4 bitmap:port range 0-65535", ("80", "53", "8000-8100", "4000")),
    ),
    6: (
        ("create s1 hash:ip family inet6", ("fd00:10:244::2", "fd00:96::1", "2001:db8::7")),
        (
            "create s2 hash:net family inet6",
            ("fd00:10:244::/48", "fd00:10:244::2/128 nomatch", "fd00:96::/127", "2001:db8::7"),
        ),
        ("create s3 hash:ip,port family inet6", ("fd00:96::1,tcp:80", "fd00:96::1,udp:53", "fd00:10:244::3,8080")),
        ("create s4 bitmap:port range 0-65535", ("80", "53", "8000-8100", "4000")),
    ),
}
_SYSCTLS = {
    4: (
        "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.vethA.rp_filter=2", "net.ipv4.ip_forward=0",
        "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.all.accept_local=1", "net.ipv4.icmp_echo_ignore_all=1",
        "net.ipv4.conf.vethA.forwarding=0", "net.ipv4.conf.all.src_valid_mark=1", "net.ipv4.fwmark_reflect=1",
        "net.ipv4.ip_default_ttl=33", "net.ipv4.icmp_errors_use_inbound_ifaddr=1", "net.ipv4.ip_nonlocal_bind=1",
    ),
    6: ("net.ipv6.conf.all.forwarding=0", "net.ipv6.fwmark_reflect=1"),
}  # fmt: skip
_CONNTRACK = (
    "net.netfilter.nf_conntrack_tcp_loose=0", "net.netfilter.nf_conntrack_tcp_be_liberal=1",
    "net.netfilter.nf_conntrack_checksum=0", "net.netfilter.nf_conntrack_acct=1",
    "net.netfilter.nf_conntrack_udp_timeout=77", "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1",
)  # fmt: skip


@st.composite
def sets(draw: st.DrawFn, family: int) -> Load:
    """The sets s1 to s4 that rules may name, each with some of its elements."""
    lines = []
    for create, elements in _SETS[family]:
        lines.append(create)
        chosen = draw(st.lists(st.sampled_from(elements), max_size=3, unique=True))
        lines += [f"add {create.split()[1]} {element}" for element in chosen]
    return Load(("ipset", "restore"), "\n".join(lines) + "\n")


def routing(family: int) -> st.SearchStrategy[Load]:
    """One route or policy rule more."""
    target = st.sampled_from(VIPS[family] + OUTSIDE[family] + PODS[family])
    route = st.tuples(st.sampled_from(("blackhole", "unreachable", "prohibit", "throw")), target).map(
        lambda pair: f"route add {pair[0]} {pair[1]}"
    )
    way = st.tuples(target, st.sampled_from(("vethA", "vethB"))).map(
        lambda pair: f"route replace {pair[0]} dev {pair[1]}"
    )
    table = st.sampled_from(("vethB", "vethA")).map(lambda device: f"route add default dev {device} table 100")
    local = st.sampled_from(VIPS[family]).map(lambda address: f"route add local {address} dev lo")
    rule = st.sampled_from((
        "rule add fwmark 1 lookup 100", "rule add fwmark 0x2/0x2 lookup 100", f"rule add from {PODS[family][0]} lookup 100",
        f"rule add to {VIPS[family][0]} lookup 100", "rule add iif vethA lookup 100", "rule add iif lo lookup 100",
        f"rule add from {OWN[family][0]} blackhole", f"rule add to {OUTSIDE[family][0]} unreachable",
        f"rule add to {OUTSIDE[family][0]} prohibit",
    ))  # fmt: skip
    mtu = st.sampled_from(("link set vethB mtu 1400", "link set eth0 mtu 1300"))
    flag = ["ip", "-6"] if family == 6 else ["ip"]
    return st.one_of(route, way, table, local, mtu, rule, rule).map(lambda words: Load((*flag, *words.split())))


@st.composite
def setups(draw: st.DrawFn, family: int) -> tuple[Load, ...]:
    """Mostly nothing but the sets; sometimes routes, rules and sysctls."""
    loads = [draw(sets(family))]
    if draw(st.integers(0, 2)) == 2:
        loads += draw(st.lists(routing(family), min_size=1, max_size=3))
    if draw(st.integers(0, 2)) == 2:
        values = st.sampled_from(_SYSCTLS[family] + _CONNTRACK)
        loads += [
            Load(("sysctl", "-q", "-w", value)) for value in draw(st.lists(values, min_size=1, max_size=2, unique=True))
        ]
    return tuple(loads)
