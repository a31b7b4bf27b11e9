"""The default server's answers and how they are read back."""

from __future__ import annotations

import pytest

from fakecluster.apps.echo import Answer, answer, parse_answer, peer_text
from fakecluster.apps.probes import http_status

CLIENT = (0x0AF40002, 40132)


def test_raw_bytes_come_back_after_one_line() -> None:
    assert answer("web-1", peer_text(CLIENT), b"hi") == b"server=web-1 client=10.244.0.2:40132 bytes=2\nhi"


def test_http_is_answered_with_http() -> None:
    request = b"GET /x HTTP/1.1\r\n\r\n"
    assert answer("web-1", peer_text((1 << 120, 1)), request) == (
        b"HTTP/1.1 200 OK\r\nServer-Name: web-1\r\nClient: [100::]:1\r\nContent-Length: 19\r\n\r\n" + request
    )


@pytest.mark.parametrize("data", [b"", b"hi", b"a=b\nserver=x\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_answers_read_back(data: bytes) -> None:
    read = parse_answer(answer("web-1", peer_text(CLIENT), data))
    assert (read.server, read.client, read.body) == ("web-1", "10.244.0.2:40132", data)


def test_anything_else_is_all_body() -> None:
    assert parse_answer(b"\x00\x01") == Answer(b"\x00\x01", body=b"\x00\x01")


@pytest.mark.parametrize(
    ("data", "status"), [(b"HTTP/1.1 503 Busy\r\n", 503), (b"HTTP/1.1\r\n", None), (b"server=x\n", None), (b"", None)]
)
def test_the_status_of_a_response(data: bytes, status: int | None) -> None:
    assert http_status(data) == status
