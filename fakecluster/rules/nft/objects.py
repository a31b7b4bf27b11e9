"""What a table holds, and the commands that change it: the vocabulary between `parse` and the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Protocol

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


class Written(Protocol):
    """The shape that a rule was recognised by (`shapes.Shape`): it reads the rule's text when somebody looks inside."""

    def read(self, text: str) -> tuple[tuple[Statement, ...], str]: ...


class Rule:
    """One rule: statements in order, its comment, and its handle once the kernel has it (0 before).

    Never changed after it was made. A rule of a known shape keeps the text it was written as and is taken apart when
    somebody looks inside, so that loading hundreds of thousands of them is cheap; `targets` are the chains that it then
    leads to. Rules are alike when their statements and comments are equal.
    """

    __slots__ = ("_comment", "_statements", "handle", "shape", "targets", "text")

    def __init__(
        self,
        statements: tuple[Statement, ...] | None,
        comment: str = "",
        handle: int = 0,
        shape: Written | None = None,
        text: str = "",
        targets: Sequence[str] = (),
    ) -> None:
        self._statements, self._comment, self.handle = statements, comment, handle
        self.shape, self.text, self.targets = shape, text, targets

    @property
    def statements(self) -> tuple[Statement, ...]:
        if self._statements is None:
            return self._take_apart()
        return self._statements

    @property
    def comment(self) -> str:
        if self._statements is None:
            self._take_apart()
        return self._comment

    def _take_apart(self) -> tuple[Statement, ...]:
        assert self.shape is not None
        self._statements, self._comment = self.shape.read(self.text)
        return self._statements

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return (self.statements, self.comment) == (other.statements, other.comment)

    def __hash__(self) -> int:
        return hash((self.statements, self.comment))

    def __repr__(self) -> str:
        return f"Rule({self.statements!r}, {self.comment!r}, {self.handle!r})"


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


@attrs.define(eq=False)
class Place:
    """The words `first` to `last` of a text, for errors that come up after parsing.

    Places and commands come by the hundred thousand, so attrs does not watch over them; nobody changes them.
    """

    cursor: Cursor
    first: int
    last: int

    def fail(self, reason: str, *, word: str = "") -> NoReturn:
        """Raise NftError pointing at `word` within this place (at its last mention), or at all of it."""
        cursor, first, last = self.cursor.unfolded(self.first, self.last)
        for index in range(last, first - 1, -1):
            if word and cursor.words[index].strip('"') == word:
                cursor.fail_at(reason, index, index)
        cursor.fail_at(reason, first, last)


@attrs.define(eq=False)
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
