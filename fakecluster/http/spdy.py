"""SPDY/3.1, as far as Kubernetes still speaks it: many streams of bytes in one connection, sans-IO.

    control frame: 1 | version (15 bits) | type (16) | flags (8) | length (24) | payload
    data frame:    0 | stream (31 bits)              | flags (8) | length (24) | bytes

A client opens a stream with SYN_STREAM, whose headers say what it is for, and is answered with SYN_REPLY; the flag FIN
ends one direction. Header blocks are pairs of length-prefixed words, compressed as one zlib stream for the whole
connection with a dictionary that both sides know. Windows are not kept: Kubernetes' own library ignores them too.
Source: draft-mbelshe-httpbis-spdy-00.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import attrs

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
VERSION = 3
FIN = 1
#: A frame longer than this is no frame of a client that means well.
FRAME_LIMIT = 1 << 20
#: Header blocks are a few words; what unpacks to more than this is an attack.
HEADERS_LIMIT = 1 << 16
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _word(text: str) -> bytes:
    return len(text).to_bytes(4) + text.encode()


#: What header blocks are compressed with (section 2.6.10.1).
DICTIONARY = b"".join(_word(word.replace("_", " ")) for word in _WORDS.split()) + _TAIL.encode()


class BadFrame(ValueError):
    """The other end does not speak SPDY/3."""


@attrs.frozen
class Opened:
    """The client has opened a stream; `ended`: it will send nothing on it."""

    stream: int
    headers: dict[str, str]
    ended: bool = False


@attrs.frozen
class Arrived:
    """Bytes on a stream; `ended`: there will be no more."""

    stream: int
    data: bytes
    ended: bool = False


@attrs.frozen
class Broken:
    """The client gives a stream up."""

    stream: int


@attrs.frozen
class Gone:
    """The client opens no more streams."""


Event = Opened | Arrived | Broken | Gone


class Wire:
    """The server's end of one connection: bytes in, events out; the methods that send give bytes to be written."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        #: bytes that are due without having been asked for (answers to pings)
        self.due = b""

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes, with those left from before, mean. Raises BadFrame."""
        self._buffer += data
        events: list[Event] = []
        while len(self._buffer) >= 8:
            length = int.from_bytes(self._buffer[5:8])
            if length > FRAME_LIMIT:
                raise BadFrame(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                break
            head, payload = bytes(self._buffer[:8]), bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            event = self._frame(head, payload)
            if event is not None:
                events.append(event)
        return events

    def _frame(self, head: bytes, payload: bytes) -> Event | None:
        first, flags = int.from_bytes(head[:4]), head[4]
        if not first >> 31:
            return Arrived(first, payload, bool(flags & FIN))
        if first >> 16 & 0x7FFF != VERSION:
            raise BadFrame(f"SPDY version {first >> 16 & 0x7FFF}")
        handler = _CONTROL.get(first & 0xFFFF)
        return None if handler is None else handler(self, flags, payload)

    def _syn_stream(self, flags: int, payload: bytes) -> Event:
        if len(payload) < 10:
            raise BadFrame("a short SYN_STREAM")
        return Opened(int.from_bytes(payload[:4]) & 0x7FFFFFFF, self._headers(payload[10:]), bool(flags & FIN))

    def _more_headers(self, flags: int, payload: bytes) -> None:
        self._headers(payload[4:])  # they belong to the compressed stream even where nobody wants them

    def _rst_stream(self, flags: int, payload: bytes) -> Event:
        return Broken(int.from_bytes(payload[:4]) & 0x7FFFFFFF)

    def _ping(self, flags: int, payload: bytes) -> None:
        if len(payload) == 4 and payload[3] & 1:  # one of the client's own, which are odd
            self.due += control(PING, 0, payload)

    def _goaway(self, flags: int, payload: bytes) -> Event:
        return Gone()

    def _headers(self, packed: bytes) -> dict[str, str]:
        try:
            block = self._inflate.decompress(packed, HEADERS_LIMIT)
        except zlib.error as wrong:
            raise BadFrame(f"headers: {wrong}") from None
        words, at = [], 4
        while at + 4 <= len(block):
            length = int.from_bytes(block[at : at + 4])
            words.append(block[at + 4 : at + 4 + length].decode("latin-1"))
            at += 4 + length
        if at != len(block) or len(words) != 2 * int.from_bytes(block[:4]):
            raise BadFrame("headers that do not add up")
        return dict(zip(words[::2], words[1::2], strict=True))

    # --- sending

    def reply(self, stream: int) -> bytes:
        """Accept a stream."""
        packed = self._deflate.compress(bytes(4)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(SYN_REPLY, 0, stream.to_bytes(4) + packed)

    def data(self, stream: int, data: bytes, *, end: bool = False) -> bytes:
        """Bytes on a stream; `end`: the last ones."""
        parts = [data[at : at + FRAME_LIMIT] for at in range(0, len(data), FRAME_LIMIT)] or [b""]
        frames = []
        for part in parts:
            flags = FIN if end and part is parts[-1] else 0
            frames.append(stream.to_bytes(4) + bytes((flags,)) + len(part).to_bytes(3) + part)
        return b"".join(frames)


def control(kind: int, flags: int, payload: bytes) -> bytes:
    """A control frame."""
    return (1 << 31 | VERSION << 16 | kind).to_bytes(4) + bytes((flags,)) + len(payload).to_bytes(3) + payload


_CONTROL: dict[int, Callable[[Wire, int, bytes], Event | None]] = {
    SYN_STREAM: Wire._syn_stream,
    SYN_REPLY: Wire._more_headers,
    HEADERS: Wire._more_headers,
    RST_STREAM: Wire._rst_stream,
    PING: Wire._ping,
    GOAWAY: Wire._goaway,
}
