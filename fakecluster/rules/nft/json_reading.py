"""`nft -j -f -`: JSON commands (libnftables-json(5)), turned into the language's text, which is read as any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.errors import Unsupported
from fakecluster.rules.nft.errors import NftError, Span
from fakecluster.rules.nft.objects import Command
from fakecluster.rules.nft.parser import parse
from fakecluster.rules.nft.scope import Known

Json = Any
VERBS = ("add", "create", "insert", "replace", "delete", "flush", "list", "reset", "rename", "destroy")


def commands(text: str, *, known: Known | None = None) -> list[Command]:
    """The commands of a JSON document. Raises `NftError`, or `Unsupported` for what has no place in this model."""
    return parse(as_text(text), known=known)


def as_text(text: str) -> str:
    """A JSON document as nft's own language, one command a line."""
    try:
        document = json.loads(text)
        entries = document["nftables"]
        lines = [_command(entry) for entry in entries if "metainfo" not in entry]
        lines += [line for entry in entries for line in _elements_of(entry)]
    except json.JSONDecodeError as wrong:
        raise _problem(f"Parsing JSON failed: {wrong.msg}", text) from None
    except RecursionError:
        raise _problem("JSON is nested too deeply", text) from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as wrong:
        raise _problem(f"JSON command is not understood: {wrong}", text) from None
    return "".join(f"{line}\n" for line in lines)


def _problem(reason: str, text: str) -> NftError:
    return NftError(reason, Span(0, 0), text, source="internal")


def _command(entry: dict[str, Json]) -> str:
    [(word, body)] = entry.items()
    verb, (noun, subject) = (word, next(iter(body.items()))) if word in VERBS else ("add", (word, body))
    writer = _SUBJECTS.get(noun)
    if writer is None:
        raise Unsupported(f"nft -j: {noun}", token=noun)
    return f"{verb} {noun} {writer(subject, verb)}".rstrip()


def _path(body: Json, *names: str) -> str:
    return " ".join(str(body[name]) for name in ("family", *names) if name in body)


def _ruleset(body: Json, _verb: str) -> str:
    return str((body or {}).get("family", ""))


def _table(body: Json, verb: str) -> str:
    if "name" not in body:
        return f"{body['family']} handle {body['handle']}"
    flags = _words(body.get("flags", []))
    return _path(body, "name") + (f" {{ flags {','.join(flags)}; }}" if flags and verb in ("add", "create") else "")


def _words(value: Json) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _chain(body: Json, verb: str) -> str:
    place = _named(body)
    if verb == "rename":
        return f"{place} {body['newname']}"
    if verb not in ("add", "create") or "hook" not in body:
        return place
    policy = f"policy {body['policy']}; " if "policy" in body else ""
    return f"{place} {{ type {body['type']} hook {body['hook']} priority {body['prio']}; {policy}}}"


def _named(body: Json) -> str:
    if "name" not in body:
        return f"{_path(body, 'table')} handle {body['handle']}"
    return _path(body, "table", "name")


def _set(body: Json, verb: str) -> str:
    place = _named(body)
    if verb not in ("add", "create"):
        return place
    key = body["type"]
    kind = key if isinstance(key, str) else " . ".join(key)
    data = body.get("map")
    lines = [f"type {kind}" + (f" : {data if isinstance(data, str) else ' . '.join(data)}" if data else "")]
    flags = _words(body.get("flags", []))
    if flags:
        lines.append(f"flags {','.join(flags)}")
    for word, unit in (("timeout", "s"), ("gc-interval", "s"), ("size", ""), ("policy", "")):
        if word in body:
            lines.append(f"{word} {body[word]}{unit}")
    if body.get("auto-merge"):
        lines.append("auto-merge")
    if "comment" in body:
        lines.append(f"comment {_quoted(body['comment'])}")
    return f"{place} {{ {'; '.join(lines)}; }}"


def _elements_of(entry: dict[str, Json]) -> Iterator[str]:
    """The elements of a declared set, added when everything is there that they may lead to."""
    body = next((entry[verb] for verb in ("add", "create") if verb in entry), entry)
    for noun in ("set", "map"):
        declared = body.get(noun) or {}
        if declared.get("elem"):
            yield f"add element {_element(declared, 'add')}"


def _element(body: Json, _verb: str) -> str:
    return f"{_path(body, 'table', 'name')} {{ {_members(body['elem'])} }}"


def _members(value: Json) -> str:
    return ", ".join(_member(each) for each in (value if isinstance(value, list) else [value]))


