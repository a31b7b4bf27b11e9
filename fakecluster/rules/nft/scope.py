"""What a parser knows of the world outside the text: sets that exist, interfaces, the rule's protocol so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from fakecluster.rules.nft.expressions import Const, Element, Payload
from fakecluster.rules.nft.headers import PROTOCOL_NUMBERS
from fakecluster.rules.nft.objects import SetSpec, TableName
from fakecluster.rules.nft.selectors import META
from fakecluster.rules.nft.statements import Match, Statement
from fakecluster.rules.nft.tokens import Cursor


class Known(Protocol):
    """What is already loaded: asked when a text refers to a set it does not declare itself."""

    def set_spec(self, table: TableName, name: str) -> SetSpec | None: ...

    def interface_exists(self, name: str) -> bool: ...


class Nothing:
    """An empty world that takes every interface name (for reading a file on its own)."""

    def set_spec(self, table: TableName, name: str) -> SetSpec | None:
        return None

    def interface_exists(self, name: str) -> bool:
        return True


@attrs.define(eq=False)
class Scope:
    """One text being parsed: the world, and the sets declared so far."""

    known: Known
    declared: dict[tuple[TableName, str], SetSpec] = attrs.field(factory=dict)
    anonymous_specs: int = 0
    files: Mapping[str, str] = attrs.field(factory=dict)

    def set_spec(self, table: TableName, name: str) -> SetSpec | None:
        return self.declared.get((table, name)) or self.known.set_spec(table, name)


NETWORK_FAMILIES = {"ip": 2, "ip6": 10}


@attrs.define(eq=False)
class RuleContext:
    """One rule being parsed: its table, what is known of the packet's protocols, and the statements so far.

    `link` is ether or unknown after ``meta iiftype``; `network` is ip, ip6 or "" (not known yet); `transport` a
    protocol's name or ""; `any_transport` after a match on several protocols. Positions in `statements` of explicit
    protocol matches that a later field makes superfluous in print are kept in `link_match`, `network_match` and
    `transport_match`. `network_words` and `transport_words` are where the text said those protocols, `left_words` is the
    left side of the relation being read: for tildes under errors. `members` are those of the last anonymous set as the
    text has them; `one_of` the transport protocols of such a set. Source: nft's proto_ctx and payload dependencies.
    """

    cursor: Cursor
    scope: Scope
    table: TableName
    statements: list[Statement] = attrs.field(factory=list)
    link: str = ""
    network: str = ""
    transport: str = ""
    any_transport: bool = False
    link_match: int | None = None
    network_match: int | None = None
    transport_match: int | None = None
    network_words: tuple[int, int] | None = None
    transport_words: tuple[int, int] | None = None
    left_words: tuple[int, int] | None = None
    members: tuple[Element, ...] = ()
    one_of: tuple[str, ...] = ()
    in_set: Callable[[], bool] | None = None

    def __attrs_post_init__(self) -> None:
        if self.table.family in NETWORK_FAMILIES:
            self.network = self.table.family

    def require(self, payload: Payload, first: int) -> None:
        """See to it that the rule has matched the protocol that `payload` belongs to. `first`: word for errors."""
        if payload.base == "network" and payload.protocol:
            self.require_network(payload.protocol, first)
        elif payload.base == "transport" and payload.protocol in PROTOCOL_NUMBERS:
            self.require_transport(payload.protocol, first)

    def require_network(self, protocol: str, first: int) -> None:
        if self.network == protocol:
            self._hide(self.network_match)
            self.network_match = None
            return
        other = self.network or (self.link if self.link == "unknown" else "")
        if other:
            self.cursor.fail_at(f"conflicting protocols specified: {other} vs. {protocol}", first)
        self._hide(self.link_match)
        self.network, self.network_words = protocol, (first, self.cursor.at - 1)
        self.statements.append(_protocol_match("nfproto", NETWORK_FAMILIES[protocol]))

    def require_transport(self, protocol: str, first: int) -> None:
        other = next((each for each in self.one_of if each != protocol), "")
        if other:
            self.cursor.fail_at(f"conflicting protocols specified: {other} vs. {protocol}", first)
        if self.transport == protocol:
            self._hide(self.transport_match)
            self.transport_match = None
            return
        if self.transport:
            self.cursor.fail_at(f"conflicting protocols specified: {self.transport} vs. {protocol}", first)
        self.transport, self.transport_words = protocol, (first, self.cursor.at - 1)
        self.statements.append(_protocol_match("l4proto", PROTOCOL_NUMBERS[protocol]))

    def action_follows(self) -> None:
        """A statement other than a match: what was matched before it stays visible."""
        self.link_match = self.network_match = self.transport_match = None

    def _hide(self, index: int | None) -> None:
        if index is None:
            return
        match = self.statements[index]
        if isinstance(match, Match):
            self.statements[index] = attrs.evolve(match, implicit=True)


def _protocol_match(key: str, number: int) -> Match:
    return Match(META[key], "==", Const(META[key].datatype, number), implicit=True)
