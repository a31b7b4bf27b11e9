"""Hypothesis strategies for iptables-restore texts: every table, user chains, and the matches and targets modelled."""

from __future__ import annotations

from functools import cache

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
#: Every (table, chain), those first that people use most.
PLACES = tuple(
    (table, chain)
    for table in ("filter", "nat", "mangle", "raw", "security")
    for chain in (*CHAINS[table], *USER_CHAINS)
)
_INPUT_SIDE = ("PREROUTING", "INPUT", "FORWARD")
_OUTPUT_SIDE = ("FORWARD", "OUTPUT", "POSTROUTING")
REJECTS = {
    4: ("icmp-net-unreachable", "icmp-host-unreachable", "icmp-port-unreachable", "icmp-proto-unreachable",
        "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited"),
    6: ("icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable"),
}  # fmt: skip


def _of(*values: object) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in values])


def _option(module: str, option: str, *values: object) -> st.SearchStrategy[str]:
    """`-m MODULE [!] OPTION VALUE`, sometimes negated."""
    negation = st.sampled_from(("", "", "", "! "))
    return st.tuples(negation, _of(*values)).map(lambda pair: f"-m {module} {pair[0]}{option} {pair[1]}")


def _not(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sometimes negated."""
    return st.tuples(st.sampled_from(("", "", "", "! ")), text).map("".join)


@cache
def addresses(family: int) -> st.SearchStrategy[str]:
    """An address or a network out of those that packets carry."""
    one = st.sampled_from(PODS[family] + OUTSIDE[family] + VIPS[family] + OWN[family])
    lengths = ("", "/32", "/31", "/24", "/16", "/0") if family == 4 else ("", "/128", "/127", "/64", "/32")
    return st.tuples(one, st.sampled_from(lengths)).map("".join)


def _ports() -> st.SearchStrategy[str]:
    return _of(*PORTS, *SOURCE_PORTS, "0:1023", "1024:65535", "53:80", "4000:", ":443")


@cache
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


@cache
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


@cache
def _others(family: int, table: str, chain: str, *, sets: bool) -> st.SearchStrategy[str]:
    """Matches that stand alone."""
    options = [*_metadata(), *_headers(family), *_counting(), *_around(family, table, chain)]
    if chain in _INPUT_SIDE:
        options.append(_option("mac", "--mac-source", "02:bb:00:00:00:0a"))
    return st.one_of([*options, *_set_matches()] if sets else options)


def _around(family: int, table: str, chain: str) -> list[st.SearchStrategy[str]]:
    """Sockets, ways back and bridges: what only some chains can ask for."""
    found = [_of("-m physdev --physdev-in vethA", "-m physdev ! --physdev-is-bridged")]
    if chain in ("PREROUTING", "INPUT"):
        found.append(_of("", " --transparent", " --nowildcard", " --nowildcard --transparent").map("-m socket{}".format))
    if chain in ("OUTPUT", "POSTROUTING"):
        found.append(_of("--uid-owner 0", "! --uid-owner 0-10", "--socket-exists").map("-m owner {}".format))
    if chain == "PREROUTING" and table in ("raw", "mangle"):
        flags = ("", " --loose", " --invert", " --validmark", " --accept-local", " --loose --invert")
        found.append(_of(*flags).map("-m rpfilter{}".format))
    side = {"INPUT": "in", "PREROUTING": "in", "FORWARD": "out", "OUTPUT": "out", "POSTROUTING": "out"}.get(chain)
    if side is not None and family == 4:
        types = _of("--dst-type LOCAL", "--src-type UNICAST", "! --dst-type LOCAL")
        found.append(types.map(lambda text: f"-m addrtype {text} --limit-iface-{side}"))
    return found


def _set_matches() -> list[st.SearchStrategy[str]]:
    """On the sets s1 (addresses), s2 (networks), s3 (address and port), s4 (ports)."""
    sides = ("src,src", "dst,dst", "src,dst", "dst,src")
    return [
        _option("set", "--match-set", "s1 src", "s1 dst", "s2 src", "s2 dst", "s4 src", "s4 dst"),
        _option("set", "--match-set", *(f"s3 {side}" for side in sides)),
        _of("s2 src --return-nomatch", "s2 dst --return-nomatch").map("-m set --match-set {}".format),
    ]


_SET_TARGETS = tuple(
    f"-j SET {change}"
    for change in (
        "--add-set s1 src", "--add-set s1 dst --exist", "--del-set s1 src", "--add-set s3 dst,dst", "--add-set s2 src",
        "--add-set s4 dst", "--del-set s4 src", "--del-set s3 dst,dst",
    )
)  # fmt: skip


def _metadata() -> list[st.SearchStrategy[str]]:
    """What the kernel knows of a packet beside its bytes; and what only people read."""
    kinds = ("LOCAL", "UNICAST", "BROADCAST,LOCAL", "MULTICAST", "BLACKHOLE")
    return [
        _option("mark", "--mark", "0x1", "0x0", "0x1/0x1", "0x4000/0x4000", "0x2/0xff"),
        _option("connmark", "--mark", "0x1", "0x0", "0x1/0xf"),
        _option("addrtype", "--dst-type", *kinds),
        _option("addrtype", "--src-type", *kinds),
        _of("unicast", "broadcast").map("-m pkttype --pkt-type {}".format),
        _of("comment", "'two words'").map("-m comment --comment {}".format),
    ]


def _headers(family: int) -> list[st.SearchStrategy[str]]:
    """What stands in a packet."""
    found = [
        _option("length", "--length", "28", "0:60", "40:1500"),
        _of("--tos 0x10/0xff", "! --tos 0x10/0x3f", "--tos Minimize-Delay").map("-m tos {}".format),
        _of("--dscp 0x04", "! --dscp 0x00", "--dscp-class CS0").map("-m dscp {}".format),
        _of("--string GET --algo bm", "--string ing --algo kmp --from 20", "! --string ping --algo bm --to 60").map(
            "-m string {}".format
        ),
    ]
    if family == 6:
        return [
            *found,
            _of("--hl-eq 64", "--hl-lt 10", "--hl-gt 63").map("-m hl {}".format),
            _option("iprange", "--src-range", "fd00:10:244::-fd00:10:244::2"),
        ]
    words = ("0>>22&0x3C@0>>16=4000", "6&0xFF=17", "4&0x1FFF=0&&0>>22&0x3C@0&0xFFFF=80")
    return [
        *found,
        _of("--ttl-eq 64", "--ttl-lt 10", "--ttl-gt 63", "! --ttl-eq 63").map("-m ttl {}".format),
        _option("iprange", "--src-range", "10.244.0.0-10.244.0.2"),
        _option("iprange", "--dst-range", "10.96.0.1-10.96.0.2"),
        _of(*words).map('-m u32 --u32 "{}"'.format),
        _of("-f", "! -f"),
    ]


def _counting() -> list[st.SearchStrategy[str]]:
    """Matches with a memory."""
    return [
        st.tuples(_of(1, 2, 3), _of(0, 0, 1)).map(
            lambda pair: f"-m statistic --mode nth --every {pair[0]} --packet {min(int(pair[1]), int(pair[0]) - 1)}"
        ),
        _of("--limit 1/hour --limit-burst 2", "--limit 1/day").map("-m limit {}".format),
        _of(
            "--connbytes 2: --connbytes-dir both --connbytes-mode packets",
            "--connbytes 0:100 --connbytes-dir original --connbytes-mode bytes",
        ).map("-m connbytes {}".format),
        _of(
            "--hashlimit-upto 1/hour --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name a",
            "--hashlimit-above 1/hour --hashlimit-burst 1 --hashlimit-mode dstip,dstport --hashlimit-name b",
        ).map("-m hashlimit {}".format),
        _of("--set --name r1", "--rcheck --name r1", "--update --hitcount 2 --name r1", "--remove --name r1",
            "! --rcheck --name r1 --rdest").map("-m recent {}".format),
        _of("--quota 100", "--quota 0").map("-m quota {}".format),
    ]  # fmt: skip


@cache
def matches(family: int, table: str, chain: str, *, sets: bool = False) -> st.SearchStrategy[str]:
    """None to three matches that may stand in this chain."""
    possible = [addresses(family).map(form.format) for form in ("-d {}", "-s {}")]
    if chain in _INPUT_SIDE:
        possible.append(_of("-i vethA", "-i veth+", "-i eth0", "-i lo"))
    if chain in _OUTPUT_SIDE:
        possible.append(_of("-o vethB", "-o veth+", "-o eth0", "-o lo"))
    possible = [_not(match) for match in possible]
    possible += [_with_protocol(family), _others(family, table, chain, sets=sets)]
    if table != "raw":
        possible.append(_conntrack(family))
    chosen = st.lists(st.sampled_from(range(len(possible))), unique=True, max_size=3).map(sorted)
    return chosen.flatmap(lambda indexes: st.tuples(*(possible[index] for index in indexes))).map(" ".join)


@cache
def targets(family: int, table: str, chain: str, *, sets: bool = False) -> st.SearchStrategy[str]:
    """`-p PROTOCOL -j TARGET`, the protocol where the target needs one.

    One choice out of a table, and not one for every part: lists lose those elements most easily that take few choices.
    """
    plain = ("", "-j ACCEPT", "-j RETURN") if table == "nat" else ("", "-j ACCEPT", "-j RETURN", "-j DROP")
    jumps = {"U1": ("-j U2", "-g U2"), "U2": ()}.get(chain, ("-j U1", "-j U2", "-g U1", "-g U2"))
    more = _SET_TARGETS if sets and table != "nat" else ()
    return st.sampled_from((*plain, *_targets_of(family, table, chain), *more, *plain, *jumps))


def _targets_of(family: int, table: str, chain: str) -> tuple[str, ...]:
    """What a table has beside verdicts."""
    if table == "nat":
        return _nat_targets(family, chain)
    if table == "raw":
        return (
            "-j NOTRACK", "-j CT --notrack", "-j CT --zone 1", "-j CT --zone-orig 2", "-j CT --zone mark",
            "-j CT --zone-reply 3", "-j MARK --set-mark 2",
        )  # fmt: skip
    if table == "mangle":
        return (*_mangle_targets(family, chain), *_ASIDE)
    if table == "filter":
        errors = (f"-j REJECT --reject-with {word}" for word in REJECTS[family])
        return (*errors, "-p tcp -j REJECT --reject-with tcp-reset", *_ASIDE)
    return ()


#: what tells somebody else
_ASIDE = ("-j LOG --log-prefix x", "-j NFLOG --nflog-group 2", "-j NFQUEUE --queue-bypass")


def _mangle_targets(family: int, chain: str) -> tuple[str, ...]:
    ttl = "TTL --ttl" if family == 4 else "HL --hl"
    syn = "-p tcp -m tcp --tcp-flags SYN,RST SYN"
    found: tuple[str, ...] = (
        "-j MARK --set-mark 1", "-j MARK --set-xmark 0x4000/0x4000", "-j MARK --or-mark 2", "-j MARK --and-mark 0xfe",
        "-j MARK --xor-mark 3", "-j CONNMARK --set-mark 1", "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark",
        "-j CONNMARK --set-xmark 0x1/0xf", "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff",
        f"-j {ttl}-set 40", f"-j {ttl}-inc 1", f"-j {ttl}-dec 1", "-j TOS --set-tos 0x08/0xff", "-j TOS --or-tos 0x10",
        "-j DSCP --set-dscp 0x0a", "-j DSCP --set-dscp-class EF", f"{syn} -j TCPMSS --set-mss 1000",
        "-j CLASSIFY --set-class 1:2", "-j CONNMARK --set-mark 1 --left-shift-mark 1",
        "-j CONNMARK --restore-mark --right-shift-mark 1",
    )  # fmt: skip
    if chain == "PREROUTING":
        found += tuple(f"-p {word} -j TPROXY --on-port 8080 --tproxy-mark 1/1" for word in ("tcp", "udp"))
    return (*found, f"{syn} -j TCPMSS --clamp-mss-to-pmtu") if chain in _OUTPUT_SIDE else found


def _nat_targets(family: int, chain: str) -> tuple[str, ...]:
    pod, other = PODS[family][1], PODS[family][0]
    own = OWN[family][0]
    bracketed, own_bracketed = (pod, own) if family == 4 else (f"[{pod}]", f"[{own}]")
    network = "10.244.0.0/30" if family == 4 else "fd00:10:244::/126"
    source = (
        f"-j SNAT --to-source {own}",
        f"-p tcp -j SNAT --to-source {own_bracketed}:5000-5003",
        f"-p udp -j SNAT --to-source {own_bracketed}:5000-5003",
        f"-j NETMAP --to {network}",
    )
    if chain in ("PREROUTING", "OUTPUT"):
        return (
            *(f"-p {word} -j DNAT --to-destination {bracketed}:8080" for word in ("tcp", "udp", "sctp")),
            f"-j DNAT --to-destination {pod}",
            f"-j DNAT --to-destination {other}",
            "-p tcp -j REDIRECT --to-ports 8080",
            "-p udp -j REDIRECT",
            f"-j NETMAP --to {network}",
            f"-p tcp -j DNAT --to-destination {bracketed}:80-443",
        )
    if chain == "POSTROUTING":
        return ("-j MASQUERADE", "-p udp -j MASQUERADE --to-ports 7000-7003", *source)
    return source if chain == "INPUT" else ()


@cache
def rules(family: int, table: str, chain: str, *, sets: bool = False) -> st.SearchStrategy[str]:
    """One `-A` line of this chain."""
    return st.builds(
        lambda found, wanted: _line(chain, found, wanted),
        matches(family, table, chain, sets=sets),
        targets(family, table, chain, sets=sets),
    )


def _line(chain: str, found: str, wanted: str) -> str:
    if "-p " in wanted and "-p " in found:
        found = ""
    return " ".join(word for word in ("-A", chain, found, wanted) if word)


@cache
def restores(family: int, *, sets: bool = False) -> st.SearchStrategy[str]:
    """The input of iptables-restore: some tables, with the rules that are drawn for them.

    With `sets` they use four ipsets: s1 (hash:ip), s2 (hash:net), s3 (hash:ip,port) and s4 (bitmap:port).
    """
    lines = st.lists(st.sampled_from(PLACES).flatmap(lambda place: _placed(family, *place, sets=sets)), max_size=20)
    dropping = st.sampled_from(("",) * 6 + CHAINS["filter"])
    return st.builds(_text, lines, lines, dropping)


def _placed(family: int, table: str, chain: str, *, sets: bool) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(table), rules(family, table, chain, sets=sets))


def _text(some: list[tuple[str, str]], more: list[tuple[str, str]], dropping: str) -> str:
    """The tables that the lines (table, line) are for, and the one whose chain is `dropping` what no rule decides."""
    lines = [*some, *more]
    named = {table for table, _ in lines} | ({"filter"} if dropping or not lines else set())
    return "".join(
        _table(table, [line for own, line in lines if own == table], dropping if table == "filter" else "")
        for table in CHAINS
        if table in named
    )


def _table(table: str, lines: list[str], dropping: str) -> str:
    """One table, from `*table` to COMMIT; user chains are there when a rule speaks of them."""
    words = {word for line in lines for word in line.split()}
    heads = [f":{chain} {'DROP' if chain == dropping else 'ACCEPT'} [0:0]" for chain in CHAINS[table]]
    heads += [f":{chain} - [0:0]" for chain in USER_CHAINS if chain in words]
    return "\n".join((f"*{table}", *heads, *lines, "COMMIT", ""))
