"""`sh -c "one; two && three || four"`: simple commands in sequence, output thrown away by /dev/null; no more of sh."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

NS_PER_S = 1_000_000_000
_OPERATOR = re.compile(r"(;|&&|\|\||\n)")
_DISCARD = re.compile(r"\s+(?:[12]|&)?>\s*(?:/dev/null|&1|&2)(?=\s|$)")
_DISCARD_OUTPUT = re.compile(r"\s+[1&]?>\s*/dev/null(?=\s|$)")


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """Run a command line; what it prints. Raises `CommandError` when its last command fails."""
    if len(argv) != 3 or argv[1] != "-c":
        raise CommandError(argv, 2, "sh: only `sh -c` with plain commands is modelled\n")
    printed, failure, operator = [], None, ";"
    for part in _OPERATOR.split(argv[2]):
        if _OPERATOR.fullmatch(part):
            operator = part
            continue
        if not part.strip() or (operator == "&&" and failure) or (operator == "||" and not failure):
            continue
        failure = None
        try:
            printed.append(_simple(netns, argv, part, stdin))
        except CommandError as failed:
            failure = failed
    if failure is not None:
        raise failure
    return "".join(printed)


def _simple(netns: Netns, argv: tuple[str, ...], text: str, stdin: str) -> str:
    plain = _DISCARD.sub("", text)
    if any(sign in plain for sign in "|<>$`()&"):
        raise CommandError(argv, 2, "sh: only `sh -c` with plain commands is modelled\n")
    words = shlex.split(plain)
    output = netns.run(words, stdin)
    return "" if _DISCARD_OUTPUT.search(text) else output


def sleep(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """sleep(1): virtual time passes."""
    try:
        seconds = sum(float(word.removesuffix("s")) for word in argv[1:])
    except ValueError:
        raise CommandError(argv, 1, f"sleep: invalid time interval '{argv[1]}'\n") from None
    netns.clock.advance(seconds)
    return ""


def true(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """true(1)."""
    return ""
