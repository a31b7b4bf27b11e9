"""What a rule does: matches, verdicts and actions, as frozen values in the order in which they run."""

from __future__ import annotations

import attrs

from fakecluster.rules.nft.expressions import AnonymousSet, Ct, Element, Expression, Meta, Payload, SetRef, TcpOption
from fakecluster.rules.nft.expressions import Verdict as Verdict


@attrs.frozen
class Match:
    """``left operator right``. `operator`: == != < > <= >=, or for flags any (one is set) and none (``!``).

    `implicit` matches are there because a later one needs them (``meta l4proto tcp`` before ``tcp dport``) and are
    not printed. `with_next`: this and the next match are one comparison, which only fails when both are equal.
    """

    left: Expression
    operator: str
    right: Expression
    implicit: bool = False
    with_next: bool = False


@attrs.frozen
class Vmap:
    """``KEY vmap { ... }``: the verdict is looked up."""

    key: Expression
    source: SetRef | AnonymousSet


@attrs.frozen
class Counter:
    """Anonymous counter with its starting values."""

    packets: int = 0
    bytes: int = 0


@attrs.frozen
class Limit:
    """``limit rate [over] R/unit burst B``: `kind` is packets or bytes; `unit` second to week."""

    rate: int
    unit: str
    burst: int
    kind: str = "packets"
    over: bool = False


@attrs.frozen
class Quota:
    """``quota [over] N bytes``."""

    limit: int
    used: int = 0
    over: bool = False


@attrs.frozen
class ConnLimit:
    """``ct count [over] N``."""

    count: int
    over: bool = False


@attrs.frozen
class Named:
    """A reference to a named counter, quota or limit; `name` may be looked up in a map."""

    kind: str
    name: str | MapName


@attrs.frozen
class MapName:
    """``KEY map @m`` where the answer is the name of an object."""

    key: Expression
    source: SetRef | AnonymousSet


@attrs.frozen
class Log:
    """``log`` with its options; `group` None is the kernel log, `level` a word."""

    prefix: str = ""
    group: int | None = None
    snaplen: int | None = None
    queue_threshold: int | None = None
    level: str = ""
    flags: tuple[str, ...] = ()


@attrs.frozen
class Reject:
    """`kind` is tcp, icmp, icmpv6 or icmpx; `code` its number (0 for a TCP reset)."""

    kind: str
    code: int


@attrs.frozen
class Nat:
    """dnat, snat, masquerade or redirect. `family` is ip, ip6 or "" (the table's own, not printed)."""

    kind: str
    family: str = ""
    address: Expression | None = None
    port: Expression | None = None
    flags: tuple[str, ...] = ()


@attrs.frozen
class Assign:
    """``meta mark set V``, ``ct mark set V``, ``ip ttl set V``, ``tcp option maxseg size set V``."""

    target: Meta | Ct | Payload | TcpOption
    value: Expression


@attrs.frozen
class Notrack:
    pass


@attrs.frozen
class SetUpdate:
    """``add|update|delete @set { ELEMENT [: DATA] }``: the packet changes a set."""

    action: str
    name: str
    element: Element


@attrs.frozen
class Tproxy:
    """``tproxy [ip|ip6] to [ADDRESS]:PORT``."""

    family: str
    address: Expression | None
    port: Expression | None


Statement = (
    Match
    | Vmap
    | Verdict
    | Counter
    | Limit
    | Quota
    | ConnLimit
    | Named
    | Log
    | Reject
    | Nat
    | Assign
    | Notrack
    | SetUpdate
    | Tproxy
)
