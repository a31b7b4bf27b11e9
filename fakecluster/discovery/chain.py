"""What a CoreDNS plugin is here: a function of (question, next) -> Answer, built from its directive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from fakecluster.discovery.corefile import Directive, ServerBlock, zones_in
from fakecluster.discovery.index import DnsIndex
from fakecluster.discovery.records import Answer, Question
from fakecluster.errors import RuleSyntaxError
from fakecluster.sim import Choices, Clock

Next = Callable[[Question], Answer]
Handler = Callable[[Question, Next], Answer]


@attrs.frozen
class Upstreams:
    """Whom a forward plugin asks: addresses (`192.0.2.1`, `[2001:db8::1]:53`) or files of the form of resolv.conf.

    `policy` random, round_robin or sequential; `protocol` udp or tcp when it is not the asker's ("").
    """

    to: tuple[str, ...]
    policy: str = "random"
    protocol: str = ""


class Waiting(Exception):
    """The answer depends on what `upstreams` say to `question`; asked again with that answer, the server goes on."""

    def __init__(self, question: Question, upstreams: Upstreams) -> None:
        super().__init__(f"{question.name} {question.type}")
        self.question, self.upstreams = question, upstreams

    @property
    def key(self) -> tuple[str, str, Upstreams]:
        return self.question.lower, self.question.type, self.upstreams


@attrs.frozen
class Environment:
    """What plugins reach beyond their directive: the cluster's index, time, chance, upstreams, the server itself.

    `memory(directive)` is the mutable table of a plugin, empty at first; it is forked with the server.
    """

    index: DnsIndex
    clock: Clock
    choices: Choices
    upstream: Callable[[Question, Upstreams], Answer]
    again: Callable[[str, str], Answer]
    local_ips: Callable[[], tuple[str, ...]]
    memory: Callable[[Directive], dict[Any, Any]] = lambda directive: {}
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
    return zones_in(line, line.arguments) or (".",)
