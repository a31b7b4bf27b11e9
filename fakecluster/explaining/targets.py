"""Packets whose ends are named: `tcp pod/client > web:80` becomes addresses, by the sender's own DNS where it is a name."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster.capturing import port_of
from fakecluster.explaining.packet_words import SHAPE, PacketSyntaxError, PacketWords, parse_packet
from fakecluster.handles.targets import parse_target

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster
    from fakecluster.handles import Host

_PLACE = re.compile(r"(?:pod|node)/[\w./-]+|outside")


@attrs.frozen
class Sent:
    """A packet, the namespace it begins in, and the queries for its target's name as lines."""

    packet: PacketWords
    namespace: str
    lookup: tuple[str, ...] = ()


def sent(cluster: Cluster, words: PacketWords | str, at: str) -> Sent:
    """Read a packet of a cluster. Raises `PacketSyntaxError`, `TargetError`, `ResolveFailed`, LookupError."""
    if isinstance(words, PacketWords):
        return Sent(words, _namespace(cluster, at))
    shape = SHAPE.fullmatch(words.strip())
    if shape is None:
        return Sent(parse_packet(words), _namespace(cluster, at))
    protocol, source, target, flags, interface = shape.groups()
    namespace = ""
    lookup: tuple[str, ...] = ()
    if _PLACE.match(source):
        place, _, port = source.partition(":")
        namespace = _namespace(cluster, place)
        host = cluster.host_of(namespace)
        target, lookup = _target(host, protocol.lower(), target)
        source = _source(host, port, target)
    elif at and not _is_numeric(target):
        target, lookup = _target(cluster.host_of(_namespace(cluster, at)), protocol.lower(), target)
    text = f"{protocol} {source} > {target}" + (f" [{flags}]" if flags else "")
    packet = parse_packet(f"{text} in {interface}" if interface else text)
    return Sent(packet, _namespace(cluster, at) if at else namespace or _no_place(words), lookup)


def _no_place(words: str) -> str:
    raise PacketSyntaxError(f"{words!r}: where does it begin? say at=... (--at), or begin with pod/NAME or node/NAME")


def _namespace(cluster: Cluster, at: str) -> str:
    if not at:
        _no_place("the packet")
    place, _, interface = at.partition(":")
    return port_of(cluster.network, f"{place}:{interface or 'lo'}").namespace


def _is_numeric(end: str) -> bool:
    try:
        parse_packet(f"udp {end} > {end}" if end.count(":") else f"icmp {end} > {end}")
    except PacketSyntaxError:
        return False
    return True


def _target(host: Host, protocol: str, text: str) -> tuple[str, tuple[str, ...]]:
    """ADDRESS[:PORT] of a target, and what was asked for it."""
    if _is_numeric(text):
        return text, ()
    carrier = protocol if protocol in ("tcp", "udp", "sctp") else "udp"
    parsed = parse_target(f"{carrier}://{text}")
    lookup: tuple[str, ...] = ()
    if not parsed.kind and parsed.address is None:
        found = host.lookup(parsed.host)
        lookup = tuple(
            f"{host.namespace} asks {query.server} for {query.name} {query.type}: {query.status}"
            + "".join(f" {record.data}" for record in (query.answer.answer if query.answer is not None else ()))
            for query in found.queries
        )
    place = host.locate(text, protocol=carrier)
    address = ip_address(place.address.to_bytes(4 if place.family == 4 else 16))
    if protocol not in ("tcp", "udp", "sctp"):
        return str(address), lookup
    return f"[{address}]:{place.port}" if place.family == 6 else f"{address}:{place.port}", lookup


def _source(host: Host, port: str, target: str) -> str:
    """The host's own address of the target's family."""
    is_ipv6 = target.count(":") > 1
    address = next((ip for ip in host.ips if (":" in ip) == is_ipv6), None)
    if address is None:
        raise PacketSyntaxError(f"{host.namespace} has no IPv{6 if is_ipv6 else 4} address")
    end = f"[{address}]" if is_ipv6 else address
    return f"{end}:{port}" if port else end
