"""The ipset command of a namespace: create, add, del, test, destroy, flush, rename, swap, list, save, restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fakecluster.errors import CommandError, Unsupported
from fakecluster.kernel.ipset import NS_PER_S, Held, IpSet, IpSets, SetProblem, end_of
from fakecluster.rules.ipset import SetCommand, read
from fakecluster.rules.ipset_elements import element_text, elements
from fakecluster.rules.ipset_types import SetSyntaxError
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.words import quote, split

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

VERSION = "ipset v7.17"
IN_USE = "Set cannot be destroyed: it is in use by a kernel component"
BUSY_RENAME = "Set cannot be renamed: it is in use by another system"
BAD_CIDR = "The value of the CIDR parameter of the IP address is invalid"
INVALID = "Kernel error received: Invalid argument"
NULL_ELEMENT = "Null-valued element, cannot be stored in a hash type of set"


def run(netns: Netns, argv: tuple[str, ...], stdin: str) -> str:
    """Run one ipset command. Raises `CommandError`."""
    try:
        command = read(list(argv[1:]))
        if command.verb == "restore":
            return _restore(netns, argv, stdin, exist=command.exist)
        return execute(netns.ipsets, command)
    except (SetSyntaxError, SetProblem) as problem:
        raise _failed(argv, problem, "") from None


def _failed(argv: tuple[str, ...], problem: Exception, where: str) -> CommandError:
    reason = problem.reason if isinstance(problem, SetSyntaxError) else str(problem)
    if isinstance(problem, NotInSet):
        return CommandError(argv, 1, f"{reason}\n")
    usage = isinstance(problem, SetSyntaxError) and problem.usage
    hint = "Try `ipset help' for more information.\n" if usage else ""
    return CommandError(argv, 2 if usage else 1, f"{VERSION}: {where}{reason}\n{hint}")


class NotInSet(SetProblem):
    """`ipset test` says no."""


def _restore(netns: Netns, argv: tuple[str, ...], text: str, *, exist: bool) -> str:
    """Line by line, as ipset does it: what stands before a bad line is done."""
    output = []
    for line, each in enumerate(text.split("\n"), 1):
        try:
            words = split(each)
            if not words or words[0].startswith("#") or words == ["COMMIT"]:
                continue
            command = read(words[1:] if words[0] == "ipset" else words)
            if command.verb in ("restore", "version"):
                raise SetSyntaxError(f"Command {words[0]} is not allowed in restore mode", token=words[0])
            output.append(execute(netns.ipsets, command, exist=exist))
        except (SetSyntaxError, SetProblem) as problem:
            raise _failed(argv, problem, f"Error in line {line}: ") from None
        except RuleProblem as problem:
            raise CommandError(argv, 1, f"{VERSION}: Error in line {line}: {problem.reason}\n") from None
        except Unsupported as gap:
            raise Unsupported(gap.what, line=line, token=gap.token) from None
    return "".join(output)


def execute(sets: IpSets, command: SetCommand, *, exist: bool = False) -> str:
    """Carry out one command; returns what it prints. Raises `SetProblem` and `SetSyntaxError`."""
    return _HANDLERS[command.verb](sets, command, exist or command.exist)


def _create(sets: IpSets, command: SetCommand, exist: bool) -> str:
    assert command.options is not None
    known = sets.sets.get(command.name)
    if known is not None:
        if exist and known.options.type == command.options.type and known.options.family == command.options.family:
            return ""
        raise SetProblem("Set cannot be created: set with the same name already exists")
    sets.sets[command.name] = IpSet(command.name, command.options)
    return ""


def _add(sets: IpSets, command: SetCommand, exist: bool) -> str:
    wanted = sets.get(command.name)
    if wanted.options.type.name == "list:set":
        return _add_member(sets, wanted, command, exist)
    _check_entry(wanted, command)
    now_ns = sets.netns.clock.now_ns
    wanted.expire(now_ns)
    for element in elements(wanted.options, command.element):
        _check_element(wanted, element)
        known = wanted.find(element, now_ns)
        if known is not None and not exist:
            raise SetProblem("Element cannot be added to the set: it's already added")
        if known is None and wanted.options.type.is_hash and len(wanted.held) >= wanted.options.maxelem:
            raise SetProblem("Hash is full, cannot add more elements")
        entry = command.entry
        wanted.put(
            element,
            Held(
                end_of(wanted, entry.timeout, now_ns), nomatch=entry.nomatch, comment=entry.comment,
                packets=entry.packets or 0, octets=entry.bytes or 0,
            ),
        )  # fmt: skip
    return ""


def _check_entry(wanted: IpSet, command: SetCommand) -> None:
    entry, options = command.entry, wanted.options
    if entry.timeout is not None and options.timeout is None:
        raise SetProblem("Timeout cannot be used: set was created without timeout support")
    if (entry.packets is not None or entry.bytes is not None) and not options.counters:
        raise SetProblem("Packet/byte counters cannot be used: set was created without counter support")
    if entry.comment and not options.comment:
        raise SetProblem("Comment cannot be used: set was created without comment support")
    if entry.nomatch and "net" not in options.type.parts:
        raise SetSyntaxError("Unknown argument: `nomatch'", token="nomatch", usage=True)


def _check_element(wanted: IpSet, element: tuple[int, ...]) -> None:
    options = wanted.options
    if options.type.name.startswith("bitmap:"):
        if not options.range[0] <= element[0] <= options.range[1]:
            raise SetProblem("Element is out of the range of the set")
    elif options.type.parts == ("ip",) and not element[0]:
        raise SetProblem(NULL_ELEMENT)
    elif options.type.parts[:2] == ("ip", "port") and not element[0]:
        raise SetProblem(INVALID)
    elif "net" in options.type.parts:
        prefix = element[1] if options.type.parts[0] == "net" else element[-1]
        if not prefix:
            raise SetProblem(BAD_CIDR)


def _add_member(sets: IpSets, wanted: IpSet, command: SetCommand, exist: bool) -> str:
    member = sets.sets.get(command.element)
    if member is None:
        raise SetProblem("Set to be added/deleted/tested as element does not exist.")
    if member.options.type.name == "list:set":
        raise SetProblem("Sets with list:set type cannot be added to the set.")
    if member in wanted.members:
        if exist:
            return ""
        raise SetProblem("Element cannot be added to the set: it's already added")
    wanted.members.append(member)
    return ""


def _del(sets: IpSets, command: SetCommand, exist: bool) -> str:
    wanted = sets.get(command.name)
    if wanted.options.type.name == "list:set":
        found = [member for member in wanted.members if member.name == command.element]
        if not found and not exist:
            raise SetProblem("Element cannot be deleted from the set: it's not added")
        wanted.members = [member for member in wanted.members if member not in found]
        return ""
    now_ns = sets.netns.clock.now_ns
    for element in elements(wanted.options, command.element):
        if wanted.find(element, now_ns) is not None:
            wanted.remove(element)
        elif not exist:
            raise SetProblem("Element cannot be deleted from the set: it's not added")
    return ""


def _test(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    wanted = sets.get(command.name)
    if wanted.options.type.name == "list:set":
        held = any(member.name == command.element for member in wanted.members)
    else:
        found = elements(wanted.options, command.element, testing=True)
        known = wanted.covering(found[0], sets.netns.clock.now_ns)
        held = known is not None and not known.nomatch
    if not held:
        raise NotInSet(f"{command.element} is NOT in set {command.name}.")
    return f"{command.element} is in set {command.name}.\n"


def _in_use(sets: IpSets, wanted: IpSet) -> int:
    """References by rules and by lists."""
    rules = sets.netns.xtables.references().get(wanted.name, 0) if "xtables" in sets.netns.__dict__ else 0
    return rules + sum(wanted in other.members for other in sets.sets.values())


def _destroy(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    names = [command.name] if command.name else list(sets.sets)
    for name in names:
        if _in_use(sets, sets.get(name)):
            raise SetProblem(IN_USE)
    for name in names:
        del sets.sets[name]
    return ""


def _flush(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    for wanted in [sets.get(command.name)] if command.name else list(sets.sets.values()):
        wanted.held.clear()
        wanted.prefixes.clear()
        wanted.members.clear()
    return ""


def _rename(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    wanted = sets.get(command.name)
    if _in_use(sets, wanted):
        raise SetProblem(BUSY_RENAME)
    if command.other in sets.sets:
        raise SetProblem("Set cannot be renamed: a set with the new name already exists")
    wanted.name = command.other
    sets.sets = {(command.other if name == command.name else name): each for name, each in sets.sets.items()}
    return ""


def _swap(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    """Exchange contents under two names: rules refer to the place, so each place gets the other's set."""
    one = sets.get(command.name)
    other = sets.sets.get(command.other)
    if other is None:
        raise SetProblem("Sets cannot be swapped: the second set does not exist")
    if one.options.type != other.options.type or one.options.family != other.options.family:
        raise SetProblem("The sets cannot be swapped: their type does not match")
    sets.sets[command.name], sets.sets[command.other] = other, one
    one.name, other.name = command.other, command.name
    return ""


