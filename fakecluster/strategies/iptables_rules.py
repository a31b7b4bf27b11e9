"""Hypothesis strategies for iptables-restore texts: every table, user chains, and the matches and targets modelled."""

from __future__ import annotations

from hypothesis import strategies as st

from fakecluster.strategies.rule_addresses import OUTSIDE, OWN, PODS, PORTS, SOURCE_PORTS, VIPS

CHAINS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
USER_CHAINS = ("U1", "U2")
_INPUT_SIDE = ("PREROUTING", "INPUT", "FORWARD")
_OUTPUT_SIDE = ("FORWARD", "OUTPUT", "POSTROUTING")
REJECTS = {
    4: ("icmp-net-unreachable", "icmp-host-unreachable", "icmp-port-unreachable", "icmp-proto-unreachable",
        "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited"),
    6: ("icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable"),
}  # fmt: skip


def _of(*values: object) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in values])


def _not(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sometimes negated."""
    return st.tuples(st.sampled_from(("", "", "", "! ")), text).map("".join)


@st.composite
def addresses(draw: st.DrawFn, family: int) -> str:
    """An address or a network out of those that packets carry."""
    one: str = draw(st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] + OWN[family]))
    lengths = ("", "/32", "/31", "/24", "/16", "/0") if family == 4 else ("", "/128", "/127", "/64", "/32")
    return one + draw(st.sampled_from(lengths))


def _ports() -> st.SearchStrategy[str]:
    return _of(*PORTS, *SOURCE_PORTS, "0:1023", "1024:65535", "53:80", "4000:", ":443")


def _with_protocol(family: int) -> st.SearchStrategy[str]:
    """Matches that need `-p`."""
    port = st.tuples(_of("tcp", "udp", "sctp"), _not(st.tuples(_of("--sport ", "--dport "), _ports()).map("".join)))
    multi = st.tuples(
        _of("tcp", "udp"), _not(_of("--dports 80,443", "--sports 4000:4001,53", "--ports 80", "--dports 53:80,8080"))
    )
    options = [
        port.map(lambda pair: f"-p {pair[0]} {pair[1]}"),
        multi.map(lambda pair: f"-p {pair[0]} -m multiport {pair[1]}"),
        _not(
            _of("--syn", "--tcp-flags SYN,ACK SYN", "--tcp-flags ALL NONE", "--tcp-flags FIN,RST RST", "--tcp-option 2")
        ).map(lambda text: f"-p tcp -m tcp {text}"),
        _of("1400", "0:1460", "1460:65535").map(lambda mss: f"-p tcp -m tcpmss --mss {mss}"),
        _not(_of("any INIT", "only INIT", "all DATA", "any DATA,INIT")).map(
            lambda text: (
                f"-p sctp -m sctp {'! ' if text.startswith('! ') else ''}--chunk-types {text.removeprefix('! ')}"
            )
        ),
        _not(_of("tcp", "udp", "sctp", "47", "253", "esp")).map(
            lambda text: f"{'! ' if text.startswith('! ') else ''}-p {text.removeprefix('! ')}"
        ),
        _of("-p esp -m esp --espspi 0:500", "-p esp -m esp --espspi 1634628601"),
    ]
    if family == 4:
        options.append(
            _not(
                _of(
                    "--icmp-type 8",
                    "--icmp-type 0",
                    "--icmp-type 3/3",
                    "--icmp-type any",
                    "--icmp-type timestamp-request",
                )
            ).map(lambda text: f"-p icmp -m icmp {text}")
        )
    else:
        options.append(
            _not(_of("--icmpv6-type 128", "--icmpv6-type 1", "--icmpv6-type 129")).map(
                lambda text: f"-p ipv6-icmp -m icmp6 {text}"
            )
        )
    return st.one_of(options)


def _conntrack(family: int) -> st.SearchStrategy[str]:
    states = _of("NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "DNAT", "SNAT", "NEW,DNAT")
    options = [
        _not(states.map("--ctstate {}".format)),
        _not(_of("ASSURED", "SEEN_REPLY", "CONFIRMED", "NONE", "EXPECTED").map("--ctstatus {}".format)),
        _of("ORIGINAL", "REPLY").map("--ctdir {}".format),
        _not(addresses(family).map("--ctorigdst {}".format)),
        _not(addresses(family).map("--ctorigsrc {}".format)),
        _not(addresses(family).map("--ctreplsrc {}".format)),
        _not(addresses(family).map("--ctrepldst {}".format)),
        _not(_of(*PORTS, "53:443").map("--ctorigdstport {}".format)),
        _not(_of(*SOURCE_PORTS).map("--ctorigsrcport {}".format)),
        _not(_of("tcp", "udp").map("--ctproto {}".format)),
        _of("0:10", "20:40").map("--ctexpire {}".format),
    ]
    return st.one_of(options).map("-m conntrack {}".format)


def _others(family: int, chain: str) -> st.SearchStrategy[str]:
    """Matches that stand alone."""
    kinds = _of("LOCAL", "UNICAST", "BROADCAST,LOCAL", "MULTICAST", "BLACKHOLE")
    options = [
        _not(_of("0x1", "0x0", "0x1/0x1", "0x4000/0x4000", "0x2/0xff")).map(
            lambda text: f"-m mark {'! ' if text.startswith('! ') else ''}--mark {text.removeprefix('! ')}"
        ),
        _not(_of("0x1", "0x0", "0x1/0xf")).map(
            lambda text: f"-m connmark {'! ' if text.startswith('! ') else ''}--mark {text.removeprefix('! ')}"
        ),
        st.tuples(_not(_of("--dst-type ", "--src-type ")), kinds).map(lambda pair: f"-m addrtype {pair[0]}{pair[1]}"),
        st.tuples(_of(1, 2, 3), _of(0, 0, 1)).map(
            lambda pair: f"-m statistic --mode nth --every {pair[0]} --packet {min(int(pair[1]), int(pair[0]) - 1)}"
        ),
        _not(_of("28", "0:60", "40:1500")).map(
            lambda text: f"-m length {'! ' if text.startswith('! ') else ''}--length {text.removeprefix('! ')}"
        ),
        _of("--tos 0x10/0xff", "! --tos 0x10/0x3f", "--tos Minimize-Delay").map("-m tos {}".format),
        _of("--dscp 0x04", "! --dscp 0x00", "--dscp-class CS0").map("-m dscp {}".format),
        _of("--limit 1/hour --limit-burst 2", "--limit 1/day").map("-m limit {}".format),
        _of("unicast", "broadcast").map("-m pkttype --pkt-type {}".format),
        _of(
            "--connbytes 2: --connbytes-dir both --connbytes-mode packets",
            "--connbytes 0:100 --connbytes-dir original --connbytes-mode bytes",
        ).map("-m connbytes {}".format),
        _of(
            "--hashlimit-upto 1/hour --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name a",
            "--hashlimit-above 1/hour --hashlimit-burst 1 --hashlimit-mode dstip,dstport --hashlimit-name b",
        ).map("-m hashlimit {}".format),
        _of(
            "--set --name r1",
            "--rcheck --name r1",
            "--update --hitcount 2 --name r1",
            "--remove --name r1",
            "! --rcheck --name r1 --rdest",
        ).map("-m recent {}".format),
        _of("--quota 100", "--quota 0").map("-m quota {}".format),
        _of("--string GET --algo bm", "--string ing --algo kmp --from 20", "! --string ping --algo bm --to 60").map(
            "-m string {}".format
        ),
        _of("comment", "'two words'").map("-m comment --comment {}".format),
    ]
    if family == 4:
        options += [
            _of("--ttl-eq 64", "--ttl-lt 10", "--ttl-gt 63", "! --ttl-eq 63").map("-m ttl {}".format),
            _not(_of("--src-range 10.244.0.0-10.244.0.2", "--dst-range 10.96.0.1-10.96.0.2")).map(
                "-m iprange {}".format
            ),
            _of("0>>22&0x3C@0>>16=4000", "6&0xFF=17", "4&0x1FFF=0&&0>>22&0x3C@0&0xFFFF=80").map(
                lambda text: f'-m u32 --u32 "{text}"'
            ),
            _of("-f", "! -f"),
        ]
    else:
        options += [
            _of("--hl-eq 64", "--hl-lt 10", "--hl-gt 63").map("-m hl {}".format),
            _not(_of("--src-range fd00:10:244::-fd00:10:244::2")).map("-m iprange {}".format),
        ]
    if chain in ("PREROUTING", "INPUT", "FORWARD"):
        options.append(_of("-m mac --mac-source 02:bb:00:00:00:0a", "-m mac ! --mac-source 02:bb:00:00:00:0a"))
    return st.one_of(options)


@st.composite
def matches(draw: st.DrawFn, family: int, table: str, chain: str) -> str:
    """None to three matches that may stand in this chain."""
    words = []
    if chain in _INPUT_SIDE and draw(st.integers(0, 3)) == 0:
        words.append(draw(_not(_of("-i vethA", "-i veth+", "-i eth0", "-i lo"))))
    if chain in _OUTPUT_SIDE and draw(st.integers(0, 3)) == 0:
        words.append(draw(_not(_of("-o vethB", "-o veth+", "-o eth0", "-o lo"))))
    if draw(st.integers(0, 2)) == 0:
        words.append(draw(_not(addresses(family).map("-d {}".format))))
    if draw(st.integers(0, 4)) == 0:
        words.append(draw(_not(addresses(family).map("-s {}".format))))
    if draw(st.integers(0, 2)) == 0:
        words.append(draw(_with_protocol(family)))
    if draw(st.integers(0, 3)) == 0 and table != "raw":
        words.append(draw(_conntrack(family)))
    if draw(st.integers(0, 2)) == 0:
        words.append(draw(_others(family, chain)))
    return " ".join(words)


@st.composite
def targets(draw: st.DrawFn, family: int, table: str, chain: str) -> str:
    """`-p PROTOCOL -j TARGET`, the protocol where the target needs one."""
    options = [_of("", "-j ACCEPT", "-j RETURN", "-j DROP") if table != "nat" else _of("", "-j ACCEPT", "-j RETURN")]
    if not chain.startswith("U") and draw(st.integers(0, 3)) == 0:
        options = [_of("-j U1", "-j U2", "-g U1", "-g U2")]
    elif chain == "U1" and draw(st.integers(0, 5)) == 0:
        options = [_of("-j U2", "-g U2")]
    elif table == "nat":
        options.append(_nat_target(family, chain))
    elif table == "raw":
        options.append(
            _of("-j NOTRACK", "-j CT --notrack", "-j CT --zone 1", "-j CT --zone-orig 2", "-j MARK --set-mark 2")
        )
    elif table == "mangle":
        options += [_mangle_target(family, chain)] * 3
    elif table == "filter":
        options += [
            _of(*REJECTS[family]).map("-j REJECT --reject-with {}".format),
            _of("-p tcp -j REJECT --reject-with tcp-reset"),
        ]
    return draw(st.one_of(options))


def _mangle_target(family: int, chain: str) -> st.SearchStrategy[str]:
    ttl = "TTL --ttl" if family == 4 else "HL --hl"
    options = [
        _of("--set-mark 1", "--set-xmark 0x4000/0x4000", "--or-mark 2", "--and-mark 0xfe", "--xor-mark 3").map(
            "-j MARK {}".format
        ),
        _of(
            "--set-mark 1",
            "--save-mark",
            "--restore-mark",
            "--set-xmark 0x1/0xf",
            "--save-mark --nfmask 0xff --ctmask 0xff",
        ).map("-j CONNMARK {}".format),
        _of(f"-j {ttl}-set 40", f"-j {ttl}-inc 1", f"-j {ttl}-dec 1"),
        _of(
            "-j TOS --set-tos 0x08/0xff",
            "-j TOS --or-tos 0x10",
            "-j DSCP --set-dscp 0x0a",
            "-j DSCP --set-dscp-class EF",
        ),
        _of("-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000", "-j CLASSIFY --set-class 1:2"),
    ]
    if chain in ("FORWARD", "OUTPUT", "POSTROUTING"):
        options.append(_of("-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"))
    return st.one_of(options)


def _nat_target(family: int, chain: str) -> st.SearchStrategy[str]:
    pod, other = PODS[family][1], PODS[family][0]
    pod_port = f"{pod}:8080" if family == 4 else f"[{pod}]:8080"
    own = OWN[family][0]
    own_ports = f"{own}:5000-5003" if family == 4 else f"[{own}]:5000-5003"
    network = "10.244.0.0/30" if family == 4 else "fd00:10:244::/126"
    destination = _of(
        f"-p tcp -j DNAT --to-destination {pod_port}",
        f"-p udp -j DNAT --to-destination {pod_port}",
        f"-p sctp -j DNAT --to-destination {pod_port}",
        f"-j DNAT --to-destination {pod}",
        f"-j DNAT --to-destination {other}",
        "-p tcp -j REDIRECT --to-ports 8080",
        "-p udp -j REDIRECT",
        f"-j NETMAP --to {network}",
        f"-p tcp -j DNAT --to-destination {pod if family == 4 else f'[{pod}]'}:80-443",
    )
    source = _of(
        f"-j SNAT --to-source {own}",
        f"-p tcp -j SNAT --to-source {own_ports}",
        f"-p udp -j SNAT --to-source {own_ports}",
        f"-j NETMAP --to {network}",
    )
    if chain in ("PREROUTING", "OUTPUT"):
        return destination
    if chain == "POSTROUTING":
        return st.one_of(source, _of("-j MASQUERADE", "-p udp -j MASQUERADE --to-ports 7000-7003"))
    return source if chain == "INPUT" else _of("-j ACCEPT")


@st.composite
def rules(draw: st.DrawFn, family: int, table: str, chain: str) -> str:
    found = draw(matches(family, table, chain))
    wanted = draw(targets(family, table, chain))
    if "-p " in wanted and "-p " in found:
        found = ""
    return " ".join(word for word in ("-A", chain, found, wanted) if word)


@st.composite
def tables(draw: st.DrawFn, family: int, table: str) -> str:
    """One table's lines, from `*table` to COMMIT."""
    lines = [f"*{table}"]
    for chain in CHAINS[table]:
        policy = draw(st.sampled_from(("ACCEPT",) * 6 + ("DROP",))) if table == "filter" else "ACCEPT"
        lines.append(f":{chain} {policy} [0:0]")
    lines += [f":{chain} - [0:0]" for chain in USER_CHAINS]
    for chain in (*CHAINS[table], *USER_CHAINS):
        lines += draw(st.lists(rules(family, table, chain), max_size=3 if chain in CHAINS[table] else 2))
    return "\n".join((*lines, "COMMIT"))


@st.composite
def restores(draw: st.DrawFn, family: int) -> str:
    """The input of iptables-restore: one to three tables."""
    names = draw(
        st.lists(st.sampled_from(("nat", "filter", "mangle", "raw", "security")), min_size=1, max_size=3, unique=True)
    )
    return "\n".join(draw(tables(family, name)) for name in sorted(names, key=list(CHAINS).index)) + "\n"
