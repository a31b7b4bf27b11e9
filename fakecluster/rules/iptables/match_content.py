"""Matches on the packet's bytes: u32 and string (extensions/libxt_u32.c, libxt_string.c)."""

from __future__ import annotations

import re
import string

import attrs

from fakecluster.rules.iptables.numbers import U16
from fakecluster.rules.iptables.option import Extension, Given, Option, Place, integer
from fakecluster.rules.iptables.problem import RuleProblem

#: XT_U32_MAXSIZE: operators of a location, values of a test, tests of a match
U32_LIMIT = 10
#: XT_STRING_MAX_PATTERN_SIZE
PATTERN_LIMIT = 128


@attrs.frozen
class U32Test:
    """One test: the location as (operator, number) steps (the first has no operator) and the accepted ranges."""

    location: tuple[tuple[str, int], ...]
    values: tuple[tuple[int, int], ...]


@attrs.frozen
class U32Match:
    """u32: all tests hold."""

    tests: tuple[U32Test, ...]
    inverted: bool = False


@attrs.frozen
class StringMatch:
    """string: `pattern` occurs between the offsets `start` and `end` of the packet."""

    pattern: bytes
    algorithm: str
    start: int = 0
    end: int = U16
    ignore_case: bool = False
    inverted: bool = False


