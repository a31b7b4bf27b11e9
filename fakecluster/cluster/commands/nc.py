"""nc: whether something answers, and what it says."""

from __future__ import annotations

from fakecluster.cluster.commands.options import BadOption, parse
from fakecluster.cluster.commands.place import Finished, Place, failed
from fakecluster.handles.talk import ConnectFailed, ResolveFailed
from fakecluster.handles.targets import TargetError


def netcat(place: Place, words: list[str]) -> Finished:
    """nc(1): connects, sends its input, prints what comes back; -z only connects, -u is UDP."""
    try:
        options = parse(words, flags="-z -v -u -n -N -4 -6", valued="-w -p -i -q")
        patience_s = min(place.patience_s, options.seconds("-w", default=place.patience_s))
    except BadOption as wrong:
        return failed(f"nc: {wrong}")
    if len(options.words) != 2 or not options.words[1].isdecimal():
        return failed("nc: bad address or port")
    host, port = options.words
    protocol = "udp" if options.has("-u") else "tcp"
    data = b"" if options.has("-z") else place.stdin
    try:
        connection = place.host.connect(host, int(port), protocol=protocol, timeout_s=patience_s)
        out = b""
        if data or protocol == "udp":
            out = connection.request(data or b"\0", timeout_s=patience_s).raw
    except (ResolveFailed, TargetError):
        return failed(f"nc: bad address '{host}'")
    except ConnectFailed as wrong:
        return failed(f"nc: {host} ({_end(wrong.target)}): {wrong.outcome}")
    connection.close()
    shown = f"{host} ({_end(str(connection.place))}) open\n"
    return Finished(out if data else b"", shown.encode() if options.has("-v", "-z") else b"")


def _end(place: str) -> str:
    """`address:port` out of what a place is called."""
    return place.rpartition("(")[2].rstrip(")").rpartition("//")[2]
