"""The `rewrite` plugin: names, types and TTLs changed on the way in and put back on the way out (plugin/rewrite)."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, wrong
from fakecluster.discovery.corefile import Directive
from fakecluster.discovery.kubernetes import absolute
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.errors import Unsupported

#: Gives the new name, or None when the rule does not concern this name (absolute, lower case).
NameRule = Callable[[str], str | None]


def rewrite(directive: Directive, environment: Environment) -> Handler:
    arguments = list(directive.arguments)
    if arguments and arguments[0] in ("stop", "continue") and arguments.pop(0) == "continue":
        raise Unsupported("rewrite continue", line=directive.line, source="Corefile")
    if not arguments:
        raise wrong(directive, "too few arguments for a rewrite rule")
    builder = _FIELDS.get(arguments[0])
    if builder is None:
        raise Unsupported(f"rewrite {arguments[0]}", line=directive.line, token=arguments[0], source="Corefile")
    return builder(directive, arguments[1:])


def _name(directive: Directive, arguments: list[str]) -> Handler:
    kind = arguments.pop(0) if arguments and arguments[0] in _NAME_RULES else "exact"
    answer_auto = arguments[2:4] == ["answer", "auto"] or kind == "exact"
    if len(arguments) < 2 or (len(arguments) > 2 and arguments[2:4] != ["answer", "auto"]):
        raise wrong(directive, f"unsupported arguments {' '.join(arguments)}")
    rule = _NAME_RULES[kind](arguments[0], arguments[1], directive)

    def handle(question: Question, ask_next: Next) -> Answer:
        name = rule(question.lower)
        if name is None:
            return ask_next(question)
        answer = ask_next(attrs.evolve(question, name=name))
        return renamed(answer, name, question.name) if answer_auto else answer

    return handle


def renamed(answer: Answer, before: str, after: str) -> Answer:
    def back(record: Record) -> Record:
        return attrs.evolve(record, name=after) if record.name.lower() == before.lower() else record

    return attrs.evolve(answer, answer=tuple(map(back, answer.answer)), additional=tuple(map(back, answer.additional)))


def _exact(before: str, after: str, _: Directive) -> NameRule:
    return lambda lower: absolute(after) if lower == absolute(before.lower()) else None


def _prefix(before: str, after: str, _: Directive) -> NameRule:
    return lambda lower: after + lower[len(before) :] if lower.startswith(before.lower()) else None


def _suffix(before: str, after: str, _: Directive) -> NameRule:
    old, new = absolute(before.lower()), absolute(after)
    return lambda lower: lower[: -len(old)] + new if lower.endswith(old) else None


def _substring(before: str, after: str, _: Directive) -> NameRule:
    return lambda lower: lower.replace(before.lower(), after) if before.lower() in lower else None


def _regex(before: str, after: str, directive: Directive) -> NameRule:
    try:
        pattern = re.compile(before)
    except re.error as bad:
        raise wrong(directive, f"invalid regex pattern in a name rule: {before}: {bad}") from None

    def rule(lower: str) -> str | None:
        match = pattern.search(lower)
        if match is None:
            return None
        return absolute(re.sub(r"\{(\d+)\}", lambda group: match[int(group[1])] or "", after))

    return rule


_NAME_RULES: dict[str, Callable[[str, str, Directive], NameRule]] = {
    "exact": _exact,
    "prefix": _prefix,
    "suffix": _suffix,
    "substring": _substring,
    "regex": _regex,
}


def _type(directive: Directive, arguments: list[str]) -> Handler:
    if len(arguments) != 2:
        raise wrong(directive, "type rules must have exactly two arguments")
    before, after = (text.upper() for text in arguments)

    def handle(question: Question, ask_next: Next) -> Answer:
        return ask_next(attrs.evolve(question, type=after) if question.type == before else question)

    return handle


_FIELDS: dict[str, Callable[[Directive, list[str]], Handler]] = {"name": _name, "type": _type}
