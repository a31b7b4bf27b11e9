"""A Corefile, read once into frozen values: server blocks of plugin directives (Caddy file syntax, corefile(5)).

.:53 {
    kubernetes cluster.local in-addr.arpa { pods insecure ... }
    forward . /etc/resolv.conf
}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from fakecluster.errors import RuleSyntaxError

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
    return tuple(blocks)


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
    zones, port = [], 53
    for token in heading:
        name = token.text.rstrip(",").removeprefix("dns://")
        name, colon, digits = name.rpartition(":") if ":" in name else (name, "", "")
        if colon:
            if not digits.isdigit():
                raise _error(f"not a port: {digits!r}", token)
            port = int(digits)
        zones.append(zone_name(name))
    return ServerBlock(tuple(zones), port, directives)


def zone_name(text: str) -> str:
    """A zone as it is compared: lower case, absolute; a CIDR becomes its reverse zone."""
    if "/" in text:
        from ipaddress import ip_network

        network = ip_network(text, strict=False)
        step = 8 if network.version == 4 else 4
        labels = network.network_address.reverse_pointer.split(".")
        keep = network.prefixlen // step
        total = network.max_prefixlen // step
        return ".".join(labels[total - keep :]) + "."
    return text.lower().rstrip(".") + "."


def _error(reason: str, token: Token) -> RuleSyntaxError:
    return RuleSyntaxError(f"{reason}, at {token.text!r}", line=token.line, token=token.text, source="Corefile")
