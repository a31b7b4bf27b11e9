"""The `cache` plugin: answers kept for their TTL, on the virtual clock (CoreDNS plugin/cache)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, in_zones, number, wrong
from fakecluster.discovery.corefile import Directive, zones_in
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.errors import Unsupported

MAX_TTL_S, MAX_DENIAL_TTL_S, MIN_TTL_S, FAIL_TTL_S = 3600, 1800, 5, 5
#: dnsutil.MinimalTTL: the cap when records have no smaller TTL, and the value when there are no records.
MAXIMUM_DEFAULT_TTL_S, MINIMAL_DEFAULT_TTL_S = 3600, 5
#: Entries kept (the real default is 9984 for each of the two halves, evicted at random).
CAPACITY = 9984


@attrs.frozen
class Settings:
    zones: tuple[str, ...] = (".",)
    success_ttl_s: int = MAX_TTL_S
    denial_ttl_s: int = MAX_DENIAL_TTL_S
    no_success: tuple[str, ...] = ()
    no_denial: tuple[str, ...] = ()


@attrs.frozen
class Item:
    answer: Answer
    stored_ns: int
    ttl_s: int


def cache(directive: Directive, environment: Environment) -> Handler:
    settings = cache_settings(directive, environment.zones)
    items: dict[tuple[str, str], Item] = environment.memory(directive)
    clock = environment.clock

    def handle(question: Question, ask_next: Next) -> Answer:
        if not in_zones(question.lower, settings.zones):
            return ask_next(question)
        key = (question.lower, question.type)
        item = items.get(key)
        if item is not None:
            left = item.ttl_s - (clock.now_ns - item.stored_ns) // 1_000_000_000
            if left > 0:
                return attrs.evolve(with_ttl(item.answer, int(left), question.name), authoritative=True)
            del items[key]
        answer = ask_next(question)
        ttl = ttl_of(answer, settings)
        excepted = settings.no_denial if is_denial(answer) else settings.no_success
        if ttl > 0 and not answer.truncated and cacheable(answer) and not in_zones(question.lower, excepted):
            if len(items) >= CAPACITY:
                del items[next(iter(items))]
            items[key] = Item(answer, clock.now_ns, ttl)
        return with_ttl(answer, ttl)

    return handle


def cache_settings(directive: Directive, default_zones: tuple[str, ...]) -> Settings:
    arguments = list(directive.arguments)
    settings = Settings()
    if arguments and arguments[0].isdigit():
        ttl = int(arguments.pop(0))
        if ttl <= 0:
            raise wrong(directive, f"cache TTL can not be zero or negative: {ttl}")
        settings = attrs.evolve(settings, success_ttl_s=ttl, denial_ttl_s=ttl)
    settings = attrs.evolve(settings, zones=zones_in(directive, arguments) or default_zones)
    for line in directive.block:
        settings = _option(settings, line)
    return settings


def _option(settings: Settings, line: Directive) -> Settings:
    if line.name == "disable" and line.arguments[:1] in (("success",), ("denial",)):
        zones = zones_in(line, line.arguments[1:]) or (".",)
        return (
            attrs.evolve(settings, no_success=zones)
            if line.arguments[0] == "success"
            else attrs.evolve(settings, no_denial=zones)
        )
    if line.name in ("success", "denial"):
        number(line, 0)  # the capacity
        if len(line.arguments) == 1:
            return settings
        ttl = number(line, 1)
        success = line.name == "success"
        return attrs.evolve(settings, success_ttl_s=ttl) if success else attrs.evolve(settings, denial_ttl_s=ttl)
    raise Unsupported(f"cache option {line.name}", line=line.line, token=line.name, source="Corefile")


def is_denial(answer: Answer) -> bool:
    return answer.rcode == "NXDOMAIN" or (answer.rcode == "NOERROR" and not answer.answer)


def cacheable(answer: Answer) -> bool:
    """response.Typify: positive answers, denials that carry an SOA, and server failures are kept."""
    if answer.rcode == "SERVFAIL" or (answer.rcode == "NOERROR" and answer.answer):
        return True
    return answer.rcode in ("NOERROR", "NXDOMAIN") and any(record.type == "SOA" for record in answer.authority)


def ttl_of(answer: Answer, settings: Settings) -> int:
    """How long an answer may be kept, seconds; all its records are then given this TTL."""
    if answer.rcode == "SERVFAIL":
        return FAIL_TTL_S
    records = (*answer.answer, *answer.authority, *answer.additional)
    ttl = min((_ttl(record, answer) for record in records), default=MINIMAL_DEFAULT_TTL_S)
    if not cacheable(answer):
        ttl = MINIMAL_DEFAULT_TTL_S
    limit = settings.denial_ttl_s if is_denial(answer) else settings.success_ttl_s
    return min(max(min(ttl, MAXIMUM_DEFAULT_TTL_S), MIN_TTL_S), limit)


def _ttl(record: Record, answer: Answer) -> int:
    if record.type == "SOA" and is_denial(answer):
        return min(record.ttl_s, int(record.data.split()[-1]))
    return record.ttl_s


def with_ttl(answer: Answer, ttl_s: int, name: str = "") -> Answer:
    """The answer with every TTL replaced, and owner names spelled as `name` where they are the same name."""

    def stamped(records: Sequence[Record]) -> tuple[Record, ...]:
        return tuple(
            Record(
                name if name and record.name.lower() == name.lower() else record.name, ttl_s, record.type, record.data
            )
            for record in records
        )

    return attrs.evolve(
        answer,
        answer=stamped(answer.answer),
        authority=stamped(answer.authority),
        additional=stamped(answer.additional),
    )