def _save(sets: IpSets, command: SetCommand, _exist: bool) -> str:
    chosen = [sets.get(command.name)] if command.name else _lists_last(sets)
    return "".join(line + "\n" for wanted in chosen for line in saved_lines(sets, wanted))


def _lists_last(sets: IpSets) -> list[IpSet]:
    return sorted(sets.sets.values(), key=lambda each: each.options.type.name == "list:set")


def saved_lines(sets: IpSets, wanted: IpSet) -> Iterator[str]:
    """One set as `ipset save` prints it, without the random seed of its hash."""
    yield f"create {wanted.name} {wanted.options}"
    for text in member_texts(sets, wanted):
        yield f"add {wanted.name} {text}"


def member_texts(sets: IpSets, wanted: IpSet) -> Iterator[str]:
    """Each element with its extensions."""
    now_ns = sets.netns.clock.now_ns
    wanted.expire(now_ns)
    for member in wanted.members:
        yield member.name
    ordered = sorted(wanted.held) if wanted.options.type.name.startswith("bitmap:") else list(wanted.held)
    for element in ordered:
        held = wanted.held[element]
        text = element_text(wanted.options, element)
        text += " nomatch" if held.nomatch else ""
        if wanted.options.timeout is not None:
            text += f" timeout {0 if held.end_ns is None else max(held.end_ns - now_ns, 0) // NS_PER_S}"
        text += f" packets {held.packets} bytes {held.bytes}" if wanted.options.counters else ""
        yield text + (f" comment {_quoted(held.comment)}" if held.comment else "")


