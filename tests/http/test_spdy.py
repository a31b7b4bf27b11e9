"""SPDY/3.1 on the wire, against a client made of the same tables, and against bytes that are none."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.http.spdy import (
    DICTIONARY,
    FIN,
    GOAWAY,
    PING,
    RST_STREAM,
    SETTINGS,
    SYN_STREAM,
    Arrived,
    BadFrame,
    Broken,
    Gone,
    Opened,
    Wire,
    control,
)


class Client:
    """The other end."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def open(self, stream: int, headers: dict[str, str], *, flags: int = 0) -> bytes:
        words = [word.encode() for pair in headers.items() for word in pair]
        block = len(headers).to_bytes(4) + b"".join(len(word).to_bytes(4) + word for word in words)
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(SYN_STREAM, flags, stream.to_bytes(4) + bytes(6) + packed)


def test_the_dictionary_is_that_of_the_protocol() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_are_opened_with_headers_and_carry_bytes() -> None:
    client, wire = Client(), Wire()
    sent = client.open(1, {"streamtype": "error"}, flags=FIN) + client.open(3, {"streamtype": "data", "port": "80"})
    sent += bytes.fromhex("00000003 00 000002") + b"hi" + bytes.fromhex("00000003 01 000000")
    events = [event for at in range(len(sent)) for event in wire.receive(sent[at : at + 1])]
    assert events == [
        Opened(1, {"streamtype": "error"}, True),
        Opened(3, {"streamtype": "data", "port": "80"}),
        Arrived(3, b"hi"),
        Arrived(3, b"", True),
    ]


def test_a_reply_and_bytes_look_as_the_protocol_says() -> None:
    wire = Wire()
    reply = wire.reply(5)
    assert reply[:5] == bytes.fromhex("80030002 00") and reply[8:12] == bytes.fromhex("00000005")
    assert zlib.decompressobj(zdict=DICTIONARY).decompress(reply[12:]) == bytes(4)
    assert wire.data(5, b"abc", end=True) == bytes.fromhex("00000005 01 000003") + b"abc"


def test_pings_are_answered_and_settings_passed_over() -> None:
    wire = Wire()
    ping = control(PING, 0, (7).to_bytes(4))
    assert wire.receive(control(SETTINGS, 0, bytes(4)) + ping) == []
    assert wire.due == ping


def test_a_client_may_give_up_a_stream_or_all() -> None:
    sent = control(RST_STREAM, 0, (3).to_bytes(4) + (5).to_bytes(4)) + control(GOAWAY, 0, bytes(8))
    assert Wire().receive(sent) == [Broken(3), Gone()]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (bytes.fromhex("80020001 00 000000"), "SPDY version 2"),
        (bytes.fromhex("00000001 00 ffffff"), "a frame of 16777215 bytes"),
        (control(SYN_STREAM, 0, b"short"), "a short SYN_STREAM"),
        (control(SYN_STREAM, 0, bytes(10) + b"not packed"), "headers: Error -3"),
        (Client().open(1, {"a": "b" * (1 << 17)}), "headers that do not add up"),
    ],
)
def test_what_is_no_spdy_is_refused(sent: bytes, words: str) -> None:
    with pytest.raises(BadFrame, match=words):
        Wire().receive(sent)


@given(st.binary(max_size=200), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_events_or_a_bad_frame(data: bytes, kind: int) -> None:
    for sent in (data, control(kind, 0, data)):
        try:
            Wire().receive(sent)
        except BadFrame:
            continue
