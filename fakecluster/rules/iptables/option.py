"""An extension's options: what each takes, what may not stand together, and the words for what is wrong.

Source of the rules and of the words: libxtables/xtoptions.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

import attrs

from fakecluster.errors import Unsupported
from fakecluster.rules.iptables.numbers import U16, U32, U64, address, bits, mask_of, number, prefix_length, service
from fakecluster.rules.iptables.problem import RuleProblem

T = TypeVar("T")


@attrs.frozen
class Place:
    """Where an option's value is being read: the extension, the option, the IP family, the rule's protocol so far.

    `protocol` is 0 for none and for an inverted one (`not_protocol`).
    """

    extension: str
    option: str
    family: int
    protocol: int = 0
    not_protocol: bool = False

    def bad(self, lowest: int, highest: int, *, near: str = "") -> RuleProblem:
        """The complaint about a number."""
        at = f' near "{near}"' if near else ""
        return RuleProblem(
            f'{self.extension}: bad value for option "--{self.option}"{at}, or out of range ({lowest}-{highest}).\n',
            token=near,
        )


Read = Callable[[str, Place], object]


@attrs.frozen
class Option:
    """One option. `read` turns its argument into a value (None: the option takes none).

    `words` is how many arguments follow; `needs`, `excludes` and `required` are checked when the rule is complete.
    `title` is how complaints call it, when not by its name; `only_one` what is said when it is given twice. `refused`
    says why the model does not know it.
    """

    name: str
    read: Read | None = None
    invertible: bool = False
    required: bool = False
    repeatable: bool = False
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    words: int = 1
    title: str = ""
    only_one: str = ""
    refused: str = ""


@attrs.define
class Given:
    """The options that a rule gave to one extension: name -> (inverted, value), in the order given."""

    extension: str
    family: int
    options: dict[str, tuple[bool, object]] = attrs.field(factory=dict)
    protocol: int = 0
    not_protocol: bool = False

    def has(self, name: str) -> bool:
        return name in self.options

    def inverted(self, name: str) -> bool:
        return name in self.options and self.options[name][0]

    def value(self, name: str, default: T) -> T:
        return cast(T, self.options[name][1]) if name in self.options else default

    def take(self, option: Option, name: str, argument: str, inverted: bool) -> None:
        """Read one option. Raises `RuleProblem`, and `Unsupported` for one that the model does not know."""
        if option.refused:
            raise Unsupported(f"{self.extension} --{option.name}: {option.refused}", token=argument or name)
        if option.name in self.options and not option.repeatable:
            called = f'{self.extension}: option "--{option.title or option.name}" can only be used once.\n'
            raise RuleProblem(option.only_one or called, token=name)
        if inverted and not option.invertible:
            raise RuleProblem(f'{self.extension}: option "--{option.name}" cannot be inverted.\n', token=name)
        place = Place(self.extension, name, self.family, self.protocol, self.not_protocol)
        value = option.read(argument, place) if option.read else True
        if option.repeatable and option.name in self.options:
            value = cast(tuple[object, ...], self.options[option.name][1]) + cast(tuple[object, ...], value)
        self.options[option.name] = (inverted, value)

    def check(self, options: tuple[Option, ...]) -> None:
        """Required options are there, excluded ones are not (xtables_options_fcheck)."""
        for option in options:
            if option.name not in self.options:
                if option.required:
                    raise RuleProblem(f'{self.extension}: option "--{option.name}" must be specified\n')
                continue
            for other in option.needs:
                if other not in self.options:
                    raise RuleProblem(f'{self.extension}: option "--{option.name}" also requires "--{other}".\n')
            for other in option.excludes:
                if other in self.options:
                    raise RuleProblem(
                        f'{self.extension}: option "--{option.name}" cannot be used together with "--{other}".\n'
                    )


@attrs.frozen
class Extension(Generic[T]):
    """A match or target: its options, how they make a frozen value, how the value prints, and what it is for.

    `describe` is its line in docs/fidelity.md. `saved` is the name iptables-save prints (aliases differ).
    """

    name: str
    describe: str
    options: tuple[Option, ...]
    build: Callable[[Given], T]
    text: Callable[[T], str]
    value_type: type[T]
    families: tuple[int, ...] = (4, 6)
    saved: str = ""
    #: its options by every name that they have
    named: Mapping[str, Option] = attrs.field(init=False, eq=False, repr=False)

    @named.default
    def _by_name(self) -> dict[str, Option]:
        return {name: option for option in self.options for name in (option.name, *option.aliases)}


def spelled(option: str, value: object, *, inverted: bool = False) -> str:
    """` --option value`, with its `!`."""
    return f" {'! ' if inverted else ''}--{option} {value}"


def integer(lowest: int = 0, highest: int = U32) -> Read:
    """A number within bounds."""

    def read(text: str, place: Place) -> int:
        value = number(text, lowest, highest)
        if value is None:
            raise place.bad(lowest, highest)
        return value

    return read


def integer_range(highest: int = U32, *, single: bool = True) -> Read:
    """`7` or `7:9` (either end may be missing) as (low, high)."""

    def read(text: str, place: Place) -> tuple[int, int]:
        parts = text.split(":")
        if len(parts) > 2:
            raise RuleProblem(
                f'{place.extension}: Too many components for option "--{place.option}" (max: 2)\n', token=text
            )
        values: list[int] = []
        for part, default in zip(parts, (0, highest), strict=False):
            value = number(part, 0, highest) if part else default
            if value is None:
                raise place.bad(0, highest, near=part if part is parts[-1] else text)
            values.append(value)
        return values[0], values[-1]

    return read


def mark(text: str, place: Place) -> tuple[int, int]:
    """`value` or `value/mask` (xtopt_parse_markmask)."""
    first, slash, second = text.partition("/")
    value, mask = number(first), number(second) if slash else U32
    if value is None or mask is None:
        wrong = second if value is not None else first
        start = re.match(r"\+?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", wrong)
        if start and start[0] != wrong and number(start[0]) is not None:
            words = f'{place.extension}: trailing garbage after value for option "--{place.option}".\n'
            raise RuleProblem(words, token=text)
        raise RuleProblem(
            f'{place.extension}: bad integer value for option "--{place.option}", or out of range.\n', token=text
        )
    return value, mask


def string(longest: int, shortest: int = 0) -> Read:
    """Any text of bounded length (in bytes)."""

    def read(text: str, place: Place) -> str:
        size = len(text.encode(errors="surrogateescape"))
        if size < shortest:
            raise RuleProblem(f"Argument must have a minimum length of {shortest} characters\n", token=text)
        if size > longest:
            raise RuleProblem(f"Argument must have a maximum length of {longest} characters\n", token=text[:40])
        return text

    return read


def host(text: str, place: Place) -> int:
    """One address."""
    value = address(text, place.family)
    if value is None:
        other = address(text, 10 - place.family) is not None
        why = "Address family for hostname not supported" if other else "Name or service not known"
        raise RuleProblem(f"getaddrinfo: {why}\n", token=text)
    return value


def host_mask(text: str, place: Place) -> tuple[int, int]:
    """An address with an optional mask, as (address, mask); the address is kept unmasked."""
    first, slash, second = text.partition("/")
    value = host(first, place)
    mask = mask_of(bits(place.family), place.family)
    if slash:
        mask = length_or_mask(second, place)
    return value, mask


def length_or_mask(text: str, place: Place) -> int:
    """A mask from its length or spelled out (xtopt_parse_plenmask).

    What is no mask of leading ones, or too long for IPv4, counts as the whole address.
    """
    length = number(text, 0, 128)
    given = address(text, place.family)
    if length is None and given is None:
        raise RuleProblem(
            f'{place.extension}: bad value for option "--{place.option}", neither a valid network mask '
            f"nor valid CIDR (0-{bits(place.family)}).\n",
            token=text,
        )
    if length is None and given is not None:
        length = prefix_length(given, place.family)
    return mask_of(bits(place.family) if length is None else min(length, bits(place.family)), place.family)


def one_port(text: str, place: Place) -> int:
    value = service(text)
    if value is None:
        raise RuleProblem(f'Port "{text}" does not resolve to anything.\n', token=text)
    return value


def ports(text: str, place: Place) -> tuple[int, int]:
    """A port or a range of them with either end missing (xtopt_parse_mport)."""
    low, colon, high = text.partition(":")
    first = one_port(low, place) if low or not colon else 0
    last = (one_port(high, place) if high else U16) if colon else first
    return first, last


def range_text(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}:{high}"


def given_options(mapping: Mapping[str, bool]) -> str:
    """The flags that are set, each as ` --name`."""
    return "".join(f" --{name}" for name, is_set in mapping.items() if is_set)


__all__ = [
    "U16", "U32", "U64", "Extension", "Given", "Option", "Place", "Read", "given_options", "host", "host_mask",
    "integer", "integer_range", "length_or_mask", "mark", "one_port", "ports", "range_text", "spelled", "string",
]  # fmt: skip
