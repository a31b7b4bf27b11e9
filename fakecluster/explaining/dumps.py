"""A node made from what its own tools printed: `ip address`, `ip route`, iptables-save, nft, ipset, ipvsadm, conntrack.

Nothing of Kubernetes is needed. Line ends of any system are taken. What a dump needs and another one says is loaded
first: interfaces, addresses, routes, sets, rules, connections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from fakecluster.errors import CommandError, RuleSyntaxError, Unsupported
from fakecluster.explaining import conntrack_dump
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.nftables.managed import managed

_LINK = re.compile(r"\d+: ([^:@\s]+)(?:@\S+)?: <([^>]*)>(?:.*? mtu (\d+))?")
_ADDRESS = re.compile(r"\s+inet6? (\S+)(?: peer (\S+))?(.*)")
#: words of `ip route` that say nothing about where packets go, and how many words follow them
_ROUTE_NOISE = {"linkdown": 0, "dead": 0, "pref": 1, "rtt": 1, "advmss": 1, "error": 1, "expires": 1, "hoplimit": 1,
                "offload": 0, "trap": 0, "rt_offload": 0, "proto": 1}  # fmt: skip
_NO_SET = re.compile(r"Set \S+ doesn't exist")
_NFACCT = re.compile(r"--nfacct-name +(\S+)")
#: Where a tool says that it stopped, and what it says around its complaint.
_TOOL_LINE = re.compile(r"\bline:? (\d+)|^/dev/stdin:(\d+):")
_TOOL_NOISE = re.compile(
    r"^ip6?tables\S* v\S+ \(\w+\): |^ipset v\S+: |^ip6?tables-restore: |^Error(?: in line \d+)?: |^Error occurred at .*"
    r"|^line \d+ |^/dev/stdin:[\d:-]+ |^Try `.*| at line \d+$"
)
#: What other commands of a tool print, and what is expected instead: the beginning of a dump -> words.
_LISTINGS = {
    "IP Virtual Server": "a listing of ipvsadm -L; expected ipvsadm -Sn",
    "Name: ": "a listing of ipset list; expected ipset save",
    "{": "JSON; expected nft list ruleset without -j",
    "Chain ": "a listing of iptables -L; expected iptables-save",
    "[": "JSON; expected the command's output without -j",
}


def node_from_dumps(dumps: Mapping[str, tuple[str, str]]) -> Netns:
    """A namespace from dumps: kind (see `LOADERS`) -> (text, name of its file).

    Raises `RuleSyntaxError` or `Unsupported` with file and line.
    """
    netns = Netns("node")
    netns.sysctls["net.ipv4.ip_forward"] = "1"
    netns.sysctls["net.ipv6.conf.all.forwarding"] = "1"
    for kind, loader in LOADERS.items():
        if kind in dumps:
            text, source = dumps[kind]
            text = text.replace("\r\n", "\n").lstrip("\ufeff")
            for beginning, words in _LISTINGS.items():
                if text.startswith(beginning):
                    raise RuleSyntaxError(words, line=1, source=source)
            try:
                loader(netns, text, source)
            except RuleSyntaxError as wrong:
                if "ipset" in dumps or not _NO_SET.match(wrong.reason):
                    raise
                words = f"{wrong.reason} (its sets are in the output of ipset save)"
                raise RuleSyntaxError(words, line=wrong.line, source=source) from None
    return netns


def _addresses(netns: Netns, text: str, source: str) -> None:
    """`ip address show`"""
    device = ""
    for number, line in enumerate(text.split("\n"), 1):
        link, address = _LINK.match(line), _ADDRESS.match(line)
        if link is not None:
            device = link[1]
            if device not in netns.interfaces:
                netns.add_interface(device, mtu=int(link[3] or 1500), noarp=True)
            netns.interfaces[device].up = "UP" in link[2].split(",")
        elif address is not None:
            if not device:
                raise RuleSyntaxError("an address before any interface", line=number, source=source, token=address[1])
            _ignore_known(netns, number, source, ["ip", "address", "add", *_address_words(address), "dev", device])
        elif line.strip() and not line.startswith(" "):
            raise RuleSyntaxError(f"no line of `ip address`: {line}", line=number, source=source, token=line.split()[0])


def _address_words(found: re.Match[str]) -> list[str]:
    scope = re.search(r"scope (\S+)", found[3])
    words = [found[1]] if not found[2] else [found[1].partition("/")[0], "peer", found[2].partition("/")[0]]
    return words + (["scope", scope[1]] if scope and scope[1] in ("global", "link", "host") else [])


def _routes(netns: Netns, text: str, source: str) -> None:
    """`ip route show`, of one table or of all, both families; routes by a gateway after those that lead to it."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    listed = list(netns.interfaces) if len(netns.interfaces) > 1 else []  # by a dump of `ip address`
    for number, line in sorted(lines, key=lambda one: " via " in one[1]):
        words = line.split()
        if line[0].isspace() or words[0] == "nexthop":
            raise Unsupported("a route with several next hops", line=number, source=source, token=words[0])
        plain = _without_noise(words)
        family = 6 if any(_is_ipv6(word) for word in plain[:4]) else 4
        device = plain[plain.index("dev") + 1] if "dev" in plain[:-1] else ""
        if device and device not in netns.interfaces:
            if listed:
                problem = f"no interface {device}; `ip address` lists {', '.join(listed)}: {line}"
                raise RuleSyntaxError(problem, line=number, source=source)
            netns.add_interface(device, noarp=True)
        if device and "via" in plain and "onlink" not in plain:
            plain.append("onlink")  # the node's kernel had accepted the gateway, whatever else was dumped
        _ignore_known(netns, number, source, ["ip", f"-{family}", "route", "add", *plain])


