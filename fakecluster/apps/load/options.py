"""What a load is: how many requests when, over which connections, and what is done when one fails."""

from __future__ import annotations

import attrs

from fakecluster.sim import numbers

REGULAR, RANDOM = "regular", "random"


@attrs.frozen
class Load:
    """HTTP requests to one place, for `duration_s` seconds of virtual time.

    Open loop: `rate_per_s` requests, come what may; they begin at regular intervals, or at random ones (a Poisson
    process) with `arrivals="random"`. Closed loop: `users`, each of whom asks, waits for the end, thinks for `think_s`,
    and asks again. Just one of the two.

    With `keep_alive` a connection is used again, by one request at a time, at most `requests_per_connection` times (0:
    for ever). A request that is not answered within `timeout_s` has timed out and its connection is reset. A failed one
    is sent again up to `retries` times, each `retry_delay_s` after the failure, over another connection.

    Raises ValueError for what makes no load, TypeError for what is no number.
    """

    rate_per_s: float = 0.0
    users: int = 0
    think_s: float = 0.0
    duration_s: float = 60.0
    arrivals: str = REGULAR
    keep_alive: bool = True
    requests_per_connection: int = 0
    timeout_s: float = 5.0
    retries: int = 0
    retry_delay_s: float = 0.0
    path: str = "/"
    body_bytes: int = 0

    def __attrs_post_init__(self) -> None:
        for name in ("rate_per_s", "think_s", "duration_s", "timeout_s", "retry_delay_s"):
            numbers.finite(name, getattr(self, name))
        for name in ("users", "requests_per_connection", "retries", "body_bytes"):
            numbers.whole(name, getattr(self, name))
        if (self.rate_per_s > 0) == (self.users > 0):
            raise ValueError("a load has either rate_per_s (open loop) or users (closed loop), above 0")
        if self.arrivals not in (REGULAR, RANDOM):
            raise ValueError(f"arrivals={self.arrivals!r}: expected {REGULAR} or {RANDOM}")
        if self.timeout_s <= 0 or self.duration_s <= 0:
            raise ValueError(f"timeout_s={self.timeout_s}, duration_s={self.duration_s}: expected more than 0")
        for name in (
            "rate_per_s",
            "users",
            "think_s",
            "requests_per_connection",
            "retries",
            "retry_delay_s",
            "body_bytes",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")
        path = self.path if isinstance(self.path, str) else ""
        if not path.startswith("/") or not path.isascii() or any(char.isspace() for char in path):
            raise ValueError(f"path={self.path!r}: expected one like /index.html")

    @property
    def request(self) -> bytes:
        """The bytes of every request."""
        method = "POST" if self.body_bytes else "GET"
        length = f"Content-Length: {self.body_bytes}\r\n" if self.body_bytes else ""
        connection = "" if self.keep_alive else "Connection: close\r\n"
        head = f"{method} {self.path} HTTP/1.1\r\nHost: load\r\n{length}{connection}\r\n"
        return head.encode() + b"x" * self.body_bytes
