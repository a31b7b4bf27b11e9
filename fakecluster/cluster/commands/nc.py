"""nc: whether something answers, and what it says."""

from __future__ import annotations

import attrs

from fakecluster.cluster.commands.options import BadOption, parse
from fakecluster.cluster.commands.place import Finished, Place, failed
from fakecluster.handles.talk import ConnectFailed, Connection, ResolveFailed
from fakecluster.handles.targets import TargetError


def netcat(place: Place, words: list[str]) -> Finished:
    """nc(1): connects, sends its input, prints what comes back; -z only connects, -u is UDP."""
    opened = open_connection(place, words)
    if isinstance(opened, Finished):
        return opened
    out = b""
    if place.stdin:
        try:
            out = opened.connection.request(place.stdin, timeout_s=opened.patience_s).raw
        except ConnectFailed as wrong:
            return failed(f"nc: {opened.words[0]}: {wrong.outcome}")
    opened.connection.close()
    return Finished(out, opened.greeting)


@attrs.frozen(eq=False)
class Opened:
    """A connection that is open, and what nc says of it on its error output."""

    words: tuple[str, ...]
    connection: Connection
    greeting: bytes
    patience_s: float


def open_connection(place: Place, words: list[str]) -> Opened | Finished:
    """Connect as the words say; Finished when that is all that was wanted, or when it failed."""
    try:
        options = parse(words, flags="-z -v -u -n -N -4 -6", valued="-w -p -i -q")
        patience_s = min(place.patience_s, options.seconds("-w", default=place.patience_s))
    except BadOption as wrong:
        return failed(f"nc: {wrong}")
    if len(options.words) != 2 or not options.words[1].isdecimal():
        return failed("nc: bad address or port")
    host, port = options.words
    protocol, only_looks = "udp" if options.has("-u") else "tcp", options.has("-z")
    try:
        connection = place.host.connect(host, int(port), protocol=protocol, timeout_s=patience_s)
        if only_looks and protocol == "udp":
            connection.request(b"\0", timeout_s=patience_s)
    except (ResolveFailed, TargetError):
        return failed(f"nc: bad address '{host}'")
    except ConnectFailed as wrong:
        return failed(f"nc: {host} ({_end(wrong.target)}): {wrong.outcome}")
    greeting = f"{host} ({_end(str(connection.place))}) open\n".encode() if options.has("-v", "-z") else b""
    if only_looks:
        connection.close()
        return Finished(stderr=greeting)
    return Opened(options.words, connection, greeting, patience_s)


def _end(place: str) -> str:
    """`address:port` out of what a place is called."""
    return place.rpartition("(")[2].rstrip(")").rpartition("//")[2]
