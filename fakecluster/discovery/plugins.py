"""The plugins of a server block, in CoreDNS' order (plugin.cfg): each answers or asks the next.

A plugin that maps to None changes nothing about answers (it reports, serves metrics, or reloads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from fakecluster.discovery.autopath import autopath
from fakecluster.discovery.cache import cache
from fakecluster.discovery.chain import Environment, Handler, Next, fallthrough_zones, number, wrong
from fakecluster.discovery.corefile import Directive, ServerBlock, zones_in
from fakecluster.discovery.forward import forward
from fakecluster.discovery.hosts import hosts
from fakecluster.discovery.kubernetes import KubernetesZone, Options
from fakecluster.discovery.records import Answer, Question, Record
from fakecluster.discovery.rewrite import rewrite
from fakecluster.discovery.template import template
from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.sim import Choices

NO_NEXT = Answer("SERVFAIL", authoritative=False)


def kubernetes(directive: Directive, environment: Environment) -> Handler:
    """The cluster's zone (plugin/kubernetes)."""
    options = kubernetes_options(directive, environment.zones)

    def handle(question: Question, ask_next: Next) -> Answer:
        serial = environment.clock.unix_s
        zone = KubernetesZone(environment.index, options, serial, environment.local_ips())
        return zone.answer(question, environment.again) or ask_next(question)

    return handle


def kubernetes_options(directive: Directive, default_zones: tuple[str, ...]) -> Options:
    zones = zones_in(directive, directive.arguments) or default_zones
    options = Options(zones=zones)
    for line in directive.block:
        setter = _KUBERNETES_OPTIONS.get(line.name)
        if setter is None:
            raise Unsupported(f"kubernetes option {line.name}", line=line.line, token=line.name, source="Corefile")
        options = setter(options, line)
    return options


def _pods(options: Options, line: Directive) -> Options:
    if line.arguments[:1] not in (("disabled",), ("insecure",), ("verified",)):
        raise wrong(
            line, f"wrong value for pods: {' '.join(line.arguments)},  must be one of: disabled, verified, insecure"
        )
    return attrs.evolve(options, pods=line.arguments[0])


def _ttl(options: Options, line: Directive) -> Options:
    ttl = number(line, 0)
    if not 0 <= ttl <= 3600:
        raise wrong(line, f"ttl must be in range [0, 3600]: {ttl}")
    return attrs.evolve(options, ttl_s=ttl)


def _fallthrough(options: Options, line: Directive) -> Options:
    return attrs.evolve(options, fallthrough=fallthrough_zones(line))


def _ignore(options: Options, line: Directive) -> Options:
    if line.arguments != ("empty_service",):
        raise wrong(line, f"unable to parse ignore value: '{' '.join(line.arguments)}'")
    return attrs.evolve(options, ignore_empty_service=True)


_KUBERNETES_OPTIONS: dict[str, Callable[[Options, Directive], Options]] = {
    "pods": _pods,
    "ttl": _ttl,
    "fallthrough": _fallthrough,
    "ignore": _ignore,
    "namespaces": lambda options, line: attrs.evolve(options, namespaces=line.arguments),
    "endpoint_pod_names": lambda options, line: attrs.evolve(options, endpoint_pod_names=True),
    "noendpoints": lambda options, line: attrs.evolve(options, no_endpoints=True),
}


def loadbalance(directive: Directive, environment: Environment) -> Handler:
    """Shuffle addresses, CNAMEs first (plugin/loadbalance round_robin). Which comes first is a choice that matters."""
    if directive.arguments not in ((), ("round_robin",)):
        raise Unsupported("loadbalance " + " ".join(directive.arguments), line=directive.line, source="Corefile")

    def handle(question: Question, ask_next: Next) -> Answer:
        answer = ask_next(question)
        if len(answer.answer) < 2:
            return answer
        return attrs.evolve(answer, answer=shuffled(answer.answer, environment.choices, question))

    return handle


def shuffled(records: Sequence[Record], choices: Choices, question: Question) -> tuple[Record, ...]:
    first = [record for record in records if record.type == "CNAME"]
    addresses = [record for record in records if record.type in ("A", "AAAA")]
    rest = [record for record in records if record.type not in ("CNAME", "A", "AAAA")]
    order: list[Record] = []
    if addresses:
        head = choices.pick([1] * len(addresses), f"first address of {question.name}") if len(addresses) > 1 else 0
        order.append(addresses.pop(head))
    while addresses:
        order.append(addresses.pop(choices.draw(len(addresses), "order of further addresses")))
    return (*first, *rest, *order)


#: Every plugin that a Corefile may name, in the order in which they handle a query (CoreDNS' plugin.cfg).
PLUGINS: dict[str, Callable[[Directive, Environment], Handler] | None] = {
    "cancel": None, "reload": None, "debug": None, "ready": None, "health": None, "pprof": None,
    "bind": None, "prometheus": None, "errors": None, "log": None,
    "loadbalance": loadbalance,
    "cache": cache,
    "rewrite": rewrite,
    "autopath": autopath,
    "template": template,
    "hosts": hosts,
    "kubernetes": kubernetes,
    "loop": None,
    "forward": forward,
}  # fmt: skip


#: Directives of CoreDNS 1.13 that are no more than known here (plugin.cfg).
NOT_MODELLED = frozenset({
    "root", "metadata", "geoip", "tls", "quic", "timeouts", "multisocket", "nsid", "bufsize", "trace", "dnstap",
    "local", "dns64", "acl", "any", "chaos", "tsig", "header", "dnssec", "minimal", "transfer", "route53", "azure",
    "clouddns", "nomad", "k8s_external", "file", "auto", "secondary", "etcd", "grpc", "grpc_server", "erratic",
    "whoami", "on", "sign", "view", "import",
})  # fmt: skip


@attrs.frozen
class Chain:
    """The handlers of one server block, in order, with their names."""

    handlers: tuple[tuple[str, Handler], ...]

    @classmethod
    def of(cls, block: ServerBlock, environment: Environment) -> Chain:
        """Build every plugin of a block. Raises `RuleSyntaxError`, `Unsupported`."""
        environment = attrs.evolve(environment, block=block)
        for directive in block.directives:
            if directive.name in NOT_MODELLED:
                raise Unsupported(
                    f"CoreDNS plugin {directive.name}",
                    line=directive.line,
                    token=directive.name,
                    source="Corefile",
                )
            if directive.name not in PLUGINS:
                reason = f"Error during parsing: Unknown directive '{directive.name}'"
                raise RuleSyntaxError(reason, line=directive.line, token=directive.name, source="Corefile")
        return cls(
            tuple(
                (name, build(directive, environment))
                for name, build in PLUGINS.items()
                for directive in block.directives
                if directive.name == name and build is not None
            )
        )

    def answer(self, question: Question) -> Answer:
        return self._from(0, question)

    def _from(self, position: int, question: Question) -> Answer:
        if position == len(self.handlers):
            return NO_NEXT
        return self.handlers[position][1](question, lambda further: self._from(position + 1, further))
