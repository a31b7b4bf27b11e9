"""Whole tables back to text, as `nft list ruleset` of nft 1.0.6 prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from fakecluster.rules.nft import priorities
from fakecluster.rules.nft.datatypes import show_time_ms
from fakecluster.rules.nft.expressions import Element
from fakecluster.rules.nft.objects import ChainSpec, ObjectSpec, Rule, SetSpec, TableName, TableSpec
from fakecluster.rules.nft.parse_set import FLAGS
from fakecluster.rules.nft.print_expression import element, expression
from fakecluster.rules.nft.print_statement import limit, quota, rule, statement
from fakecluster.rules.nft.statements import Counter, Limit, Quota, Statement

#: Elements that stand on one line, by the name of the key's type (nft's calculate_delim); one for all other types.
_PER_LINE = {
    **dict.fromkeys(("ipv4_addr", "ct_state", "ct_status", "ct_dir", "pkt_type"), 2),
    **dict.fromkeys(("inet_service", "mark", "inet_proto", "uid", "gid", "tcp_flag", "integer", "boolean"), 5),
}
_NEWLINE = ",\n\t\t\t     "


@attrs.frozen
class ChainView:
    """A chain and its rules, as they are to be printed."""

    spec: ChainSpec
    rules: Sequence[Rule] = ()
    handle: int = 0


@attrs.frozen
class SetView:
    """A set or map and its elements, as they are to be printed."""

    spec: SetSpec
    elements: Sequence[Element] = ()
    handle: int = 0


@attrs.frozen
class TableView:
    """A table and all that is in it, in the order in which nft lists it."""

    name: TableName
    spec: TableSpec = attrs.field(factory=TableSpec)
    objects: Sequence[ObjectSpec] = ()
    sets: Sequence[SetView] = ()
    chains: Sequence[ChainView] = ()
    handle: int = 0


@attrs.frozen
class Options:
    """How to print: with handles (-a), without state (-s), without set elements (-t)."""

    handles: bool = False
    stateless: bool = False
    terse: bool = False


def ruleset(tables: Iterable[TableView], options: Options = Options()) -> str:
    """The text of several tables."""
    return "".join(table(view, options) for view in tables)


def table(view: TableView, options: Options = Options()) -> str:
    """``table FAMILY NAME { ... }``."""
    lines = [f"table {view.name} {{{_handle(view.handle, options)}"]
    if view.spec.comment:
        lines.append(f'\tcomment "{view.spec.comment}"')
    if view.spec.flags:
        lines.append(f"\tflags {','.join(sorted(view.spec.flags))}")
    blocks = [_object(each, options) for each in view.objects]
    blocks += [set_block(each, options) for each in view.sets]
    blocks += [chain_block(each, view.name.family, options) for each in view.chains]
    lines.append("\n\n".join(blocks)) if blocks else None
    lines.append("}")
    return "\n".join(lines) + "\n"


def _handle(handle: int, options: Options) -> str:
    return f" # handle {handle}" if options.handles and handle else ""


def _object(view: ObjectSpec, options: Options) -> str:
    lines = [f"\t{view.kind} {view.name} {{"]
    if view.comment:
        lines.append(f'\t\tcomment "{view.comment}"')
    lines.append(f"\t\t{_state(view.state, options)}")
    lines.append("\t}")
    return "\n".join(lines)


def _state(state: Counter | Quota | Limit, options: Options) -> str:
    if isinstance(state, Counter):
        return "" if options.stateless else f"packets {state.packets} bytes {state.bytes}"
    text = (
        limit(state) if isinstance(state, Limit) else quota(attrs.evolve(state, used=0) if options.stateless else state)
    )
    return text.partition(" ")[2]


def set_block(view: SetView, options: Options = Options()) -> str:
    """``set NAME { ... }`` or ``map NAME { ... }``."""
    spec = view.spec
    lines = [f"\t{spec.word} {spec.name} {{{_handle(view.handle, options)}", f"\t\t{_type_line(spec)}"]
    if spec.policy:
        lines.append(f"\t\tpolicy {spec.policy}")
    if spec.size:
        lines.append(f"\t\tsize {spec.size}")
    if spec.flags - ({"timeout"} if spec.timeout_ms else set()):
        lines.append(f"\t\tflags {','.join(flag for flag in FLAGS if flag in spec.flags)}")
    lines += [f"\t\t{statement(each, 'ip')}" for each in spec.statements]
    if spec.auto_merge:
        lines.append("\t\tauto-merge")
    if spec.timeout_ms:
        lines.append(f"\t\ttimeout {show_time_ms(spec.timeout_ms)}")
    if spec.gc_interval_ms:
        lines.append(f"\t\tgc-interval {show_time_ms(spec.gc_interval_ms)}")
    if spec.comment:
        lines.append(f'\t\tcomment "{spec.comment}"')
    if view.elements and not options.terse:
        elements = [_stateless_element(each) for each in view.elements] if options.stateless else view.elements
        lines.append(f"\t\telements = {{ {_elements(spec, elements)} }}")
    lines.append("\t}")
    return "\n".join(lines)


def _type_line(spec: SetSpec) -> str:
    if spec.key_typeof is not None:
        text = f"typeof {expression(spec.key_typeof)}"
        if spec.data_typeof is not None:
            return f"{text} : {expression(spec.data_typeof)}"
        return f"{text} : verdict" if spec.data_kind == "verdict" else text
    text = f"type {' . '.join(datatype.name for datatype in spec.key)}"
    if spec.data_kind in ("value", "verdict"):
        return f"{text} : {' . '.join(datatype.name for datatype in spec.data)}"
    return f"{text} : {spec.data_kind}" if spec.data_kind else text


def _stateless_element(each: Element) -> Element:
    if not each.expires_ms and not each.statements:
        return each
    return attrs.evolve(each, expires_ms=0, statements=tuple(_without_state(one) for one in each.statements))


def _elements(spec: SetSpec, elements: Sequence[Element]) -> str:
    texts = [element(each) for each in elements]
    per_line = _per_line(spec)
    lines = [", ".join(texts[start : start + per_line]) for start in range(0, len(texts), per_line)]
    return _NEWLINE.join(lines)


def _per_line(spec: SetSpec) -> int:
    return 1 if len(spec.key) > 1 else _PER_LINE.get(spec.key[0].name, 1)


def chain_block(view: ChainView, family: str, options: Options = Options()) -> str:
    """``chain NAME { ... }``."""
    lines = [f"\tchain {view.spec.name} {{{_handle(view.handle, options)}"]
    if view.spec.comment:
        lines.append(f'\t\tcomment "{view.spec.comment}"')
    base = view.spec.base
    if base is not None:
        priority = priorities.show(base.priority, base.hook)
        lines.append(f"\t\ttype {base.kind} hook {base.hook} priority {priority}; policy {base.policy};")
    lines += [f"\t\t{rule_text(each, family, options)}" for each in view.rules]
    lines.append("\t}")
    return "\n".join(lines)


def rule_text(each: Rule, family: str, options: Options) -> str:
    """One rule with what the options ask for."""
    if options.stateless:
        each = Rule(tuple(_without_state(one) for one in each.statements), each.comment, each.handle)
        text = rule(each, family).replace("counter packets 0 bytes 0", "counter")
    else:
        text = rule(each, family)
    return text + _handle(each.handle, options)


def _without_state(each: Statement) -> Statement:
    if isinstance(each, Counter):
        return Counter()
    if isinstance(each, Quota):
        return attrs.evolve(each, used=0)
    return each
