"""What came of one seed, and of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

#: A seed or whatever else a campaign goes through: JSON data, so that it can be written down.
Seed = Any


@attrs.frozen
class Outcome:
    """One seed: well, with the `value` that came back (JSON data); or not, with the error and the shrunken `example`."""

    seed: Seed
    ok: bool
    value: Any = None
    error: str = ""
    message: str = ""
    example: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"seed {self.seed!r}: ok"
        return "\n".join(filter(None, (f"seed {self.seed!r}: {self.error}: {self.message}", self.example)))


@attrs.frozen
class CampaignResult:
    """The outcomes in the order of the seeds, however and wherever they ran. True when all is well."""

    outcomes: tuple[Outcome, ...] = attrs.field(repr=False)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if not one.ok)

    @property
    def values(self) -> dict[Seed, Any]:
        """What came back, by seed; failures left out."""
        return {one.seed: one.value for one in self.outcomes if one.ok}

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        head = f"{len(self.outcomes)} seeds, {len(self.failures)} failed"
        return "\n\n".join((head, *map(str, self.failures)))


Work = Callable[[Seed], Outcome]