def _quoted(comment: str) -> str:
    text = quote(comment)
    return text if text.startswith('"') else f'"{text}"'


def _list(sets: IpSets, command: SetCommand, exist: bool) -> str:
    chosen = [sets.get(command.name)] if command.name else _lists_last(sets)
    if "name" in command.flags:
        return "".join(f"{each.name}\n" for each in chosen)
    if "output save" in command.flags:
        return _save(sets, command, exist)
    terse = "terse" in command.flags
    return "\n".join("".join(line + "\n" for line in _listed(sets, each, terse)) for each in chosen)


def _listed(sets: IpSets, wanted: IpSet, terse: bool) -> Iterator[str]:
    members = list(member_texts(sets, wanted))
    kind = wanted.options.type
    yield f"Name: {wanted.name}"
    yield f"Type: {kind.name}"
    yield f"Revision: {kind.revision}"
    yield f"Header: {str(wanted.options).removeprefix(kind.name + ' ')}"
    yield f"References: {_in_use(sets, wanted)}"
    yield f"Number of entries: {len(members)}"
    if not terse:
        yield "Members:"
        yield from members


def _version(_sets: IpSets, _command: SetCommand, _exist: bool) -> str:
    return f"{VERSION}, protocol version: 7\n"


_HANDLERS: dict[str, Callable[[IpSets, SetCommand, bool], str]] = {
    "create": _create, "add": _add, "del": _del, "test": _test, "destroy": _destroy, "flush": _flush,
    "rename": _rename, "swap": _swap, "list": _list, "save": _save, "version": _version,
}  # fmt: skip
