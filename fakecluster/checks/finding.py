"""What a check finds."""

from __future__ import annotations

import attrs

ERROR, WARNING = "error", "warning"


@attrs.frozen
class Finding:
    """A broken property: of which `subject` (`svc/default/web:80`), what the `problem` is, and how bad.

    `evidence` is the trace that shows it, where there is one.
    """

    check: str
    subject: str
    problem: str
    severity: str = ERROR
    evidence: str = attrs.field(default="", repr=False, eq=False)

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: {self.problem} [{self.check}]"
