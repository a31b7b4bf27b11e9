"""The server that runs in a container by default: it says who answered whom, and gives back what it was sent.

The answer to raw bytes (TCP or UDP) is one line of `key=value` pairs and then the bytes themselves::

    server=web-1 client=10.244.0.2:40132 bytes=2
    hi

A request that looks like HTTP is answered with HTTP/1.1 200, the same pairs as headers, and the request as its body.
Each request is a line of the container's log.
"""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from fakecluster.apps.output import printed
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"OPTIONS ")


@attrs.frozen
class Echo:
    """A stateless program; `name` is what it calls itself, usually the Pod's name."""

    name: str

    def on_accept(self, connection: TcpConnection) -> None:
        return None

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        context = connection.context
        peer = context.get("peer")
        if peer is None:
            peer = context["peer"] = peer_text(connection.remote)
        connection.send(answer(self.name, peer, data))
        printed(connection, request_line(peer, "tcp", data))

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()

    def on_error(self, connection: TcpConnection, error: str) -> None:
        return None

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        peer = peer_text(source)
        sock.send_to(answer(self.name, peer, data), *source, source=target)
        printed(sock, request_line(peer, "udp", data))


def answer(name: str, peer: str, data: bytes) -> bytes:
    """The bytes that the server called `name` sends back to a client (see `peer_text`)."""
    if not data.startswith(_METHODS):
        return f"server={name} client={peer} bytes={len(data)}\n".encode() + data
    head = f"HTTP/1.1 200 OK\r\nServer-Name: {name}\r\nClient: {peer}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def peer_text(client: tuple[int, int]) -> str:
    """`address:port`."""
    number, port = client
    if 0xFFFF < number < 1 << 32:  # most are; a smaller number may also be a short IPv6 address
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:{port}"
    address = ip_address(number)
    return f"[{address}]:{client[1]}" if address.version == 6 else f"{address}:{client[1]}"


def request_line(peer: str, protocol: str, data: bytes) -> str:
    """What the log says of a request: `10.244.0.2:40132 "GET / HTTP/1.1" 200 "curl/8.5.0"`, or how many bytes came."""
    if not data.startswith(_METHODS):
        return f"{peer} {protocol} {len(data)} bytes"
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    first, *fields = head.split("\r\n")
    agent = next((line[12:] for line in fields if line[:12].lower() == "user-agent: "), "-")
    return f'{peer} "{first}" 200 "{agent}"'


@attrs.frozen
class Answer:
    """What a client got: `server` and `client` as the server said, `body` the bytes after that; `raw` everything."""

    raw: bytes
    server: str = ""
    client: str = ""
    body: bytes = b""
    status: int = 0

    def __bytes__(self) -> bytes:
        return self.raw


def parse_answer(raw: bytes) -> Answer:
    """Read what `answer` writes; anything else is all body."""
    if raw.startswith(b"HTTP/1.1 "):
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        return Answer(raw, fields.get("Server-Name", ""), fields.get("Client", ""), body, int(status.split()[1]))
    head, newline, body = raw.partition(b"\n")
    if newline and head.startswith(b"server="):
        pairs = dict(word.split("=", 1) for word in head.decode("latin-1").split() if "=" in word)
        return Answer(raw, pairs["server"], pairs.get("client", ""), body)
    return Answer(raw, body=raw)
