"""What a CoreDNS plugin is here: a function of (question, next) -> Answer, built from its directive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from fakecluster.discovery.corefile import Directive, ServerBlock, zone_name
from fakecluster.discovery.index import DnsIndex
from fakecluster.discovery.records import Answer, Question
from fakecluster.errors import RuleSyntaxError
from fakecluster.sim import Choices, Clock

Next = Callable[[Question], Answer]
Handler = Callable[[Question, Next], Answer]


@attrs.frozen
class Environment:
    """What plugins reach beyond their directive: the cluster's index, time, chance, the outside, the server itself."""

    index: DnsIndex
    clock: Clock
    choices: Choices
    outside: Callable[[Question], Answer]
    again: Callable[[str, str], Answer]
    local_ips: Callable[[], tuple[str, ...]]
    block: ServerBlock | None = None

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of the server block, which plugins take when none are given."""
        return self.block.zones if self.block else (".",)


def in_zones(lower: str, zones: Sequence[str]) -> bool:
    return any(zone == "." or lower == zone or lower.endswith(f".{zone}") for zone in zones)


def wrong(directive: Directive, reason: str) -> RuleSyntaxError:
    return RuleSyntaxError(
        f"plugin/{directive.name}: {reason}", line=directive.line, token=directive.name, source="Corefile"
    )


def number(directive: Directive, position: int) -> int:
    """The whole number at `position` of a directive's arguments."""
    try:
        return int(directive.arguments[position])
    except (IndexError, ValueError):
        raise wrong(directive, "Wrong argument count or unexpected line ending") from None


def fallthrough_zones(line: Directive) -> tuple[str, ...]:
    return tuple(zone_name(text) for text in line.arguments) or (".",)
