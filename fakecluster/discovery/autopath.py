"""The `autopath @kubernetes` plugin: the server walks the Pod's search path itself (plugin/autopath, kubernetes)."""

from __future__ import annotations

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, in_zones
from fakecluster.discovery.corefile import Directive, zones_in
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.errors import Unsupported


def autopath(directive: Directive, environment: Environment) -> Handler:
    if not directive.arguments or directive.arguments[-1] != "@kubernetes":
        raise Unsupported("autopath other than @kubernetes", line=directive.line, source="Corefile")
    zones = zones_in(directive, directive.arguments[:-1]) or environment.zones
    block = environment.block
    cluster_zones = [
        zone
        for other in (block.directives if block else ())
        if other.name == "kubernetes"
        for zone in zones_in(other, other.arguments)
    ]

    def handle(question: Question, ask_next: Next) -> Answer:
        if question.type not in ("A", "AAAA") or not in_zones(question.lower, zones):
            return ask_next(question)
        path = search_path(question, environment, cluster_zones)
        if not path or not question.lower.endswith(f".{path[0]}"):
            return ask_next(question)
        return walk(question, path, ask_next)

    return handle


def search_path(question: Question, environment: Environment, zones: list[str]) -> list[str]:
    """The search list of the Pod that asks, ending with the bare name; empty when no Pod has that address."""
    zone = max((zone for zone in zones if in_zones(question.lower, (zone,))), key=len, default="")
    pod = next(iter(environment.index.pods.get(question.source, {})), None)
    if not zone or pod is None:
        return []
    return [f"{pod[0]}.svc.{zone}", f"svc.{zone}", zone, ""]


def walk(question: Question, path: list[str], ask_next: Next) -> Answer:
    base = question.name[: -len(path[0])]
    first: Answer | None = None
    for suffix in path:
        name = f"{base}{suffix}" if suffix else base
        answer = ask_next(attrs.evolve(question, name=name))
        first = first or answer
        if answer.rcode == "NXDOMAIN":
            continue
        if answer.answer and answer.answer[0].name != question.name:
            alias = Record(question.name, answer.answer[0].ttl_s, "CNAME", answer.answer[0].name)
            return attrs.evolve(answer, answer=(alias, *answer.answer))
        return answer
    return first if first is not None else ask_next(question)
