"""Which programs there are, and running one by its words."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from fakecluster.cluster.commands import fetch, files, names, nc, ping
from fakecluster.cluster.commands.nc import Opened
from fakecluster.cluster.commands.place import Command, Finished, Place, failed
from fakecluster.errors import CommandError, Unsupported
from fakecluster.handles import Host, Node, Pod
from fakecluster.kernel.tools import TOOLS

#: Tools of the kernel's network that are no shell, as `Netns.run` knows them.
KERNEL_TOOLS = frozenset(TOOLS) - {"sh", "sleep", "true"}
COMMANDS: dict[str, Command] = {
    "env": files.env,
    "printenv": files.printenv,
    "cat": files.cat,
    "hostname": files.hostname,
    "echo": files.echo,
    "true": files.true,
    "false": files.false,
    "nslookup": names.nslookup,
    "dig": names.dig,
    "curl": fetch.curl,
    "wget": fetch.wget,
    "nc": nc.netcat,
    "ping": ping.ping,
}
#: nsenter's options that stand alone, and the one with a value; the network is the node's either way.
NSENTER_VALUES = ("-t", "--target")


def run(place: Place, words: Sequence[str]) -> Finished | None:
    """Run a command in a container; None when there is no such program."""
    unwrapped = unwrap(words)
    if unwrapped is None:
        return None
    on_node, words = unwrapped
    name = base(words[0])
    if on_node:
        place = attrs.evolve(place, host=node_of(place.pod))
    if name in KERNEL_TOOLS:
        return kernel_tool(place, [name, *words[1:]])
    return COMMANDS[name](place, list(words[1:]))


def known(words: Sequence[str]) -> bool:
    """Whether these words are a command that `run` knows."""
    return unwrap(words) is not None


def converse(place: Place, words: Sequence[str]) -> Opened | Finished | None:
    """A connection for a command that talks as long as its input goes on (nc); None for other commands."""
    unwrapped = unwrap(words)
    if unwrapped is None or base(unwrapped[1][0]) != "nc":
        return None
    on_node, inner = unwrapped
    return nc.open_connection(attrs.evolve(place, host=node_of(place.pod)) if on_node else place, inner[1:])


def reads_input(words: Sequence[str]) -> bool:
    """Whether the command waits for the end of its standard input."""
    unwrapped = unwrap(words)
    if unwrapped is None:
        return False
    name, *rest = unwrapped[1]
    if base(name) == "cat":
        return not rest or "-" in rest
    return base(name).endswith("-restore") or "@-" in rest or (base(name) == "nft" and rest[-2:] == ["-f", "-"])


def unwrap(words: Sequence[str]) -> tuple[bool, list[str]] | None:
    """(whether the node's network is entered, the command itself) without `chroot /host` and `nsenter`; None: unknown."""
    rest, on_node = list(words), False
    while rest and base(rest[0]) in ("chroot", "nsenter"):
        if base(rest[0]) == "chroot":
            rest = rest[2:]
            continue
        on_node = True
        rest = rest[1:]
        while rest and rest[0].startswith("-"):
            word = rest.pop(0)
            if word == "--":
                break
            if word in NSENTER_VALUES:
                rest = rest[1:]
    if not rest or (base(rest[0]) not in COMMANDS and base(rest[0]) not in KERNEL_TOOLS):
        return None
    return on_node, rest


def base(word: str) -> str:
    """A program's name without its folder."""
    return word.rpartition("/")[2]


def node_of(pod: Pod) -> Host:
    """What `nsenter -t 1` leads to: the node, from a Pod that sees the node's processes; else the Pod itself."""
    return Node(pod.world, pod.object["spec"]["nodeName"]) if pod.object["spec"].get("hostPID") else pod


def kernel_tool(place: Place, words: list[str]) -> Finished:
    """iptables-save, nft, ip, conntrack and the like, on the network that the command sees."""
    try:
        return Finished(place.host.run(words, place.stdin.decode("utf-8", "replace")).encode())
    except CommandError as wrong:
        return Finished(b"", wrong.stderr.encode(), wrong.status)
    except Unsupported as gap:
        return failed(f"{words[0]}: {gap}")
