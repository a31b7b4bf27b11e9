"""`fakecluster translate`: rules of one language in the other, and what has no faithful form there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fakecluster.cli.options import UsageError, read_text
from fakecluster.cli.output import Answer, Output, OutputFile, give
from fakecluster.errors import RuleSyntaxError
from fakecluster.rules import iptables, nft
from fakecluster.rules.translate import as_iptables, as_nft

FAMILIES = {"ipv4": 4, "ipv6": 6}
_TABLE = re.compile(r"^\*\w+\s*$", re.M)


def translate(
    rules: Annotated[Path, typer.Argument(help="iptables-save, or nft list ruleset; - is standard input.")],
    ip_family: Annotated[str, typer.Option("--ip-family", help="ipv4 or ipv6: whose packets the rules see.")] = "ipv4",
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Show rules of iptables in nft's language, or rules of nft in that of iptables and ipset.

    What comes out does the same to packets and can be loaded; what has no faithful form is a comment that says why.

    Example: nft list ruleset | fakecluster translate -
    """
    family = FAMILIES.get(ip_family)
    if family is None:
        raise UsageError(f"--ip-family {ip_family}: expected {' or '.join(FAMILIES)}")
    shown = translation(read_text(rules), family, source=str(rules))
    text = "".join(shown.values())
    answer = Answer(
        "fakecluster translate", lambda console: console.print(Text(text), soft_wrap=True, end=""), lambda: shown,
        {"text": lambda: text},
    )  # fmt: skip
    give(answer, output, file)


def translation(text: str, family: int, *, source: str) -> dict[str, str]:
    """What to load -> text: ``nft``; or ``ipset`` and ``iptables``. Raises `RuleSyntaxError` and `Unsupported`."""
    if _TABLE.search(text) is None:
        found = as_iptables(nft.tables(nft.parse(text, source=source)), family=family)
        return {"ipset": found.ipset, "iptables": found.rules}
    try:
        lines = as_nft(iptables.parse(text, family=family))
    except iptables.RuleProblem as wrong:
        raise RuleSyntaxError(wrong.reason.strip(), line=wrong.line, token=wrong.token, source=source) from None
    return {"nft": "".join(f"{line}\n" for line in lines)}
