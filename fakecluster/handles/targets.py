"""Where to connect to, as people write it: `web:80`, `udp://web:53`, `svc/web:http`, `pod/web:80`, `10.96.0.1:443`."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from fakecluster.errors import FakeclusterError

PROTOCOLS = ("tcp", "udp", "sctp")
#: kind words -> resource
KINDS = {"svc": "services", "service": "services", "pod": "pods", "po": "pods", "node": "nodes", "no": "nodes"}


class TargetError(FakeclusterError):
    """A target that cannot be read, or that names something that does not exist."""


@attrs.frozen
class Target:
    """`host` is an IP address, a DNS name, or with `kind` an object's name; `port` a number or a port's name."""

    host: str
    port: int | str = 0
    protocol: str = "tcp"
    #: services, pods, nodes, or "" for a name or an address
    kind: str = ""
    #: of the object; "" means the asker's own
    namespace: str = ""

    @property
    def address(self) -> str | None:
        """The host, when it is an IP address."""
        try:
            return str(ip_address(self.host))
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        name = f"{self.kind}/{self.namespace + '/' if self.namespace else ''}" if self.kind else ""
        return f"{self.protocol}://{name}{host}" + (f":{self.port}" if self.port else "")


def parse_target(text: str, *, port: int | str | None = None) -> Target:
    """Read a target. Raises `TargetError` saying what is expected."""
    protocol, separator, rest = text.partition("://")
    if not separator:
        protocol, rest = "tcp", text
    if protocol not in PROTOCOLS:
        raise TargetError(f"{text!r}: unknown protocol {protocol!r} (expected tcp, udp or sctp)")
    kind, namespace = "", ""
    words = rest.split("/")
    if len(words) > 1:
        if words[0] not in KINDS:
            raise TargetError(f"{text!r}: unknown kind {words[0]!r} (expected svc, pod or node)")
        if len(words) > 3 or not all(words):
            raise TargetError(f"{text!r}: expected KIND/[NAMESPACE/]NAME:PORT")
        kind, rest = KINDS[words[0]], words[-1]
        namespace = words[1] if len(words) == 3 else ""
    host, number = _split_port(rest, text)
    if port is not None:
        number = port
    return Target(host, _port(number, text, named=kind == "services"), protocol, kind, namespace)


def _split_port(rest: str, text: str) -> tuple[str, int | str]:
    if rest.startswith("["):
        host, bracket, after = rest[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise TargetError(f"{text!r}: expected [IPv6 address]:PORT")
        return host, after[1:]
    if rest.count(":") > 1:
        return rest, ""  # a bare IPv6 address
    host, _, number = rest.partition(":")
    if not host:
        raise TargetError(f"{text!r}: the host is missing")
    return host, number


def _port(number: int | str, text: str, *, named: bool) -> int | str:
    if number == "":
        return 0
    if isinstance(number, str) and not number.isdigit():
        if named:
            return number
        raise TargetError(f"{text!r}: port {number!r} is not a number (names are for Services: svc/NAME:PORT)")
    if not 0 < int(number) < 65536:
        raise TargetError(f"{text!r}: port {number} is not between 1 and 65535")
    return int(number)
