"""What cluster DNS knows: Services, ready endpoints, Pods and namespaces, indexed by name and by address.

Fed with changes of API objects one by one; each costs in proportion to the object, never to the cluster. The shapes
follow CoreDNS' plugin/kubernetes/object: an endpoint is one address of a ready endpoint of an EndpointSlice, and a
slice without ports counts as having the single port -1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import attrs

#: The resources whose changes the index wants.
RESOURCES = ("namespaces", "services", "endpointslices.discovery.k8s.io", "pods")
NO_PORT = -1


@attrs.frozen
class Port:
    name: str
    protocol: str  # lower case
    number: int


@attrs.frozen
class ServiceEntry:
    namespace: str
    name: str
    external_name: str  # "" unless the type is ExternalName
    headless: bool
    cluster_ips: tuple[str, ...]
    ports: tuple[Port, ...]


@attrs.frozen
class Address:
    ip: str
    hostname: str
    target: str  # name of the Pod behind it, "" when unknown

    def label(self, pod_names: bool) -> str:
        """The endpoint's label below its Service: host name, else (on request) Pod name, else the dashed address."""
        if self.hostname:
            return self.hostname.lower()
        if pod_names and self.target:
            return self.target
        return self.ip.replace(".", "-").replace(":", "-")


@attrs.frozen
class SliceEntry:
    namespace: str
    service: str
    addresses: tuple[Address, ...]
    ports: tuple[Port, ...]


@attrs.define
class DnsIndex:
    """The zone's data, fed by `apply`."""

    namespaces: dict[str, Mapping[str, str]] = attrs.field(factory=dict)  # name -> labels
    services: dict[tuple[str, str], ServiceEntry] = attrs.field(factory=dict)
    slices: dict[tuple[str, str], dict[str, SliceEntry]] = attrs.field(factory=dict)  # by Service, then slice name
    pods: dict[str, dict[tuple[str, str], None]] = attrs.field(factory=dict)  # address -> (namespace, name)
    service_by_ip: dict[str, dict[tuple[str, str], None]] = attrs.field(factory=dict)
    endpoints_by_ip: dict[str, dict[tuple[str, str], None]] = attrs.field(factory=dict)  # address -> Services
    _slice_owner: dict[tuple[str, str], tuple[str, str]] = attrs.field(factory=dict)
    _pod_ips: dict[tuple[str, str], tuple[str, ...]] = attrs.field(factory=dict)
    _shared: bool = False

    def apply(self, kind: str, obj: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Take in one object as it is now (or was, when `deleted`); kinds other than the four are ignored."""
        handler = _HANDLERS.get(kind)
        if handler is not None:
            if self._shared:
                self._own()
            handler(self, obj, deleted)

    def addresses(self, service: tuple[str, str]) -> Iterator[tuple[SliceEntry, Address]]:
        for entry in self.slices.get(service, {}).values():
            for address in entry.addresses:
                yield entry, address

    def has_endpoints(self, service: tuple[str, str]) -> bool:
        return any(entry.addresses for entry in self.slices.get(service, {}).values())

    def fork(self) -> DnsIndex:
        """A copy that shares everything until one of the two changes."""
        self._shared = True
        return attrs.evolve(self)

    def _own(self) -> None:
        """Stop sharing: copy the dictionaries (never their frozen entries)."""
        self._shared = False
        self.namespaces, self.services = self.namespaces.copy(), self.services.copy()
        self._slice_owner, self._pod_ips = self._slice_owner.copy(), self._pod_ips.copy()
        self.slices = {key: value.copy() for key, value in self.slices.items()}
        self.pods = {key: value.copy() for key, value in self.pods.items()}
        self.service_by_ip = {key: value.copy() for key, value in self.service_by_ip.items()}
        self.endpoints_by_ip = {key: value.copy() for key, value in self.endpoints_by_ip.items()}

    def _namespace(self, obj: Mapping[str, Any], deleted: bool) -> None:
        name = obj["metadata"]["name"]
        if deleted:
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = obj["metadata"].get("labels") or {}

    def _service(self, obj: Mapping[str, Any], deleted: bool) -> None:
        key = _key(obj)
        old = self.services.pop(key, None)
        for ip in old.cluster_ips if old else ():
            _discard(self.service_by_ip, ip, key)
        if not deleted:
            entry = self.services[key] = service_entry(obj)
            for ip in entry.cluster_ips:
                self.service_by_ip.setdefault(ip, {})[key] = None

    def _slice(self, obj: Mapping[str, Any], deleted: bool) -> None:
        key = _key(obj)
        owner = self._slice_owner.pop(key, None)
        if owner is not None:
            old = self.slices[owner].pop(key[1])
            if not self.slices[owner]:
                del self.slices[owner]
            for address in old.addresses:
                if all(address.ip != other.ip for _, other in self.addresses(owner)):
                    _discard(self.endpoints_by_ip, address.ip, owner)
        service = (obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        if not deleted and service:
            entry = slice_entry(obj, service)
            owner = self._slice_owner[key] = (key[0], service)
            self.slices.setdefault(owner, {})[key[1]] = entry
            for address in entry.addresses:
                self.endpoints_by_ip.setdefault(address.ip, {})[owner] = None

    def _pod(self, obj: Mapping[str, Any], deleted: bool) -> None:
        key = _key(obj)
        for ip in self._pod_ips.pop(key, ()):
            _discard(self.pods, ip, key)
        status = obj.get("status") or {}
        finished = status.get("phase") in ("Succeeded", "Failed", "Unknown")
        if not deleted and not finished and status.get("podIP"):
            ips = self._pod_ips[key] = (canonical(status["podIP"]),)
            for ip in ips:
                self.pods.setdefault(ip, {})[key] = None


def service_entry(obj: Mapping[str, Any]) -> ServiceEntry:
    spec = obj.get("spec") or {}
    ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    external = spec.get("externalName", "") if spec.get("type") == "ExternalName" else ""
    headless = not external and "None" in ips
    ports = tuple(
        Port(port.get("name") or "", port.get("protocol", "TCP").lower(), port["port"])
        for port in spec.get("ports") or ()
    )
    if not ports and not external:
        ports = (Port("", "", NO_PORT),)
    cluster_ips = () if headless else tuple(canonical(ip) for ip in ips if ip)
    return ServiceEntry(*_key(obj), external, headless, cluster_ips, ports)


def slice_entry(obj: Mapping[str, Any], service: str) -> SliceEntry:
    addresses = [
        Address(canonical(ip), endpoint.get("hostname") or "", (endpoint.get("targetRef") or {}).get("name", ""))
        for endpoint in obj.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for ip in endpoint.get("addresses") or ()
    ]
    ports = tuple(
        Port(port.get("name") or "", (port.get("protocol") or "TCP").lower(), port.get("port") or NO_PORT)
        for port in obj.get("ports") or ()
    )
    return SliceEntry(_key(obj)[0], service, tuple(addresses), ports or (Port("", "", NO_PORT),))


def canonical(text: str) -> str:
    """An address as it is compared and printed; anything else (an FQDN endpoint) stays as it is."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _key(obj: Mapping[str, Any]) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _discard(index: dict[str, dict[tuple[str, str], None]], ip: str, key: tuple[str, str]) -> None:
    entries = index.get(ip)
    if entries is not None:
        entries.pop(key, None)
        if not entries:
            del index[ip]


_HANDLERS = {
    "Namespace": DnsIndex._namespace,
    "Service": DnsIndex._service,
    "EndpointSlice": DnsIndex._slice,
    "Pod": DnsIndex._pod,
}
