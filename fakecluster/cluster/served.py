"""A cluster while it is served over HTTP: what the server offers."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol


class ServedApi(Protocol):
    """A running server; use it as a context manager, or `stop` it."""

    url: str
    token: str
    port: int
    kubeconfig: Path
    ca_file: Path

    def wait(self) -> None: ...

    def stop(self) -> None: ...

    def __enter__(self) -> ServedApi: ...

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None: ...
