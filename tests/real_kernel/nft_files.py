"""Many nft rules, each in a table of its own: in the model and in a namespace of the real kernel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.netns import Netns
from fakecluster.sim import Seeded

RULES = tuple((Path(__file__).parent / "nft_rules.txt").read_text().splitlines())
_DECLARATIONS = """
	set seen { type %s; flags dynamic,timeout; size 1000; }
	set pairs { type %s . inet_service; flags dynamic,timeout; size 1000; }
	set nets { type %s; flags interval; }
	set ports { type inet_service; }
	map vports { type inet_service : verdict; }
	counter c1 { }
	limit l1 { rate 10/second; }
	quota q1 { 10 mbytes; }
	chain two { }
"""
_NAT = {
    "masquerade": "postrouting priority 100",
    "snat": "postrouting priority 100",
    "dnat": "prerouting priority -100",
}


def table(rule: str, family: str, name: str = "t") -> str:
    """A file with one table, where `rule` is on a hook on which it can be."""
    first = rule.split()[0]
    hook = "filter hook forward priority 0"
    if any(word in rule for word in ("notrack", "tproxy", "fib", "socket")):
        hook = "filter hook prerouting priority -300"
    if first in _NAT:
        hook = f"nat hook {_NAT[first]}"
    if "skuid" in rule or "rt " in rule:
        hook = "filter hook output priority 0"
    declared = _DECLARATIONS.replace("%s", "ipv6_addr" if family == "ip6" else "ipv4_addr")
    return f"table {family} {name} {{{declared}\tchain c {{\n\t\ttype {hook};\n\t\t{rule}\n\t}}\n}}\n"


def rules_for(family: str) -> list[str]:
    """The rules, over the family's own addresses."""
    return [rule.replace("ip saddr", "ip6 saddr") for rule in RULES] if family == "ip6" else list(RULES)


def sorted_by_the_model(family: str) -> tuple[list[str], dict[str, str], list[str]]:
    """The rules that the model takes, those that it refuses with its words, and those beyond it."""
    taken, refused, beyond = [], {}, []
    netns = Netns("n", choices=Seeded(1))
    for rule in rules_for(family):
        try:
            netns.run("nft -f -", table(rule, family))
        except CommandError as error:
            refused[rule] = error.stderr
        except Unsupported:
            beyond.append(rule)
        else:
            taken.append(rule)
            netns.run(f"nft delete table {family} t")
    return taken, refused, beyond


def loaded(text: str) -> Netns:
    """A namespace of the model with a file in it."""
    netns = Netns("n", choices=Seeded(1))
    netns.run("nft -f -", text)
    return netns


_INSIDE = """
import json, subprocess, sys
def nft(stdin, *argv):
    done = subprocess.run(["nft", *argv], input=stdin, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr
print(json.dumps([nft(stdin, *argv) for stdin, argv in json.load(sys.stdin)]))
"""


def real(commands: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Run nft with (standard input, arguments), one after the other in one new namespace; what each printed."""
    argv = ["unshare", "-n", "python3", "-c", _INSIDE]
    done = subprocess.run(argv, input=json.dumps(commands), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def by_table(listing: str) -> Iterator[str]:
    """The tables of a listing, each for itself."""
    yield from listing.split("\n}\n")
