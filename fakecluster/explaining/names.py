"""Names instead of numbers: which Pod, Service or Node an address belongs to, from a cluster or from `kubectl get` dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import attrs

from fakecluster.explaining.packet_words import PacketSyntaxError
from fakecluster.kernel.packet import BadPacket, Skb
from fakecluster.trace import Trace

JsonObject = Mapping[str, Any]
#: Names that are told beside one that is not known.
NAMES_TOLD = 30
#: An end of a packet in words that is a name.
_PACKET_NAME = re.compile(r"(?<!\S)(?:pod|svc|node)/[\w./-]+")
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w./])")
#: Lines of a walk whose text is a rule's own: it stays as the node's tools print it.
_RULE_LINE = re.compile(r"^ {6}\S+ +(?:ip6?|inet|arp|bridge) \S+ ")


@attrs.frozen
class Names:
    """address (as text, in its shortest form) -> name, such as pod/web-1, pod/shop/web-1, svc/web, node/a."""

    of_address: Mapping[str, str] = attrs.field(factory=dict)

    def in_text(self, text: str) -> str:
        """A text in which known addresses are names."""
        return _ADDRESS.sub(self._replace, text) if self.of_address else text

    def in_walk(self, line: str) -> str:
        """A line of a trace: rules are left as they are."""
        return line if _RULE_LINE.match(line) else self.in_text(line)

    def _replace(self, found: re.Match[str]) -> str:
        return self.of_address.get(found[0], found[0])

    def in_packet(self, words: str) -> str:
        """A packet in words whose ends may be names (`tcp pod/client > svc/shop/web:80`), with addresses.

        Of a name with several addresses it is the first. Raises `PacketSyntaxError` for a name that is not known.
        """
        if not _PACKET_NAME.search(words):
            return words
        addresses: dict[str, str] = {}
        for address, name in self.of_address.items():
            addresses.setdefault(name, f"[{address}]" if ":" in address else address)

        def address_of(found: re.Match[str]) -> str:
            name = found[0].replace("/default/", "/", 1)
            if name not in addresses:
                known = ", ".join(sorted(addresses)[:NAMES_TOLD]) or "none (--objects gives names)"
                raise PacketSyntaxError(f"{words!r}: no address of {found[0]} is known; names: {known}")
            return addresses[name]

        return _PACKET_NAME.sub(address_of, words)

    def used_in(self, trace: Trace) -> dict[str, str]:
        """The names of the addresses that a walk's packets had, in order of appearance."""
        found = {}
        for hop in trace.hops:
            for packet in (hop.packet_in, hop.packet_out):
                for text in _ends(packet):
                    if text in self.of_address:
                        found[text] = self.of_address[text]
        return found


NO_NAMES = Names()


def _ends(packet: bytes) -> Iterator[str]:
    try:
        skb = Skb(packet)
    except BadPacket:
        return
    size = 4 if skb.family == 4 else 16
    for address in (skb.src, skb.dst):
        yield str(ip_address(address.to_bytes(size)))


def names_of(objects: Iterable[JsonObject]) -> Names:
    """The names that API objects give to addresses. Pods in the host's network do not count: their Node does."""
    found: dict[str, str] = {}
    for one in objects:
        reader = _READERS.get(str(one.get("kind", "")))
        if reader is not None:
            for address in reader(one):
                found.setdefault(str(ip_address(address)), _name(one))
    return Names(found)


def _name(one: JsonObject) -> str:
    meta = one.get("metadata") or {}
    space = str(meta.get("namespace") or "default")
    inside = "" if one["kind"] == "Node" or space == "default" else f"{space}/"
    return f"{_WORDS[one['kind']]}/{inside}{meta.get('name', '')}"


def _pod(one: JsonObject) -> Iterator[str]:
    status = one.get("status") or {}
    if not (one.get("spec") or {}).get("hostNetwork"):
        listed = [entry.get("ip", "") for entry in status.get("podIPs") or ()]
        yield from _valid([status.get("podIP", ""), *listed])


def _service(one: JsonObject) -> Iterator[str]:
    spec, status = one.get("spec") or {}, one.get("status") or {}
    ingress = (status.get("loadBalancer") or {}).get("ingress") or ()
    found = [spec.get("clusterIP", ""), *(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ())]
    yield from _valid([*found, *(entry.get("ip", "") for entry in ingress)])


def _node(one: JsonObject) -> Iterator[str]:
    yield from _valid([entry.get("address", "") for entry in (one.get("status") or {}).get("addresses") or ()])


def _valid(texts: Iterable[Any]) -> Iterator[str]:
    for text in texts:
        try:
            yield str(ip_address(text))
        except ValueError:
            continue  # "", None, a host name


_READERS = {"Pod": _pod, "Service": _service, "Node": _node}
_WORDS = {"Pod": "pod", "Service": "svc", "Node": "node"}
