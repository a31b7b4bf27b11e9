"""DNS answers as plain data, before they become wire messages."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen
class Record:
    """One resource record: owner name (absolute, in the asker's spelling), TTL in seconds, type and data as text."""

    name: str
    ttl_s: int
    type: str
    data: str

    def __str__(self) -> str:
        return f"{self.name} {self.ttl_s} {self.type} {self.data}"


@attrs.frozen
class Answer:
    """What one server said: the three sections and the response code; `truncated` asks the client to use TCP."""

    rcode: str = "NOERROR"
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    truncated: bool = False
    recursion_available: bool = False

    @classmethod
    def of(cls, answer: Sequence[Record], additional: Sequence[Record] = ()) -> Answer:
        return cls(answer=tuple(answer), additional=tuple(additional))


@attrs.frozen
class Question:
    """One question: `name` is absolute and keeps its case, `type` is text such as "SRV"; `source` asked for it."""

    name: str
    type: str
    source: str = ""
    tcp: bool = False

    @property
    def lower(self) -> str:
        return self.name.lower()
