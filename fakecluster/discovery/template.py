"""The `template` plugin's basics: answers made from a pattern (plugin/template)."""

from __future__ import annotations

import re

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, fallthrough_zones, in_zones, wrong
from fakecluster.discovery.corefile import Directive, zones_in
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.errors import Unsupported

_FIELD = re.compile(
    r"\{\{\s*(?:\.(?P<name>Name|Type|Zone)|\.Group\.(?P<group>\w+)|index \.Match (?P<index>\d+))\s*\}\}"
)
RCODES = ("NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR")


@attrs.frozen
class Pattern:
    qtype: str
    zones: tuple[str, ...]
    matches: tuple[re.Pattern[str], ...]
    answers: tuple[str, ...]
    additional: tuple[str, ...]
    authority: tuple[str, ...]
    rcode: str
    fallthrough: tuple[str, ...] | None


def template(directive: Directive, environment: Environment) -> Handler:
    pattern = template_pattern(directive, environment.zones)

    def handle(question: Question, ask_next: Next) -> Answer:
        if not in_zones(question.lower, pattern.zones) or pattern.qtype not in ("ANY", question.type):
            return ask_next(question)
        match = next((found for regex in pattern.matches if (found := regex.search(question.name))), None)
        if match is None:
            through = pattern.fallthrough is not None and in_zones(question.lower, pattern.fallthrough)
            return ask_next(question) if through else Answer("NXDOMAIN")
        return Answer(
            pattern.rcode,
            tuple(_record(text, question, match) for text in pattern.answers),
            tuple(_record(text, question, match) for text in pattern.authority),
            tuple(_record(text, question, match) for text in pattern.additional),
        )

    return handle


def template_pattern(directive: Directive, default_zones: tuple[str, ...]) -> Pattern:
    if len(directive.arguments) < 2:
        raise wrong(directive, "Wrong argument count or unexpected line ending")
    zones = zones_in(directive, directive.arguments[2:]) or default_zones
    texts: dict[str, list[str]] = {"answer": [], "additional": [], "authority": [], "match": []}
    rcode, fallthrough = "NOERROR", None
    for line in directive.block:
        if line.name == "match":
            texts["match"] += line.arguments
        elif line.name in texts:
            texts[line.name].append(" ".join(line.arguments))
        elif line.name == "rcode" and line.arguments and line.arguments[0] in RCODES:
            rcode = line.arguments[0]
        elif line.name == "fallthrough":
            fallthrough = fallthrough_zones(line)
        else:
            raise Unsupported(f"template option {line.name}", line=line.line, token=line.name, source="Corefile")
    for text in (*texts["answer"], *texts["additional"], *texts["authority"]):
        if "{{" in _FIELD.sub("", text):
            raise Unsupported(f"template expression in {text!r}", line=directive.line, source="Corefile")
    try:
        matches = tuple(re.compile(text) for text in texts["match"] or [".*"])
    except re.error as bad:
        raise wrong(directive, f"could not parse regex: {bad}") from None
    return Pattern(
        directive.arguments[1].upper(),
        zones,
        matches,
        tuple(texts["answer"]),
        tuple(texts["additional"]),
        tuple(texts["authority"]),
        rcode,
        fallthrough,
    )


def _record(text: str, question: Question, match: re.Match[str]) -> Record:
    def value(field: re.Match[str]) -> str:
        if field["group"]:
            return match[field["group"]] or ""
        if field["index"]:
            return match[int(field["index"])] or ""
        return {"Name": question.name, "Type": question.type, "Zone": "."}[field["name"]]

    words = _FIELD.sub(value, text).split()
    ttl = next((int(word) for word in words[1:] if word.isdigit()), 3600)
    rest = [word for word in words[1:] if word != "IN"]
    if rest and rest[0].isdigit():
        rest = rest[1:]
    return Record(words[0], ttl, rest[0], " ".join(rest[1:]))
