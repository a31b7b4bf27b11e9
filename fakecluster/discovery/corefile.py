"""A Corefile, read once into frozen values: server blocks of plugin directives (Caddy file syntax, corefile(5)).

.:53 {
    kubernetes cluster.local in-addr.arpa { pods insecure ... }
    forward . /etc/resolv.conf
}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

import attrs

from fakecluster.errors import RuleSyntaxError, Unsupported

#: A Corefile is a page of text; anything longer is not one.
MAX_LENGTH = 1 << 20
_TOKEN = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s"#][^\s]*)|(?P<comment>#[^\n]*)|(?P<newline>\n)|[ \t\r]+'
)


@attrs.frozen
class Token:
    text: str
    line: int


@attrs.frozen
class Directive:
    """One line of a block: a name, its arguments, and the lines of its own block."""

    name: str
    arguments: tuple[str, ...]
    line: int
    block: tuple[Directive, ...] = ()


@attrs.frozen
class ServerBlock:
    """Zones (absolute, lower case) and port that a block serves, and its plugins in the order of the file."""

    zones: tuple[str, ...]
    port: int
    directives: tuple[Directive, ...]


def parse(text: str) -> tuple[ServerBlock, ...]:
    """Read a Corefile. Raises `RuleSyntaxError` with line and token."""
    if len(text) > MAX_LENGTH:
        raise RuleSyntaxError(f"a Corefile of {len(text)} characters is not read", source="Corefile")
    lines = list(_lines(text))
    blocks: list[ServerBlock] = []
    position = 0
    while position < len(lines):
        heading = lines[position]
        if heading[-1].text != "{" or len(heading) < 2:
            raise _error("expected a server block: ZONES {", heading[-1])
        directives, position = _block(lines, position + 1, heading[-1])
        blocks.append(_server_block(heading[:-1], directives))
        _check_unique(blocks, heading[0])
    return tuple(blocks)


def _check_unique(blocks: Sequence[ServerBlock], heading: Token) -> None:
    """No two blocks may serve one zone on one port."""
    *others, last = blocks
    for zone in last.zones:
        if any(other.port == last.port and zone in other.zones for other in others):
            raise _error(f"cannot serve dns://{zone}:{last.port} - it is already defined", heading)


def _lines(text: str) -> Iterator[list[Token]]:
    line, number, position = list[Token](), 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise RuleSyntaxError(
                "unterminated quote", line=number, token=text[position : position + 20], source="Corefile"
            )
        if match["newline"]:
            if line:
                yield line
            line, number = [], number + 1
        elif match["quoted"] is not None:
            line.append(Token(match["quoted"].replace('\\"', '"'), number))
        elif match["word"]:
            if match["word"].startswith(("{$", "{%")):
                raise Unsupported("an environment variable", line=number, token=match["word"], source="Corefile")
            line.append(Token(match["word"], number))
        position = match.end()
    if line:
        yield line


def _block(lines: Sequence[list[Token]], position: int, opened: Token) -> tuple[tuple[Directive, ...], int]:
    directives: list[Directive] = []
    while position < len(lines):
        words = lines[position]
        if words[0].text == "}":
            if len(words) > 1:
                raise _error("nothing may follow a closing brace", words[1])
            return tuple(directives), position + 1
        inner: tuple[Directive, ...] = ()
        position += 1
        if words[-1].text == "{":
            words = words[:-1]
            inner, position = _block(lines, position, words[-1])
        arguments = tuple(word.text for word in words[1:])
        directives.append(Directive(words[0].text, arguments, words[0].line, inner))
    raise _error("the block that opens here is not closed", opened)


def _server_block(heading: Sequence[Token], directives: tuple[Directive, ...]) -> ServerBlock:
    zones, ports = list[str](), set[int]()
    for token in heading:
        name = token.text.rstrip(",")
        if name.startswith("("):
            raise Unsupported("a snippet", line=token.line, token=token.text, source="Corefile")
        if "://" in name and not name.startswith("dns://"):
            raise Unsupported(f"a server for {name}", line=token.line, token=token.text, source="Corefile")
        name = name.removeprefix("dns://")
        name, colon, digits = name.rpartition(":") if ":" in name else (name, "", "")
        if colon and not digits.isdigit():
            raise _error(f"not a port: {digits!r}", token)
        ports.add(int(digits) if colon else 53)
        zones += zones_of(name, line=token.line)
    if len(ports) > 1:
        raise Unsupported("a server block on several ports", line=heading[0].line, source="Corefile")
    return ServerBlock(tuple(zones), ports.pop(), directives)


def zones_of(text: str, *, line: int = 0) -> tuple[str, ...]:
    """The zones that a word means, as they are compared: lower case, absolute; a CIDR means its reverse zones.

    A prefix that ends inside a label means every zone below it (10.96.0.0/12: 96.10.in-addr.arpa. to 111.10...).
    """
    if "/" not in text:
        return (text.lower().rstrip(".") + ".",)
    try:
        network = ip_network(text, strict=False)
    except ValueError as bad:
        raise RuleSyntaxError(f"not a zone: {bad}", line=line, token=text, source="Corefile") from None
    step = 8 if network.version == 4 else 4
    whole = -(-network.prefixlen // step)
    return tuple(_reverse_zone(part, whole) for part in network.subnets(new_prefix=whole * step))


def _reverse_zone(network: IPv4Network | IPv6Network, labels: int) -> str:
    """The name of the reverse zone of a network of so many whole labels."""
    words = network.network_address.reverse_pointer.split(".")
    return ".".join(words[-2 - labels :]) + "."


def zones_in(directive: Directive, words: Sequence[str]) -> tuple[str, ...]:
    """The zones that some of a directive's words mean."""
    return tuple(zone for word in words for zone in zones_of(word, line=directive.line))


def _error(reason: str, token: Token) -> RuleSyntaxError:
    return RuleSyntaxError(f"{reason}, at {token.text!r}", line=token.line, token=token.text, source="Corefile")
