"""Service and Pods -> the subsets of an Endpoints object.

Sources: pkg/controller/endpoint/endpoints_controller.go (one address per Pod of the Service's first family, at most
1000 of them) and pkg/api/v1/endpoints/util.go (addresses offering the same ports become one subset).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fakecluster.controllers.publishing import (
    Json,
    has_fixed_ports,
    is_published,
    is_ready,
    parsed_ip,
    port_number,
    published_hostname,
    target_ref,
)

#: Addresses that one Endpoints object may have; the rest is cut off and an annotation says so.
MAX_ADDRESSES = 1000

#: (name, number, protocol, appProtocol), as Endpoints show it; None stands for a Service without ports
Port = tuple[str, int, str, str | None] | None
#: (address text, uid of its Pod) -> (address, whether it is ready)
Addresses = dict[tuple[str, str], tuple[Json, bool]]


def subsets_for(service: Json, pods: Iterable[Json]) -> list[Json]:
    """The subsets of a Service's Endpoints: every published Pod under the ports it offers, ready or not."""
    tolerant = bool(service["spec"].get("publishNotReadyAddresses"))
    by_port: dict[Port, Addresses] = {}
    fixed = _ports(service, {}) if has_fixed_ports(service) else None
    for pod in pods:
        if not is_published(pod, terminating=tolerant):
            continue
        address = _address(service, pod)
        if address is None:
            continue
        key = (address["ip"], address["targetRef"]["uid"])
        ready = tolerant or is_ready(pod)
        for port in _ports(service, pod) if fixed is None else fixed:
            addresses = by_port.setdefault(port, {})
            known = addresses.get(key)
            if known is None or known[1]:  # not ready once is not ready
                addresses[key] = (address, ready)
    return _packed(by_port)


def truncated(subsets: Sequence[Json]) -> list[Json] | None:
    """The subsets cut to `MAX_ADDRESSES`, ready ones first and each subset in proportion; None if they fit."""
    ready = sum(len(subset.get("addresses", ())) for subset in subsets)
    not_ready = sum(len(subset.get("notReadyAddresses", ())) for subset in subsets)
    if ready + not_ready <= MAX_ADDRESSES:
        return None
    cut, total, room = "notReadyAddresses", not_ready, MAX_ADDRESSES - ready
    if ready > MAX_ADDRESSES:
        cut, total, room = "addresses", ready, MAX_ADDRESSES
    kept, left = [], room
    for subset in subsets:
        addresses = subset.get(cut, [])
        share = min(math.ceil(len(addresses) / total * room), left)
        left -= min(len(addresses), share)
        shorter = {**subset, cut: addresses[:share]}
        if cut == "addresses":
            shorter["notReadyAddresses"] = []
        kept.append({key: value for key, value in shorter.items() if value})
    return kept


def _address(service: Json, pod: Json) -> Json | None:
    ip = _ip(pod, (service["spec"].get("ipFamilies") or ["IPv4"])[0])
    if not ip:
        return None
    hostname = published_hostname(pod, service)
    return {
        "ip": ip,
        **({"hostname": hostname} if hostname else {}),
        "nodeName": pod["spec"].get("nodeName", ""),  # sent even when empty: the server then refuses the whole object
        "targetRef": target_ref(pod),
    }


def _ip(pod: Json, family: str) -> str:
    """The Pod's first address of a family as the Pod has it, or ""."""
    for entry in pod["status"].get("podIPs") or ():
        ip: str = entry.get("ip", "")
        parsed = parsed_ip(ip)
        if parsed is not None and parsed[0] == family:
            return ip
    return ""


def _ports(service: Json, pod: Json) -> list[Port]:
    ports = service["spec"].get("ports") or ()
    if not ports:
        return [None] if service["spec"].get("clusterIP") == "None" else []
    found: list[Port] = []
    for port in ports:
        number = port_number(pod, port)
        if number is not None:
            found.append((port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol")))
    return found


def _packed(by_port: dict[Port, Addresses]) -> list[Json]:
    groups: dict[tuple[Any, ...], tuple[Addresses, list[Port]]] = {}
    for port, addresses in by_port.items():
        key = tuple(sorted((key, ready) for key, (_, ready) in addresses.items()))
        groups.setdefault(key, (addresses, []))[1].append(port)
    packed = [(_sorted_ports(ports), addresses) for addresses, ports in groups.values()]
    if len(packed) > 1:
        packed.sort(key=lambda subset: [_port_hash(port) for port in subset[0]])
    return [_subset(ports, addresses) for ports, addresses in packed]


def _subset(ports: list[Port], addresses: Addresses) -> Json:
    ordered = [addresses[key] for key in sorted(addresses)]
    fields = {
        "addresses": [address for address, ready in ordered if ready],
        "notReadyAddresses": [address for address, ready in ordered if not ready],
        "ports": [_port_json(port) for port in ports if port is not None],
    }
    return {name: value for name, value in fields.items() if value}


def _port_json(port: tuple[str, int, str, str | None]) -> Json:
    name, number, protocol, app_protocol = port
    return {
        **({"name": name} if name else {}),
        "port": number,
        "protocol": protocol,
        **({"appProtocol": app_protocol} if app_protocol is not None else {}),
    }


def _sorted_ports(ports: list[Port]) -> list[Port]:
    return ports if len(ports) == 1 else sorted(ports, key=_port_hash)


def _port_hash(port: Port) -> str:
    """Ports are sorted by a hash of how Go prints them; what 1.36 wrote fits SHA-256, not the MD5 of older releases."""
    name, number, protocol, app_protocol = port or ("", -1, "", None)
    shown = "<nil>" if app_protocol is None else app_protocol
    text = (
        f"(v1.EndpointPort){{Name:(string){name} Port:(int32){number} Protocol:(v1.Protocol){protocol} "
        f"AppProtocol:(*string){shown}}}"
    )
    return hashlib.sha256(text.encode()).hexdigest()
