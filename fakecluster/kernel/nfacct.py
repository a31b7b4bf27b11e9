"""The nfacct tool: named accounting objects that the nfacct match counts packets on. Source: nfacct(8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.errors import CommandError

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

_USAGE = "nfacct v1.0.2: Unknown command: {}\n"


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """`nfacct add|delete|get NAME`, `nfacct list|flush`; prints objects as the tool does."""
    accounts = netns.xtables.accounts
    action, names = (argv[1] if len(argv) > 1 else ""), argv[2:3]
    if action == "list":
        return "".join(_line(name, accounts[name]) for name in accounts)
    if action == "flush":
        accounts.clear()
        return ""
    if action not in ("add", "delete", "get") or not names:
        raise CommandError(argv, 1, _USAGE.format(action))
    name = names[0]
    if action == "add":
        if name in accounts:
            raise CommandError(argv, 1, "nfacct v1.0.2: error: File exists\n")
        accounts[name] = [0, 0]
        return ""
    if name not in accounts:
        raise CommandError(argv, 1, "nfacct v1.0.2: error: No such file or directory\n")
    if action == "delete":
        del accounts[name]
        return ""
    return _line(name, accounts[name])


def _line(name: str, account: list[int]) -> str:
    return f"{{ pkts = {account[0]:020}, bytes = {account[1]:020} }} = {name};\n"
