"""conntrack(8): list, delete, flush and count the entries of a namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.conntrack import text as conntrack_text

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns


def conntrack(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """conntrack(8): -L, -D, -F, -C with the filters of `conntrack.text.Filter`."""
    words = [word for word in argv[1:] if word not in ("conntrack",)]
    for word in words:
        if word in REFUSED_ACTIONS or word in REFUSED_TABLES:
            raise Unsupported(f"conntrack {word}", token=word)
    action = next((word for word in words if word in _CONNTRACK_ACTIONS), "")
    if not action:
        raise CommandError(argv, 2, "conntrack v1.4.7 (conntrack-tools): Bad parameter\n")
    words.remove(action)
    while "-o" in words:
        at = words.index("-o")
        del words[at : at + 2]
    return _CONNTRACK_ACTIONS[action](netns, argv, words)


def _conntrack_list(netns: Netns, argv: tuple[str, ...], words: Sequence[str]) -> str:
    chosen = conntrack_text.parse_filter(words)
    return conntrack_text.listing(netns.conntrack, [ct for ct in netns.conntrack if chosen.matches(ct)])


def _conntrack_delete(netns: Netns, argv: tuple[str, ...], words: Sequence[str]) -> str:
    chosen = conntrack_text.parse_filter(words)
    found = [ct for ct in netns.conntrack if chosen.matches(ct)]
    if not found:
        message = "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n"
        raise CommandError(argv, 1, message)
    text = conntrack_text.listing(netns.conntrack, found)
    for ct in found:
        netns.conntrack.kill(ct)
    return text


def _conntrack_flush(netns: Netns, argv: tuple[str, ...], words: Sequence[str]) -> str:
    netns.conntrack.flush()
    return ""


def _conntrack_count(netns: Netns, argv: tuple[str, ...], words: Sequence[str]) -> str:
    return f"{len(netns.conntrack)}\n"


#: what conntrack(8) has and this model refuses: actions, options of those it knows, tables
REFUSED_ACTIONS = frozenset((
    "-E", "--event", "-G", "--get", "-I", "--create", "-S", "--stats", "-U", "--update", "-A", "--add",
))  # fmt: skip
REFUSED_OPTIONS = frozenset((
    "-a", "--any-nat", "-b", "--buffer-size", "-c", "--secmark", "-e", "--event-mask", "-j", "-l", "--label",
    "--label-add", "--label-del", "--mask-dst", "--mask-src", "--orig-zone", "--reply-zone", "-t", "--timeout",
    "--tuple-dst", "--tuple-src", "-u", "--status", "-z", "--zero",
))  # fmt: skip
REFUSED_TABLES = frozenset(("expect", "dying", "unconfirmed"))
_CONNTRACK_ACTIONS = {
    "-L": _conntrack_list,
    "--dump": _conntrack_list,
    "-D": _conntrack_delete,
    "--delete": _conntrack_delete,
    "-F": _conntrack_flush,
    "--flush": _conntrack_flush,
    "-C": _conntrack_count,
    "--count": _conntrack_count,
}
