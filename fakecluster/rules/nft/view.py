"""Commands that only add things, gathered into tables as they would be listed: a file printed without a kernel."""

from __future__ import annotations

from collections.abc import Iterable

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.expressions import Element
from fakecluster.rules.nft.objects import ChainSpec, Command, ObjectSpec, Rule, SetSpec, TableName, TableSpec
from fakecluster.rules.nft.printer import ChainView, SetView, TableView


def tables(commands: Iterable[Command]) -> list[TableView]:
    """The tables that a file declares. Raises `Unsupported` for commands that do more than declare."""
    specs: dict[TableName, TableSpec] = {}
    parts: dict[TableName, list[Command]] = {}
    for command in commands:
        if command.verb not in ("add", "create") or command.table is None or command.index or command.position:
            raise Unsupported(f"a file that does {command.verb} {command.noun} cannot be shown without a kernel")
        if isinstance(command.body, TableSpec):
            specs.setdefault(command.table, command.body)
        parts.setdefault(command.table, []).append(command)
    return [_table(name, specs.get(name, TableSpec()), found) for name, found in parts.items()]


def _table(name: TableName, spec: TableSpec, commands: list[Command]) -> TableView:
    objects: list[ObjectSpec] = []
    sets: dict[str, SetSpec] = {}
    elements: dict[str, list[Element]] = {}
    chains: dict[str, ChainSpec] = {}
    rules: dict[str, list[Rule]] = {}
    for command in commands:
        match command.body:
            case ObjectSpec():
                objects.append(command.body)
            case SetSpec():
                sets.setdefault(command.name, command.body)
            case ChainSpec():
                chains.setdefault(command.name, command.body)
            case Rule():
                rules.setdefault(command.name, []).append(command.body)
            case tuple():
                elements.setdefault(command.name, []).extend(command.body)
            case _:
                pass
    return TableView(
        name, spec, objects,
        [SetView(each, elements.get(each.name, [])) for each in sets.values()],
        [ChainView(each, rules.get(each.name, [])) for each in chains.values()],
    )  # fmt: skip
