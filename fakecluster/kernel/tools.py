"""The commands that a namespace understands, each a function of (namespace, argv, standard input) -> what it prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError
from fakecluster.kernel import shell
from fakecluster.kernel.conntrack.tool import conntrack
from fakecluster.kernel.ip_tool import ip

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

Tool = Callable[["Netns", tuple[str, ...], str], str]


def sysctl(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """sysctl(8): `sysctl [-w] name=value ...`, `sysctl [-n] name ...`; several assignments apply together or not."""
    names = [word for word in argv[1:] if not word.startswith("-")]
    lines = []
    for word in names:
        name, equals, value = word.partition("=")
        name = name.strip().replace("/", ".")
        if name not in netns.sysctls and not name.startswith("net."):
            path = name.replace(".", "/")
            raise CommandError(argv, 255, f"sysctl: cannot stat /proc/sys/{path}: No such file or directory\n")
        if equals:
            lines.append(f"{name} = {value.strip()}\n")
        elif name in netns.sysctls:
            text = netns.sysctls[name]
            lines.append(f"{text}\n" if "-n" in argv else f"{name} = {text}\n")
    for word in names:
        name, equals, value = word.partition("=")
        if equals:
            netns.sysctls[name.strip().replace("/", ".")] = value.strip()
    return "".join(lines)


def _xtables(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    from fakecluster.kernel.xtables.tools import run

    return run(netns, argv, stdin)


def _translate(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """iptables-restore-translate(8): the rules on standard input in nft's language; nothing is loaded."""
    from fakecluster.rules.iptables import RuleProblem, parse
    from fakecluster.rules.translate import as_nft

    try:
        tables = parse(stdin, family=6 if argv[0].startswith("ip6") else 4)
    except RuleProblem as problem:
        raise CommandError(argv, problem.status("nft"), problem.words(argv[0], "nft")) from None
    return "".join(f"{line}\n" for line in as_nft(tables))


def _ipset(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    from fakecluster.kernel.ipset import run

    return run(netns, argv, stdin)


def _nft(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    from fakecluster.kernel.nftables.tools import run

    return run(netns, argv, stdin)


def _ipvsadm(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    from fakecluster.kernel.ipvs.tools import run

    return run(netns, argv, stdin)


def _nfacct(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    from fakecluster.kernel.nfacct import run

    return run(netns, argv, stdin)


#: Everything that `Netns.run` knows, by the program's name.
TOOLS: dict[str, Tool] = {
    "ip": ip,
    "sysctl": sysctl,
    "conntrack": conntrack,
    "sh": shell.run,
    "sleep": shell.sleep,
    "true": shell.true,
    "iptables-restore-translate": _translate,
    "ip6tables-restore-translate": _translate,
    "ipset": _ipset,
    "nft": _nft,
    "ipvsadm": _ipvsadm,
    "nfacct": _nfacct,
    **{
        f"{family}{backend}{suffix}": _xtables
        for family in ("iptables", "ip6tables")
        for backend in ("", "-nft", "-legacy")
        for suffix in ("", "-save", "-restore")
    },
}
