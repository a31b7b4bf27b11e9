"""Which Service a rule is about: by its comment, by the chain that it leads to, or by the address and port in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

JsonObject = Mapping[str, Any]
Place = tuple[str, str, int]

#: namespace/name, and the port's name, in comments of iptables and nft
_COMMENT = re.compile(r'comment "?([a-z0-9.-]+/[a-z0-9.-]+(?::[a-z0-9-]+)?)')
#: nft's chains: service-2QRHZV4L-default/web/tcp/http, endpoint-5OJB2KTY-default/web/tcp/http__10.244.0.5/80
_CHAIN = re.compile(r"\b(?:service|endpoint|external|firewall)-[A-Z0-9]+-([a-z0-9.-]+/[a-z0-9.-]+)/\w+/([a-z0-9-]*)")
_IP = r"\[?(?P<address>[0-9a-f]*[.:][0-9a-f.:]*?)\]?"
#: ipvsadm's options, an element of ipset, one of nft: what stands there is (address, protocol, port)
_PLACES = (
    re.compile(rf"^-[Aa] -(?P<protocol>[tu]|-sctp-service) {_IP}:(?P<port>\d+) "),
    re.compile(rf"^add \S+ {_IP},(?P<protocol>tcp|udp|sctp):(?P<port>\d+)\b"),
    re.compile(rf"^{_IP} (?:\. \S+ )?\. (?P<protocol>tcp|udp|sctp) \. (?P<port>\d+)\b"),
    re.compile(r"^add KUBE-NODE-PORT(?P<address>)\S*-(?P<protocol>TCP|UDP) (?P<port>\d+)$"),
)
_ADDRESS = re.compile(rf"^(?:add \S+ )?{_IP}$")
_PROTOCOLS = {"t": "tcp", "u": "udp", "-sctp-service": "sctp"}


@attrs.frozen
class ServiceNames:
    """(address, protocol, port) -> namespace/name:port; the address is "" for node ports. `of_address`: namespace/name."""

    of_place: Mapping[Place, str] = attrs.field(factory=dict)
    of_address: Mapping[str, str] = attrs.field(factory=dict)

    def of(self, rule: str, chain: str = "") -> str:
        """The Service (namespace/name:port) that a rule or an element of a set is about; "" for none."""
        comment = _COMMENT.search(rule)
        if comment is not None:
            return comment[1]
        found = _CHAIN.search(rule) or _CHAIN.search(chain)
        if found is not None:
            return found[1] + (f":{found[2]}" if found[2] else "")
        for pattern in _PLACES:
            place = pattern.match(rule)
            if place is not None:
                protocol = _PROTOCOLS.get(place["protocol"], place["protocol"].lower())
                port = int(place["port"])
                at_any = self.of_place.get(("", protocol, port), "")
                return self.of_place.get((place["address"], protocol, port), at_any)
        address = _ADDRESS.match(rule)
        return self.of_address.get(address[1], "") if address is not None else ""


NO_SERVICES = ServiceNames()


def service_names(services: Iterable[JsonObject], slices: Iterable[JsonObject]) -> ServiceNames:
    """The names that Services and EndpointSlices give to addresses and ports."""
    places: dict[Place, str] = {}
    addresses: dict[str, str] = {}
    for service in services:
        name = _name(service)
        for address in _addresses(service):
            addresses.setdefault(address, name)
        for port in service["spec"].get("ports") or ():
            word, protocol = _port(name, port), str(port.get("protocol", "TCP")).lower()
            for address in _addresses(service):
                places[address, protocol, port["port"]] = word
            if port.get("nodePort"):
                places["", protocol, port["nodePort"]] = word
    for one in slices:
        owner = (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        name = f"{one['metadata'].get('namespace', 'default')}/{owner}"
        for port in (one.get("ports") or ()) if owner else ():
            for endpoint in one.get("endpoints") or ():
                for address in endpoint["addresses"]:
                    places.setdefault(
                        (address, str(port.get("protocol", "TCP")).lower(), port.get("port") or 0), _port(name, port)
                    )
    return ServiceNames(places, addresses)


def _name(service: JsonObject) -> str:
    return f"{service['metadata'].get('namespace', 'default')}/{service['metadata']['name']}"


def _port(name: str, port: JsonObject) -> str:
    return f"{name}:{port['name']}" if port.get("name") else name


def _addresses(service: JsonObject) -> Iterator[str]:
    spec, status = service["spec"], service.get("status") or {}
    found = [spec.get("clusterIP"), *(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ())]
    found += [entry.get("ip") for entry in (status.get("loadBalancer") or {}).get("ingress") or ()]
    yield from dict.fromkeys(one for one in found if one and one != "None")
