"""What can go wrong, and whose fault it is: your manifest, your rules, our gap, or our bug."""

from __future__ import annotations


class FakeclusterError(Exception):
    """The root of every error that this package raises on purpose."""


class ManifestError(FakeclusterError):
    """Your manifest is wrong.

    ``place`` names file, document and field path as far as they are known; ``reason`` is what the real
    API server (or the YAML reader) says about it; ``applied`` is what had been applied before it (``pod/web created``).
    """

    def __init__(self, reason: str, *, place: str = "") -> None:
        self.reason, self.place = reason, place
        self.applied: tuple[str, ...] = ()
        super().__init__(f"{place}: {reason}" if place else reason)


class RuleSyntaxError(FakeclusterError):
    """Your rules are wrong: ``line`` counts from 1 (0: not known), ``token`` is the offending word."""

    def __init__(self, reason: str, *, line: int = 0, token: str = "", source: str = "") -> None:
        self.reason, self.line, self.token, self.source = reason, line, token, source
        where = ":".join(part for part in (source, str(line) if line else "") if part)
        super().__init__(f"{where}: {reason}" if where else reason)


class CommandError(FakeclusterError):
    """A command run in a node failed as the real tool would: ``status`` is its exit code, ``stderr`` its words."""

    def __init__(self, argv: tuple[str, ...], status: int, stderr: str) -> None:
        self.argv, self.status, self.stderr = argv, status, stderr
        super().__init__(f"{' '.join(argv)}: exit status {status}: {stderr.strip()}")


class Unsupported(FakeclusterError):
    """Our gap: the real thing can do this, the model cannot (see docs/fidelity.md)."""

    def __init__(self, what: str, *, line: int = 0, token: str = "", source: str = "") -> None:
        self.what, self.line, self.token, self.source = what, line, token, source
        where = ":".join(part for part in (source, str(line) if line else "") if part)
        super().__init__(f"{where}: not modelled: {what}" if where else f"not modelled: {what}")


class SettleError(FakeclusterError):
    """The simulation did not come to rest within its bound; the message names the events that kept coming."""


class OutcomesError(FakeclusterError):
    """An exact enumeration of outcomes hit its bound."""
