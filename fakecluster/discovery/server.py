"""A DNS server as CoreDNS builds one: a Corefile's server blocks, each an ordered chain of plugins.

The order is CoreDNS' own (plugin.cfg), not the file's. Each plugin is a function of (question, next) -> Answer; the
chains are visible in `DnsServer.chains`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fakecluster.discovery import corefile, wire
from fakecluster.discovery.chain import Environment
from fakecluster.discovery.index import DnsIndex
from fakecluster.discovery.plugins import PLUGINS, Chain
from fakecluster.discovery.records import Answer, Question
from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.sim import Choices, Clock

#: The Corefile of a cluster that kubeadm set up, as far as it answers queries.
DEFAULT_COREFILE = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
#: Lookups that one question may cause inside the server (CNAME targets, autopath): a loop of aliases ends here.
MAX_DEPTH = 16
REFUSED = Answer("REFUSED", authoritative=False)


@attrs.define
class DnsServer:
    """Answers wire queries; `outside` is asked what the forward plugin would ask its upstream.

    Raises `RuleSyntaxError` for a Corefile that cannot be read and `Unsupported` for a plugin that is not modelled.
    """

    clock: Clock
    choices: Choices
    corefile_text: str = DEFAULT_COREFILE
    outside: Callable[[Question], Answer] = attrs.field(
        default=lambda question: Answer("NXDOMAIN", authoritative=False)
    )
    index: DnsIndex = attrs.field(factory=DnsIndex)
    local_ips: tuple[str, ...] = ()
    chains: list[tuple[corefile.ServerBlock, Chain]] = attrs.field(init=False, factory=list)
    _depth: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.configure(self.corefile_text)

    def configure(self, text: str) -> None:
        """Take another Corefile; the old one stays in force when this one is wrong."""
        environment = Environment(
            self.index, self.clock, self.choices, self.outside, self._again, lambda: self.local_ips
        )
        chains = []
        for block in corefile.parse(text):
            known = {directive.name for directive in block.directives} - PLUGINS.keys()
            if known:
                directive = next(d for d in block.directives if d.name in known)
                raise Unsupported(f"CoreDNS plugin {directive.name}", line=directive.line, token=directive.name)
            chains.append((block, Chain.of(block, environment)))
        if not chains:
            raise RuleSyntaxError("no server block", source="Corefile")
        self.corefile_text, self.chains = text, chains

    def on_change(self, obj: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Take in one API object as it is now (or was, when deleted)."""
        self.index.apply(obj["kind"], obj, deleted=deleted)

    def answer(self, query: bytes, *, source: str = "", tcp: bool = False) -> bytes | None:
        """The response to one message, or None where a real server stays silent; never raises for bad bytes."""
        parsed = wire.parse_query(query, source=source, tcp=tcp)
        if not isinstance(parsed, wire.Query):
            return parsed
        return wire.response(parsed, self.resolve(parsed.question))

    def resolve(self, question: Question) -> Answer:
        """The answer to one question, by the server block with the longest fitting zone (REFUSED without one)."""
        best: tuple[int, Chain] | None = None
        for block, chain in self.chains:
            for zone in block.zones:
                fits = zone == "." or question.lower == zone or question.lower.endswith(f".{zone}")
                if fits and (best is None or len(zone) > best[0]):
                    best = (len(zone), chain)
        return best[1].answer(question) if best else REFUSED

    def fork(self, clock: Clock, choices: Choices) -> DnsServer:
        """The same server over a copy of the index."""
        return DnsServer(clock, choices, self.corefile_text, self.outside, self.index.fork(), self.local_ips)

    def _again(self, name: str, rtype: str) -> Answer:
        if self._depth >= MAX_DEPTH:
            return Answer("SERVFAIL")
        self._depth += 1
        try:
            return self.resolve(Question(name, rtype))
        finally:
            self._depth -= 1
