"""What the server warns about in the ports of a Pod's containers (pkg/api/pod/warnings.go)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakecluster.api.go_values import go_quote
from fakecluster.api.kinds_workload.field_checks import every_container

Json = dict[str, Any]


def port_warnings(spec: Json, field: str) -> Iterator[str]:
    """Ports that are declared twice or half, then names that two ports share."""
    places = [
        (port, f"{place}.ports[{number}]")
        for container, place in every_container(spec, field)
        for number, port in enumerate(container.get("ports") or ())
    ]
    known: dict[tuple[int, str], list[tuple[Json, str]]] = {}
    for port, place in places:
        if port.get("hostIP") and not port.get("hostPort"):
            yield f"{place}: hostIP set without hostPort: {_printed(port)}"
        others = known.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
        for other, where in others:
            clash = _clash(port, other)
            if clash:
                yield f"{place}: {clash} port definition with {where}"
        others.append((port, place))
    named: dict[str, str] = {}
    for port, place in places:
        name = port.get("name", "")
        if name and (first := named.setdefault(name, place)) != place:
            words = f"services and probes that select ports by name will use {first}"
            yield f"{place}: duplicate port name {go_quote(name)} with {first}, {words}"


def _clash(port: Json, other: Json) -> str:
    """How two ports of one number get in each other's way."""
    address, host_port = port.get("hostIP", ""), port.get("hostPort", 0)
    other_address, other_host_port = other.get("hostIP", ""), other.get("hostPort", 0)
    if address == other_address and host_port == other_host_port:
        return "duplicate"
    if not host_port or not other_host_port:
        return "overlapping"
    if host_port == other_host_port and bool(address) != bool(other_address):
        return "dangerously ambiguous"
    return ""


def _printed(port: Json) -> str:
    """A structure as Go's %+v has it."""
    fields = ("name", "hostPort", "containerPort", "protocol", "hostIP")
    values = (port.get(key, 0 if key.endswith("Port") else "") for key in fields)
    return "{" + " ".join(f"{key[0].upper()}{key[1:]}:{value}" for key, value in zip(fields, values, strict=True)) + "}"