def _member(value: Json) -> str:
    if isinstance(value, list):
        key, data = value
        return f"{_member(key)} : {expression(data)}"
    if isinstance(value, dict) and "elem" in value:
        body = value["elem"]
        parts = [expression(body["val"])]
        parts += [_statement({word: body[word]}) for word in ("counter", "limit", "quota") if word in body]
        parts += [f"{word} {body[word]}s" for word in ("timeout", "expires") if word in body]
        return " ".join((*parts, *([f"comment {_quoted(body['comment'])}"] if "comment" in body else [])))
    return expression(value)


def _rule(body: Json, verb: str) -> str:
    place = _path(body, "table", "chain")
    if verb == "delete" or (verb == "replace" and "handle" in body):
        place += f" handle {body['handle']}"
    elif "handle" in body and verb == "insert":
        place += f" position {body['handle']}"
    elif "index" in body:
        place += f" index {body['index']}"
    if verb == "delete":
        return place
    comment = f" comment {_quoted(body['comment'])}" if "comment" in body else ""
    return f"{place} {' '.join(map(_statement, body.get('expr', [])))}{comment}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _counter(body: Json, verb: str) -> str:
    comment = f" comment {_quoted(body['comment'])};" if "comment" in body else ""
    values = f" packets {body['packets']} bytes {body['bytes']}" if "packets" in body else ""
    shown = f" {{{comment}{values} }}"
    return _named(body) + (shown if verb in ("add", "create") else "")


def _quota_object(body: Json, verb: str) -> str:
    if verb not in ("add", "create"):
        return _named(body)
    used = f" used {body['used']} bytes" if body.get("used") else ""
    return f"{_named(body)} {{ {'over ' if body.get('inv') else ''}{body['bytes']} bytes{used} }}"


def _limit_object(body: Json, verb: str) -> str:
    return _named(body) + (f" {{ {_limit(body).removeprefix('limit ')} }}" if verb in ("add", "create") else "")


_SUBJECTS: dict[str, Callable[[Json, str], str]] = {
    "ruleset": _ruleset,
    "table": _table,
    "tables": lambda body, _verb: str((body or {}).get("family", "")),
    "chain": _chain,
    "rule": _rule,
    "set": _set,
    "map": _set,
    "element": _element,
    "counter": _counter,
    "quota": _quota_object,
    "limit": _limit_object,
}


# --- expressions


def expression(value: Json) -> str:
    """An expression's text."""
    if isinstance(value, bool):
        return "exists" if value else "missing"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(expression(each) for each in value)
    [(word, body)] = value.items()
    writer = _EXPRESSIONS.get(word)
    if writer is None:
        raise Unsupported(f"nft -j: {word}", token=word)
    return writer(body)


def _payload(body: Json) -> str:
    if "protocol" in body:
        return f"{body['protocol']} {body['field']}"
    return f"@{body['base']},{body['offset']},{body['len']}"


def _operator(sign: str) -> Callable[[Json], str]:
    def write(body: Json) -> str:
        left, *rest = body
        masks = (f"({' | '.join(each)})" if isinstance(each, list) else expression(each) for each in rest)
        return " ".join((expression(left), *(f"{sign} {mask}" for mask in masks)))

    return write


def _hash(body: Json) -> str:
    seed = f" seed {body['seed']}" if "seed" in body else ""
    return f"jhash {expression(body['expr'])} mod {body['mod']}{seed}{_offset(body)}"


def _offset(body: Json) -> str:
    return f" offset {body['offset']}" if body.get("offset") else ""


def _joined(body: Json, *names: str) -> str:
    return " ".join(str(body[name]) for name in names if name in body)


def _verdict(word: str) -> Callable[[Json], str]:
    return lambda body: f"{word} {body['target']}" if body else word


_EXPRESSIONS: dict[str, Callable[[Json], str]] = {
    "concat": lambda body: " . ".join(map(expression, body)),
    "set": lambda body: body if isinstance(body, str) else f"{{ {_members(body)} }}",
    "map": lambda body: f"{expression(body['key'])} map {expression(body['data'])}",
    "prefix": lambda body: f"{expression(body['addr'])}/{body['len']}",
    "range": lambda body: f"{expression(body[0])}-{expression(body[1])}",
    "payload": _payload,
    "meta": lambda body: f"meta {body['key']}",
    "ct": lambda body: f"ct {_joined(body, 'dir', 'key')}",
    "fib": lambda body: f"fib {' . '.join(_words(body['flags']))} {body['result']}",
    "numgen": lambda body: f"numgen {body['mode']} mod {body['mod']}{_offset(body)}",
    "jhash": _hash,
    "symhash": lambda body: f"symhash mod {body['mod']}{_offset(body)}",
    "rt": lambda body: f"rt {_joined(body, 'family', 'key')}",
    "socket": lambda body: f"socket {body['key']}",
    "tcp option": lambda body: f"tcp option {_joined(body, 'name', 'field')}",
    "exthdr": lambda body: f"{body['name']} {body['field']}" if "field" in body else f"exthdr {body['name']}",
    "elem": lambda body: _member({"elem": body}),
    **{sign: _operator(sign) for sign in ("&", "|", "^", "<<", ">>")},
    **{word: _verdict(word) for word in ("accept", "drop", "continue", "return", "jump", "goto")},
}


