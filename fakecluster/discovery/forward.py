"""The `forward` plugin: questions passed on to upstream servers (plugin/forward).

The plugin decides what is asked of whom; sending the packets and waiting is up to the process that the server runs in.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import attrs

from fakecluster.discovery.chain import Environment, Handler, Next, Upstreams, in_zones, number, wrong
from fakecluster.discovery.corefile import Directive, zones_in
from fakecluster.discovery.records import Answer, Question
from fakecluster.errors import Unsupported

#: How long one upstream may take (plugin/pkg/proxy readTimeout), and all of them together (defaultTimeout).
READ_TIMEOUT_S, TOTAL_TIMEOUT_S = 2.0, 5.0
#: The upstreams that one directive may name (plugin/forward/setup.go).
MAX_UPSTREAMS = 15
DNS_PORT = 53
POLICIES = ("random", "round_robin", "sequential")


@attrs.frozen
class Forwarding:
    """One `forward` line: the zone that it takes, what it leaves to the next plugin, and whom it asks."""

    zones: tuple[str, ...]
    upstreams: Upstreams
    excepted: tuple[str, ...] = ()

    def concerns(self, lower: str) -> bool:
        return in_zones(lower, self.zones) and not in_zones(lower, self.excepted)


def forward(directive: Directive, environment: Environment) -> Handler:
    forwarding = forwarding_of(directive)

    def handle(question: Question, ask_next: Next) -> Answer:
        if not forwarding.concerns(question.lower):
            return ask_next(question)
        return environment.upstream(question, forwarding.upstreams)

    return handle


def forwarding_of(directive: Directive) -> Forwarding:
    """Read `forward FROM TO... { ... }`. Raises `RuleSyntaxError`, `Unsupported`."""
    if len(directive.arguments) < 2:
        raise wrong(directive, "Wrong argument count or unexpected line ending")
    zone, *to = directive.arguments
    if len(to) > MAX_UPSTREAMS:
        raise wrong(directive, f"more than {MAX_UPSTREAMS} TOs configured: {len(to)}")
    for text in to:
        _check(text, directive)
    result = Forwarding(zones_in(directive, (zone,)), Upstreams(tuple(text.removeprefix("dns://") for text in to)))
    for line in directive.block:
        option = _OPTIONS.get(line.name)
        if option is None:
            if line.name in _REFUSED:
                raise Unsupported(f"forward option {line.name}", line=line.line, token=line.name, source="Corefile")
            raise wrong(line, f"unknown property '{line.name}'")
        result = option(result, line)
    return result


def _check(text: str, directive: Directive) -> None:
    if "://" in text and not text.startswith("dns://"):
        raise Unsupported(f"forward to {text}", line=directive.line, token=text, source="Corefile")
    if not is_file(text) and server_address(text) is None:
        raise wrong(directive, f'not an IP address or file: "{text}"')


def is_file(text: str) -> bool:
    """Whether an upstream is named by a file of nameservers, such as /etc/resolv.conf."""
    return text.startswith("/")


def server_address(text: str) -> tuple[str, int] | None:
    """The (address, port) that `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:53` spells; None when none is."""
    text = text.removeprefix("dns://")
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        return str(ip_address(host)), int(port) if port else DNS_PORT
    except ValueError:
        return None


def _except(forwarding: Forwarding, line: Directive) -> Forwarding:
    if not line.arguments:
        raise wrong(line, "Wrong argument count or unexpected line ending")
    zones = zones_in(line, line.arguments)
    return attrs.evolve(forwarding, excepted=(*forwarding.excepted, *zones))


def _protocol(forwarding: Forwarding, line: Directive) -> Forwarding:
    if line.arguments:
        raise wrong(line, "Wrong argument count or unexpected line ending")
    if forwarding.upstreams.protocol == "tcp":  # force_tcp wins over prefer_udp
        return forwarding
    protocol = {"force_tcp": "tcp", "prefer_udp": "udp"}[line.name]
    return attrs.evolve(forwarding, upstreams=attrs.evolve(forwarding.upstreams, protocol=protocol))


def _policy(forwarding: Forwarding, line: Directive) -> Forwarding:
    if line.arguments[:1] and line.arguments[0] in POLICIES:
        return attrs.evolve(forwarding, upstreams=attrs.evolve(forwarding.upstreams, policy=line.arguments[0]))
    raise wrong(line, f"unknown policy '{' '.join(line.arguments)}'")


def _count(forwarding: Forwarding, line: Directive) -> Forwarding:
    number(line, 0)
    return forwarding


def _duration(forwarding: Forwarding, line: Directive) -> Forwarding:
    if not line.arguments:
        raise wrong(line, "Wrong argument count or unexpected line ending")
    return forwarding


#: What each line of the block means; those of connections and health checks change no answer that is modelled.
_OPTIONS: dict[str, Callable[[Forwarding, Directive], Forwarding]] = {
    "except": _except,
    "force_tcp": _protocol,
    "prefer_udp": _protocol,
    "policy": _policy,
    "max_concurrent": _count,
    "max_fails": _count,
    "expire": _duration,
    "health_check": _duration,
}
_REFUSED = frozenset({"tls", "tls_servername", "next", "failfast_all_unhealthy_upstreams", "failover", "max_age"})