class _Scan:
    """Reads a u32 expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def fail(self, what: str) -> RuleProblem:
        return RuleProblem(f"u32: at char {self.at}: {what}", token=self.text[self.at :])

    def number(self) -> int:
        self.space()
        found = re.compile(r"0[xX][0-9a-fA-F]{1,16}|\d{1,20}").match(self.text, self.at)
        if not found:
            raise self.fail("not a number or out of range")
        text = found[0]
        value = int(text, 16) if text[:2] in ("0x", "0X") else int(text, 8 if re.fullmatch("0[0-7]+", text) else 10)
        if value > 0xFFFFFFFF:
            raise self.fail("not a number or out of range")
        self.at = found.end()
        return value

    def operator(self) -> str:
        for name in ("<<", ">>", "&", "@"):
            if self.text.startswith(name, self.at):
                self.at += len(name)
                return name
        if self.peek() in ("<", ">"):
            sign = self.peek()
            self.at += 1
            raise self.fail(f"a second '{sign}' was expected")
        raise self.fail("operator expected")


def _location(scan: _Scan) -> tuple[tuple[str, int], ...]:
    steps: list[tuple[str, int]] = []
    while True:
        scan.space()
        if not scan.peek():
            raise RuleProblem("u32: abrupt end of input after location specifier")
        if scan.peek() == "=":
            if not steps:
                raise scan.fail("location spec missing")
            scan.at += 1
            return tuple(steps)
        operator = scan.operator() if steps else ""
        steps.append((operator, scan.number()))
        if len(steps) > U32_LIMIT:
            raise scan.fail("too many operators")


def _values(scan: _Scan) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    while True:
        scan.space()
        if not scan.peek() or scan.peek() == "&":
            if not ranges:
                raise (
                    RuleProblem("u32: test ended with no value specified")
                    if not scan.peek()
                    else scan.fail("value spec missing")
                )
            return tuple(ranges)
        if ranges:
            if scan.peek() != ",":
                raise scan.fail('expected "," or "&&"')
            scan.at += 1
        low = scan.number()
        scan.space()
        high = low
        if scan.peek() == ":":
            scan.at += 1
            high = scan.number()
        ranges.append((low, high))
        if len(ranges) > U32_LIMIT:
            raise scan.fail('too many ","s')


def _u32(text: str, _place: Place) -> tuple[U32Test, ...]:
    scan, tests = _Scan(text), []
    while True:
        tests.append(U32Test(_location(scan), _values(scan)))
        if len(tests) > U32_LIMIT:
            raise scan.fail('too many "&&"s')
        if not scan.peek():
            return tuple(tests)
        if not scan.text.startswith("&&", scan.at):
            scan.at += 1
            raise scan.fail("a second '&' was expected")
        scan.at += 2


def _u32_text(value: U32Match) -> str:
    tests = []
    for test in value.tests:
        location = "".join(f"{operator}0x{number:x}" for operator, number in test.location)
        ranges = ",".join(f"0x{low:x}" + ("" if low == high else f":0x{high:x}") for low, high in test.values)
        tests.append(f"{location}={ranges}")
    return f'{" !" if value.inverted else ""} --u32 "{"&&".join(tests)}"'


def _pattern(text: str, _place: Place) -> bytes:
    pattern = text.encode(errors="surrogateescape")
    if len(pattern) > PATTERN_LIMIT:
        raise RuleProblem(f'STRING too long "{text}"', token=text[:40])
    return pattern


def _hex_pattern(text: str, _place: Place) -> bytes:
    if not text:
        raise RuleProblem("STRING must contain at least one char")
    pattern, position, in_hex = bytearray(), 0, False
    raw = text.encode(errors="surrogateescape")
    while position < len(raw):
        letter = chr(raw[position])
        if letter == "\\" and not in_hex and position + 1 < len(raw):
            pattern.append(raw[position + 1])
            position += 2
        elif letter == "|":
            in_hex = not in_hex
            position += 1
        elif in_hex and letter.isspace():
            position += 1
        elif in_hex:
            pair = raw[position : position + 2].decode("latin-1")
            if position + 1 >= len(raw):
                raise RuleProblem("Odd number of hex digits", token=text)
            if position + 2 >= len(raw):
                raise RuleProblem("Invalid hex block", token=text)
            for digit in pair:
                if digit not in string.hexdigits:
                    raise RuleProblem(f"Invalid hex char '{digit}'", token=text)
            pattern.append(int(pair, 16))
            position += 2
        else:
            pattern.append(raw[position])
            position += 1
        if len(pattern) > PATTERN_LIMIT:
            raise RuleProblem(f'STRING too long "{text}"', token=text[:40])
    return bytes(pattern)


def _algorithm(text: str, _place: Place) -> str:
    return text[:15]


def _string(given: Given) -> StringMatch:
    name = "string" if given.has("string") else "hex-string"
    if not given.has(name):
        raise RuleProblem("STRING match: You must specify `--string' or `--hex-string'")
    if not given.has("algo"):
        raise RuleProblem('string: option "--algo" must be specified\n')
    if given.value("algo", "") not in ("bm", "kmp", "fsm"):
        raise RuleProblem("RULE_APPEND failed (No such file or directory)", kind="commit")
    if given.value("from", 0) > given.value("to", U16) or not given.value(name, b""):
        raise RuleProblem("RULE_APPEND failed (Invalid argument)", kind="commit")
    return StringMatch(
        given.value(name, b""), given.value("algo", ""), given.value("from", 0), given.value("to", U16),
        given.has("icase"), given.inverted(name),
    )  # fmt: skip


def _is_printable(pattern: bytes) -> bool:
    return all(32 <= byte < 127 for byte in pattern) and not pattern.endswith(b"\\")


def pattern_text(pattern: bytes) -> str:
    """A pattern in quotes, in hexadecimal when it has letters that do not print."""
    if not _is_printable(pattern):
        return f'"|{pattern.hex()}|"'
    escaped = pattern.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _string_text(value: StringMatch) -> str:
    text = " !" if value.inverted else ""
    option = "string" if _is_printable(value.pattern) else "hex-string"
    text += f" --{option} {pattern_text(value.pattern)} --algo {value.algorithm}"
    text += f" --from {value.start}" if value.start else ""
    text += f" --to {value.end}" if value.end != U16 else ""
    return text + (" --icase" if value.ignore_case else "")


_STRING_OPTIONS = (
    Option("from", integer(0, U16)),
    Option("to", integer(0, U16)),
    Option("algo", _algorithm),
    Option("string", _pattern, invertible=True, excludes=("hex-string",)),
    Option("hex-string", _hex_pattern, invertible=True, excludes=("string",)),
    Option("icase"),
)


def _u32_match(given: Given) -> U32Match:
    return U32Match(given.value("u32", ()), given.inverted("u32"))


CONTENT_MATCHES = (
    Extension(
        "u32", "computed reads of 32 bits of the packet", (Option("u32", _u32, invertible=True, required=True),),
        _u32_match, _u32_text, U32Match,
    ),
    Extension("string", "a byte string in the packet", _STRING_OPTIONS, _string, _string_text, StringMatch),
)  # fmt: skip