# --- statements


def _statement(value: Json) -> str:
    [(word, body)] = value.items()
    writer = _STATEMENTS.get(word)
    return writer(body) if writer is not None else expression(value)


def _match(body: Json) -> str:
    operator = {"==": "==", "in": "", "!": "!"}.get(body["op"], body["op"])
    right = body["right"]
    quoted = _quoted(right) if _is_name(body["left"]) and isinstance(right, str) else expression(right)
    return " ".join(part for part in (expression(body["left"]), operator, quoted) if part)


def _is_name(left: Json) -> bool:
    return isinstance(left, dict) and left.get("meta", {}).get("key") in ("iifname", "oifname", "ibrname", "obrname")


def _state(word: str, write: Callable[[Json], str]) -> Callable[[Json], str]:
    """A counter, quota or limit: a string or a look-up names one."""

    def text(body: Json) -> str:
        if isinstance(body, str):
            return f"{word} name {_quoted(body)}"
        if isinstance(body, dict) and "map" in body:
            return f"{word} name {expression(body)}"
        return write(body)

    return text


def _limit(body: Json) -> str:
    over = "over " if body.get("inv") else ""
    unit = body.get("rate_unit", "packets")
    rate = f"{body['rate']}" if unit == "packets" else f"{body['rate']} {unit}"
    burst = f" burst {body['burst']} {body.get('burst_unit', 'packets')}" if body.get("burst") else ""
    return f"limit rate {over}{rate}/{body.get('per', 'second')}{burst}"


def _quota(body: Json) -> str:
    used = f" used {body['used']} {body.get('used_unit', 'bytes')}" if body.get("used") else ""
    return f"quota {'over ' if body.get('inv') else ''}{body['val']} {body.get('val_unit', 'bytes')}{used}"


def _counter_statement(body: Json) -> str:
    return f"counter packets {body['packets']} bytes {body['bytes']}" if body else "counter"


def _log(body: Json) -> str:
    body = body or {}
    parts = [f"prefix {_quoted(body['prefix'])}"] if "prefix" in body else []
    parts += [f"{word} {body[word]}" for word in ("group", "snaplen", "queue-threshold", "level") if word in body]
    parts += [f"flags {flag}" for flag in _words(body.get("flags", []))]
    return " ".join(("log", *parts))


def _reject(body: Json) -> str:
    if not body:
        return "reject"
    return f"reject with {body['type']}" + (f" {expression(body['expr'])}" if "expr" in body else "")


def _nat(word: str) -> Callable[[Json], str]:
    def text(body: Json) -> str:
        body = body or {}
        parts = [word, str(body.get("family", ""))]
        if "addr" in body or "port" in body:
            port = f":{expression(body['port'])}" if "port" in body else ""
            address = expression(body["addr"]) if "addr" in body else ""
            six = port and isinstance(body.get("addr"), str) and ":" in address
            parts += ["to", f"[{address}]{port}" if six else f"{address}{port}"]
        parts.append(",".join(_words(body.get("flags", []))))
        return " ".join(part for part in parts if part)

    return text


def _update(body: Json) -> str:
    details = "".join(f" {_statement(each)}" for each in body.get("stmt", []))
    data = f" : {expression(body['data'])}" if "data" in body else ""
    return f"{body['op']} {body.get('set', body.get('map'))} {{ {_member(body['elem'])}{details}{data} }}"


def _map_statement(body: Json) -> str:
    return _update(body) if "op" in body else expression({"map": body})


_STATEMENTS: dict[str, Callable[[Json], str]] = {
    "match": _match,
    "vmap": lambda body: f"{expression(body['key'])} vmap {expression(body['data'])}",
    "counter": _state("counter", _counter_statement),
    "quota": _state("quota", _quota),
    "limit": _state("limit", _limit),
    "ct count": lambda body: f"ct count {'over ' if body.get('inv') else ''}{body['val']}",
    "mangle": lambda body: f"{expression(body['key'])} set {expression(body['value'])}",
    "log": _log,
    "reject": _reject,
    "notrack": lambda _body: "notrack",
    "set": _update,
    "map": _map_statement,
    "tproxy": _nat("tproxy"),
    **{word: _nat(word) for word in ("dnat", "snat", "masquerade", "redirect")},
}
