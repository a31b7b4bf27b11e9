"""Asks the real tools what they make of each line of tests/kernel/iptables_words.txt, and writes their answers down.

Run as root: `python tests/real_kernel/record_iptables_words.py`. A line is `TABLE CHAIN RULE`, with `4` or `6` before it
when only that family has it. The answer of a tool is [status, lines]: what its -save prints, or what it complained of;
then, when it took the rule, the lines that -L prints of it, with each of LISTINGS.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from real_node import _new_namespace

WORDS = Path(__file__).parents[1] / "kernel" / "iptables_words.txt"
ANSWERS = WORDS.with_suffix(".json.xz")
TOOLS = ("iptables", "iptables-legacy", "ip6tables", "ip6tables-legacy")
#: how the rule is listed
LISTINGS = ("-nvx --line-numbers", "-v")
BASE = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
SETS = (
    "create s1 hash:ip\ncreate s2 hash:ip,port\ncreate s6 hash:ip family inet6\ncreate n1 hash:net timeout 100\n"
    "create l1 list:set\n"
)


def cases() -> Iterator[tuple[str, str, str, str]]:
    """(tool, line, table, input of the tool's -restore) for every line and tool."""
    for line in WORDS.read_text().splitlines():
        family, rest = (line[0], line[2:]) if line[:2] in ("4 ", "6 ") else ("", line)
        table, chain, rule = ([*rest.split(" ", 2), ""])[:3]
        policy = "ACCEPT" if chain in BASE else "-"
        for tool in TOOLS:
            if family != ("4" if "6" in tool else "6"):
                yield tool, line, table, f"*{table}\n:{chain} {policy} [0:0]\n-A {chain} {rule}\nCOMMIT\n"


def rows(listing: str) -> list[str]:
    """The lines of a listing that are rules."""
    return [each for each in listing.split("\n") if each and not each.startswith(("Chain", " pkts", "num"))]


def main() -> None:
    inside = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{_new_namespace()}"]

    def run(argv: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([*inside, *argv], input=stdin, text=True, capture_output=True)

    run(["ip", "link", "set", "lo", "up"])
    run(["ipset", "restore"], SETS)
    answers: dict[str, dict[str, list[object]]] = {}
    for tool, line, table, text in cases():
        run([tool, "-t", table, "-F"])
        run([tool, "-t", table, "-X"])
        done = run([f"{tool}-restore"], text)
        printed = run([f"{tool}-save", "-t", table]).stdout if done.returncode == 0 else done.stderr
        lines = [each for each in printed.splitlines() if done.returncode or each.startswith("-A")]
        listings = [f"-t {table} -L {flags}".split() for flags in LISTINGS if done.returncode == 0]
        listed = [rows(run([tool, *words]).stdout) for words in listings]
        answers.setdefault(line, {})[tool] = [done.returncode, lines, *listed]
    ANSWERS.write_bytes(lzma.compress(json.dumps(answers).encode()))


if __name__ == "__main__":
    main()
