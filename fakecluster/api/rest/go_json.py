"""JSON and YAML texts into values, with Go's words when they are broken, and the fields that stood there twice."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from fakecluster.api.go_values import go_quote

#: Deeper nesting is refused, as Go's decoder does at 10,000; Python's own parser gives up earlier.
DEPTH_LIMIT = 150


_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
#: (backslashes before) an escaped surrogate; a low one after a high one makes it whole
HALF = re.compile(rf"((?<!\\)(?:\\\\)*)(?:({_HIGH}{_LOW})|{_HIGH}|{_LOW})")


class SyntaxProblem(Exception):
    """The text is no JSON or YAML; the message is the Go library's."""


class Repeated(dict[str, Any]):
    """An object in which `keys` stood more than once (the last value counts)."""

    keys_twice: tuple[str, ...]


def parse_json(text: bytes) -> Any:
    """The value of a JSON text; objects with repeated keys are `Repeated`. Raises SyntaxProblem."""
    try:
        decoded = text.decode("utf-8", "replace")
        if "\\ud" in decoded or "\\uD" in decoded:
            decoded = _whole(decoded)
        value = json.loads(decoded, object_pairs_hook=_pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        raise SyntaxProblem(_words(decoded, problem)) from problem
    except RecursionError as problem:
        raise SyntaxProblem("exceeded max depth") from problem
    except ValueError as problem:
        raise SyntaxProblem(str(problem)) from problem
    if _deeper_than(value, DEPTH_LIMIT):
        raise SyntaxProblem("exceeded max depth")
    return value


def _whole(text: str) -> str:
    """A JSON text whose lone surrogates, which no UTF-8 can carry, are replaced as Go replaces them."""
    return HALF.sub(lambda escape: escape[0] if escape[2] else escape[1] + "\\ufffd", text)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    twice = []
    for key, _ in pairs:
        if key in seen and key not in twice:
            twice.append(key)
        seen.add(key)
    repeated = Repeated(found)
    repeated.keys_twice = tuple(twice)
    return repeated


def _no_constant(word: str) -> Any:
    raise ValueError(f"invalid character {_char(word[0])} looking for beginning of value")


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _char(char: str) -> str:
    if char == "'":
        return "'\\''"
    return f"'{char}'" if char == '"' else f"'{go_quote(char)[1:-1]}'"


def _words(text: str, problem: json.JSONDecodeError) -> str:
    position = problem.pos
    rest = text[position:]
    if problem.msg == "Extra data":
        return f"invalid character {_char(rest[0])} after top-level value"
    if not rest.strip() or problem.msg.startswith("Unterminated string") or _is_cut(text, problem):
        return "unexpected end of JSON input"
    stripped = rest.lstrip(" \t\r\n")
    char = _char(stripped[0])
    if problem.msg.startswith("Expecting property name"):
        return f"invalid character {char} looking for beginning of object key string"
    if problem.msg.startswith("Expecting ':'"):
        return f"invalid character {char} after object key"
    if problem.msg.startswith("Expecting ','"):
        place = "object key:value pair" if _inside_object(text[:position]) else "array element"
        return f"invalid character {char} after {place}"
    if problem.msg.startswith("Invalid control character"):
        return f"invalid character {char} in string literal"
    if problem.msg.startswith(("Invalid \\escape", "Invalid \\uXXXX")):
        return f"invalid character {_char(text[position + 1 : position + 2] or ' ')} in string escape code"
    return _bad_value(stripped, char)


def _bad_value(rest: str, char: str) -> str:
    for literal in ("true", "false", "null"):
        if rest[0] == literal[0]:
            length = next((i for i, c in enumerate(literal) if rest[i : i + 1] != c), len(literal))
            if length >= len(rest):
                return "unexpected end of JSON input"
            return f"invalid character {_char(rest[length])} in literal {literal} (expecting {_char(literal[length])})"
    return f"invalid character {char} looking for beginning of value"


def _is_cut(text: str, problem: json.JSONDecodeError) -> bool:
    rest = text[problem.pos :].strip()
    return any(literal.startswith(rest) and rest != literal for literal in ("true", "false", "null")) and rest != ""


def _inside_object(before: str) -> bool:
    stack = []
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|[{}\[\]]', before):
        token = match.group()
        if token in "{[":
            stack.append(token)
        elif token in "}]" and stack:
            stack.pop()
    return bool(stack) and stack[-1] == "{"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.1 as the server's library reads it: timestamps stay text, single letters y and n are booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:y|Y|n|N)$"), list("yYnN"))
_Loader.add_constructor(
    "tag:yaml.org,2002:bool", lambda loader, node: str(node.value).lower() in ("y", "yes", "true", "on")
)


def _mapping(loader: Any, node: Any) -> Any:
    if any(loader.construct_object(key) == "<<" or key.tag.endswith(":merge") for key, _ in node.value):
        loader.flatten_mapping(node)
    return _pairs(
        [
            (_key(loader.construct_object(key, deep=True)), loader.construct_object(item, deep=True))
            for key, item in node.value
        ]
    )


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else json.dumps(key, default=str)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
#: Values that a document with aliases may have once they are written out.
EXPANDED_LIMIT = 1_000_000


def _expanded(value: Any, sizes: dict[int, int | None]) -> int:
    """How many values there are once aliases are written out; raises SyntaxProblem for bombs and circles."""
    if not isinstance(value, dict | list):
        return 1
    known = sizes.get(id(value), 0)
    if known is None:
        raise SyntaxProblem("yaml: anchor contains itself")
    if not known:
        sizes[id(value)] = None
        known = 1 + sum(_expanded(item, sizes) for item in (value.values() if isinstance(value, dict) else value))
        if known > EXPANDED_LIMIT:
            raise SyntaxProblem("yaml: document contains excessive aliasing")
        sizes[id(value)] = known
    return known


def _yaml_words(problem: yaml.MarkedYAMLError) -> str:
    """Go's YAML library names the line where the context began, counted from 0 unless the scanner gave up."""
    mark = problem.context_mark if problem.context_mark and problem.context_mark.line else problem.problem_mark
    line = mark.line if mark else 0
    if "nesting depth" in (problem.problem or ""):  # newer versions of the YAML library have a bound of their own
        return "yaml: exceeded max depth"
    if line and isinstance(problem, yaml.scanner.ScannerError):
        line += 1
    return f"yaml: line {line}: {problem.problem}" if line else f"yaml: {problem.problem}"


def _as_json(text: bytes) -> Any:
    """The value of a text that is JSON as well; None when it is not."""
    try:
        return parse_json(text)
    except SyntaxProblem:
        return None


def check_depth(text: str) -> None:
    """Raise SyntaxProblem for nesting so deep that the library's own stack would not survive it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                raise SyntaxProblem("yaml: exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def parse_yaml(text: bytes) -> Any:
    """The first document of a YAML text as JSON values; raises SyntaxProblem."""
    try:
        decoded = text.decode("utf-8", "replace")
        if decoded.lstrip()[:1] == "{" and (value := _as_json(text)) is not None:
            return value
        check_depth(decoded)
        value = yaml.load(decoded, Loader=_Loader)
        if "*" in decoded:
            _expanded(value, {})
    except yaml.MarkedYAMLError as problem:
        raise SyntaxProblem(_yaml_words(problem)) from problem
    except RecursionError as problem:
        raise SyntaxProblem("yaml: exceeded max depth") from problem
    except (yaml.YAMLError, ValueError, TypeError) as problem:
        raise SyntaxProblem(f"yaml: {problem}") from problem
    if _deeper_than(value, DEPTH_LIMIT):
        raise SyntaxProblem("yaml: exceeded max depth")
    return value
