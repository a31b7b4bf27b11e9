"""Requests that a recording of area `controllers` gives in words, because they are too many."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from fakecluster.errors import Unsupported

Json = dict[str, Any]
PODS = re.compile(
    r"pods p%04d for i in (\d+)\.\.(\d+): labels (\{.*?\}), podIP (\S+), Running, Ready=(.+?), nodeName nodes\[(.+)\]"
)
CONDITION = re.compile(r"(True|False) (if|for|when|where|unless|except) ((?:(?! else ).)+)")
FORCE_DELETE = re.compile(r"force-delete p(\d+)\.\.p(\d+)")
ENDPOINTS = re.compile(r"Endpoints '(.+)' with (\d+) addresses (\S+), one port (\S+) (\d+)")
PODS_PATH = "/api/v1/namespaces/{{ns}}/pods"


def generated(text: str, nodes: list[str]) -> Iterator[Json]:
    """The plain requests that a sentence stands for."""
    if pods := PODS.fullmatch(text):
        yield from _pods(pods, nodes)
    elif deleted := FORCE_DELETE.fullmatch(text):
        for number in range(int(deleted[1]), int(deleted[2]) + 1):
            path, query = f"{PODS_PATH}/p{number:04}", {"gracePeriodSeconds": "0"}
            yield {"method": "DELETE", "path": path, "query": query, "status": 200}
    else:
        raise Unsupported(f"generated requests {text!r}")


def generated_body(text: str) -> Json:
    """The object that a sentence stands for."""
    match = ENDPOINTS.fullmatch(text)
    if match is None:
        raise Unsupported(f"generated body {text!r}")
    addresses = [{"ip": _address(match[3], i)} for i in range(int(match[2]))]
    subset = {"addresses": addresses, "ports": [{"name": match[4], "port": int(match[5])}]}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": match[1]}, "subsets": [subset]}


def _pods(match: re.Match[str], nodes: list[str]) -> Iterator[Json]:
    first, last, labels, address, ready, node = match.groups()
    for i in range(int(first), int(last) + 1):
        spec = {"nodeName": nodes[_value(node, i)], "containers": [{"name": "main", "image": "pause"}]}
        metadata = {"name": f"p{i:04}", "labels": ast.literal_eval(labels)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        yield {"method": "POST", "path": PODS_PATH, "body": pod, "status": 201}
        ip, is_ready = _address(address, i), "True" if _condition(ready, i) else "False"
        conditions = [{"type": name, "status": is_ready} for name in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        yield {
            "method": "PATCH",
            "path": f"{PODS_PATH}/p{i:04}/status",
            "contentType": "application/strategic-merge-patch+json",
            "body": {"status": status},
            "status": 200,
        }


def _address(template: str, i: int) -> str:
    return re.sub(r"\(([^)]*)\)", lambda match: str(_value(match[1], i)), template)


def _condition(text: str, i: int) -> bool:
    """An expression in `i`, or one answer with the exceptions from it."""
    match = CONDITION.fullmatch(text)
    if match is None:
        return bool(_value(text, i))
    applies = bool(_value(match[3], i)) == (match[2] not in ("unless", "except"))
    return applies == (match[1] == "True")


def _value(expression: str, i: int) -> Any:
    """An arithmetic expression in `i`."""
    allowed = (ast.Expression, ast.BinOp, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.cmpop)
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        raise Unsupported(f"generated expression {expression!r}") from None
    for node in ast.walk(tree):
        if not isinstance(
            node, (*allowed, ast.IfExp, ast.Tuple, ast.List, ast.boolop, ast.Name, ast.Load, ast.Constant)
        ):
            raise Unsupported(f"generated expression {expression!r}")
    return eval(compile(tree, "<generated>", "eval"), {"__builtins__": {}}, {"i": i})
