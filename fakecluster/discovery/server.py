"""A DNS server as CoreDNS builds one: a Corefile's server blocks, each an ordered chain of plugins.

The order is CoreDNS' own (plugin.cfg), not the file's. Each plugin is a function of (question, next) -> Answer; the
chains are visible in `DnsServer.chains`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fakecluster.discovery import corefile, wire
from fakecluster.discovery.chain import Environment, Upstreams, Waiting
from fakecluster.discovery.index import DnsIndex
from fakecluster.discovery.plugins import Chain
from fakecluster.discovery.records import Answer, Question
from fakecluster.errors import FakeclusterError, RuleSyntaxError
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
#: What the upstreams have said so far while one query is answered, by `Waiting.key`.
Known = Mapping[tuple[str, str, Upstreams], Answer]


@attrs.define
class DnsServer:
    """Answers wire queries from an index of API objects, as its Corefile says.

    With `outside`, forward's questions are answered by that function; without one, `answer` raises `Waiting` for them
    and is called again with what is `known` by then. Raises `RuleSyntaxError` for a Corefile that cannot be read and
    `Unsupported` for what is not modelled.
    """

    clock: Clock
    choices: Choices
    corefile_text: str = DEFAULT_COREFILE
    outside: Callable[[Question], Answer] | None = None
    index: DnsIndex = attrs.field(factory=DnsIndex)
    local_ips: tuple[str, ...] = ()
    blocks: tuple[corefile.ServerBlock, ...] = attrs.field(init=False, default=())
    _chains: dict[str, Chain] | None = attrs.field(init=False, default=None)
    _memories: dict[int, dict[Any, Any]] = attrs.field(init=False, factory=dict)
    _known: Known = attrs.field(init=False, factory=dict)
    _depth: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.configure(self.corefile_text)

    def configure(self, text: str) -> None:
        """Take another Corefile, with empty caches; the old one stays in force when this one is wrong."""
        before = self.blocks, self._chains, self._memories
        self.blocks, self._memories = corefile.parse(text), {}
        try:
            if not self.blocks:
                raise RuleSyntaxError("no server block", source="Corefile")
            self._chains = self._built()
        except FakeclusterError:
            self.blocks, self._chains, self._memories = before
            raise
        self.corefile_text = text

    @property
    def chains(self) -> Mapping[str, Chain]:
        """The plugins that answer for each zone; a fork makes its own when it is first asked."""
        if self._chains is None:
            self._chains = self._built()
        return self._chains

    def _built(self) -> dict[str, Chain]:
        environment = Environment(
            self.index, self.clock, self.choices, self._upstream, self._again, lambda: self.local_ips, self._memory
        )
        chains: dict[str, Chain] = {}
        for block in self.blocks:
            chain = Chain.of(block, environment)
            chains |= dict.fromkeys(block.zones, chain)
        return chains

    def _memory(self, directive: corefile.Directive) -> dict[Any, Any]:
        return self._memories.setdefault(directive.line, {})

    @property
    def reloads(self) -> bool:
        """Whether the reload plugin watches the Corefile."""
        return any(directive.name == "reload" for block in self.blocks for directive in block.directives)

    @property
    def logs(self) -> bool:
        """Whether the log plugin writes a line about every query."""
        return any(directive.name == "log" for block in self.blocks for directive in block.directives)

    def on_change(self, obj: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Take in one API object as it is now (or was, when deleted)."""
        self.index.apply(obj["kind"], obj, deleted=deleted)

    def answer(self, query: bytes, *, source: str = "", tcp: bool = False, known: Known | None = None) -> bytes | None:
        """The response to one message, or None where a real server stays silent; never raises for bad bytes."""
        parsed = wire.parse_query(query, source=source, tcp=tcp)
        if not isinstance(parsed, wire.Query):
            return parsed
        self._known = known or {}
        return wire.response(parsed, self.resolve(parsed.question))

    def resolve(self, question: Question) -> Answer:
        """The answer to one question, by the server block with the longest fitting zone (REFUSED without one)."""
        chains, zone = self.chains, question.lower
        while zone not in chains:
            if zone == ".":
                return REFUSED
            zone = zone.partition(".")[2] or "."
        return chains[zone].answer(question)

    def fork(self, clock: Clock, choices: Choices, index: DnsIndex | None = None) -> DnsServer:
        """The same server with copies of its caches, over `index` (a copy of its own unless one is given)."""
        copy = DnsServer.__new__(DnsServer)
        copy.clock, copy.choices, copy.corefile_text, copy.outside = clock, choices, self.corefile_text, self.outside
        copy.index = self.index.fork() if index is None else index
        copy.local_ips, copy.blocks = self.local_ips, self.blocks
        copy._chains, copy._known, copy._depth = None, {}, 0
        copy._memories = {line: table.copy() for line, table in self._memories.items()}
        return copy

    def _upstream(self, question: Question, upstreams: Upstreams) -> Answer:
        if self.outside is not None:
            return self.outside(question)
        waiting = Waiting(question, upstreams)
        answer = self._known.get(waiting.key)
        if answer is None:
            raise waiting
        return answer

    def _again(self, name: str, rtype: str) -> Answer:
        if self._depth >= MAX_DEPTH:
            return Answer("SERVFAIL")
        self._depth += 1
        try:
            return self.resolve(Question(name, rtype))
        finally:
            self._depth -= 1
