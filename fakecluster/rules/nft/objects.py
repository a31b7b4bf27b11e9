"""What a table holds, and the commands that change it: the vocabulary between `parse` and the kernel."""

from __future__ import annotations

from typing import NoReturn

import attrs

from fakecluster.rules.nft.datatypes import Datatype
from fakecluster.rules.nft.expressions import Element, Expression
from fakecluster.rules.nft.statements import Counter, Limit, Quota, Statement
from fakecluster.rules.nft.tokens import Cursor


@attrs.frozen
class BaseChain:
    """Where a base chain hangs: `kind` filter, nat or route; `priority` as a number."""

    kind: str
    hook: str
    priority: int
    policy: str = "accept"
    policy_given: bool = False


@attrs.frozen
class ChainSpec:
    """A chain's own properties (its rules are apart)."""

    name: str
    base: BaseChain | None = None
    comment: str = ""


@attrs.frozen
class SetSpec:
    """A set's or map's own properties. `key` and `data` are data types (one for each concatenated part).

    `key_typeof`/`data_typeof` are the expressions of a ``typeof`` declaration. `data_kind` is "" for a set, value,
    verdict, or the kind of the objects of an object map (counter, quota, limit). Times are in milliseconds.
    """

    name: str
    key: tuple[Datatype, ...]
    data: tuple[Datatype, ...] = ()
    data_kind: str = ""
    flags: frozenset[str] = frozenset()
    timeout_ms: int = 0
    gc_interval_ms: int = 0
    size: int = 0
    policy: str = ""
    auto_merge: bool = False
    comment: str = ""
    key_typeof: Expression | None = None
    data_typeof: Expression | None = None
    key_bits: tuple[int, ...] = ()
    statements: tuple[Statement, ...] = ()

    @property
    def is_map(self) -> bool:
        return self.data_kind != ""

    @property
    def word(self) -> str:
        return "map" if self.data_kind else "set"


@attrs.frozen
class Rule:
    """One rule: statements in order, its comment, and its handle once the kernel has it (0 before)."""

    statements: tuple[Statement, ...]
    comment: str = ""
    handle: int = attrs.field(default=0, eq=False)


@attrs.frozen
class ObjectSpec:
    """A named counter, quota or limit; `state` holds its parameters and starting values."""

    kind: str
    name: str
    state: Counter | Quota | Limit
    comment: str = ""


@attrs.frozen
class TableName:
    """A table is known by family (ip, ip6, inet) and name."""

    family: str
    name: str

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


@attrs.frozen(eq=False)
class Place:
    """The words `first` to `last` of a text, for errors that come up after parsing."""

    cursor: Cursor
    first: int
    last: int

    def fail(self, reason: str, *, word: str = "") -> NoReturn:
        """Raise NftError pointing at `word` within this place (at its last mention), or at all of it."""
        cursor = self.cursor
        for index in range(self.last, self.first - 1, -1):
            if word and cursor.words[index].strip('"') == word:
                cursor.fail_at(reason, index, index)
        cursor.fail_at(reason, self.first, self.last)


@attrs.frozen(eq=False)
class Command:
    """One thing to do. `place` is where it stands in the text (None when made by hand).

    `verb`: add, create, delete, destroy, flush, list, reset, rename, insert, replace.
    `noun`: table, chain, rule, set, map, element, counter, quota, limit, ruleset, and plurals for list.
    For rules `name` is the chain; `position`/`index` say before or after which rule. For elements it is the set.
    """

    verb: str
    noun: str
    table: TableName | None = None
    name: str = ""
    body: Body = None
    place: Place | None = None
    handle: int = 0
    position: int = 0
    index: int | None = None
    new_name: str = ""


@attrs.frozen
class TableSpec:
    """A table's own properties."""

    comment: str = ""
    flags: frozenset[str] = frozenset()


Body = ChainSpec | SetSpec | Rule | ObjectSpec | TableSpec | tuple[Element, ...] | None