def _without_noise(words: list[str]) -> list[str]:
    plain, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if word in _ROUTE_NOISE:
            del rest[: _ROUTE_NOISE[word]]
        elif not word.startswith(("users:", "age")):
            plain.append(word)
    return plain


def _is_ipv6(word: str) -> bool:
    try:
        return (ip_network(word, strict=False) if "/" in word else ip_address(word)).version == 6
    except ValueError:
        return False


def _policy_rules(netns: Netns, text: str, source: str) -> None:
    """`ip rule show`; the three rules of every host are there already."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        priority, colon, rest = line.partition(":")
        if not colon or not priority.strip().isdigit():
            raise RuleSyntaxError(f"no line of `ip rule`: {line}", line=number, source=source, token=line.split()[0])
        if priority not in ("0", "32766", "32767"):
            _run(netns, number, source, ["ip", "rule", "add", "pref", priority, *rest.split()])


def _ignore_known(netns: Netns, line: int, source: str, argv: list[str]) -> None:
    """Run a command that may say what is so already (the kernel makes routes for addresses)."""
    try:
        netns.run(argv)
    except CommandError as refused:
        if "File exists" not in refused.stderr:
            raise RuleSyntaxError(_reason(refused), line=line, source=source, token=argv[-1]) from None
    except Unsupported as gap:
        raise Unsupported(gap.what, line=line, token=gap.token, source=source) from None


def _run(netns: Netns, line: int, source: str, argv: list[str]) -> None:
    try:
        netns.run(argv)
    except CommandError as refused:
        raise RuleSyntaxError(_reason(refused), line=line, source=source, token=argv[-1]) from None
    except Unsupported as gap:
        raise Unsupported(gap.what, line=line, token=gap.token, source=source) from None


def _tool(*argv: str) -> Callable[[Netns, str, str], None]:
    """A dump that one of the node's tools takes back as it is."""

    def load(netns: Netns, text: str, source: str) -> None:
        _load(netns, argv, text if text.endswith("\n") else text + "\n", source)

    return load


def _load(netns: Netns, argv: tuple[str, ...], text: str, source: str, *, line: int = 0) -> None:
    """Run a tool on a dump, or on its line `line`. Raises as `node_from_dumps` does."""
    try:
        netns.run(argv, text)
    except CommandError as refused:
        at = _TOOL_LINE.search(refused.stderr)
        line = line or (int(at[1] or at[2]) if at else 0)
        said = text.split("\n")[line - 1].strip() if 0 < line <= text.count("\n") else ""
        reason = f"{_reason(refused) or 'not understood'}: {said}".removesuffix(": ")
        raise RuleSyntaxError(reason, line=line, source=source) from None
    except Unsupported as gap:
        raise Unsupported(gap.what, line=line or gap.line, token=gap.token, source=source) from None


def _reason(refused: CommandError) -> str:
    """What a tool complains about, without its name and its advice."""
    for words in refused.stderr.splitlines():
        before = ""
        while words != before:
            before, words = words, _TOOL_NOISE.sub("", words)
        if words.strip():
            return words.strip().removesuffix(".")
    return ""


def _ipvsadm(netns: Netns, text: str, source: str) -> None:
    """`ipvsadm -Sn`: the tool takes line by line, and does not say which it did not take."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            _load(netns, ("ipvsadm", "-R"), f"{line}\n", source, line=number)


def _iptables(program: str) -> Callable[[Netns, str, str], None]:
    """iptables-save of either backend: the comment at its top says which."""

    def load(netns: Netns, text: str, source: str) -> None:
        if "*" not in text and text.strip():
            raise RuleSyntaxError("no iptables-save: no line begins a table (*nat)", line=1, source=source)
        for name in sorted(set(_NFACCT.findall(text))):  # what rules account to is in no dump
            _ignore_known(netns, 0, source, ["nfacct", "add", name])
        legacy = "-legacy" if "Generated by" in text and "(nf_tables)" not in text.partition("\n*")[0] else ""
        _tool(f"{program}{legacy}-restore", "-c")(netns, text, source)

    return load


def _nft(netns: Netns, text: str, source: str) -> None:
    """`nft list ruleset`, without the tables that iptables-save gave: those of iptables-nft are in both."""
    known = {f"table {name} {{" for name in managed(netns)}
    lines, inside = [], False
    for line in text.split("\n"):
        inside = inside or line.partition("#")[0].rstrip() in known
        lines.append("" if inside else line)
        inside = inside and line != "}"
    _tool("nft", "-f", "-")(netns, "\n".join(lines), source)


def _conntrack(netns: Netns, text: str, source: str) -> None:
    conntrack_dump.load(netns, text, source=source)


#: What dumps there are, in the order in which they are loaded.
LOADERS: dict[str, Callable[[Netns, str, str], None]] = {
    "ip-addr": _addresses,
    "ip-route": _routes,
    "ip-rule": _policy_rules,
    "ipset": _tool("ipset", "restore"),
    "iptables-save": _iptables("iptables"),
    "ip6tables-save": _iptables("ip6tables"),
    "nft": _nft,
    "ipvsadm": _ipvsadm,
    "conntrack": _conntrack,
}
