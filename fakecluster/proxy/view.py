"""What one kube-proxy knows, for one IP family: service ports and their endpoints as frozen values.

The unit is the *service port* (kube-proxy's `ServicePortName` and `ServicePort`): one port of one Service. API objects
are read here once and never looked at again further down. Source: Kubernetes pkg/proxy/serviceport.go, endpoint.go,
util/utils.go and endpointslicecache.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Literal, NamedTuple

import attrs

Family = Literal["IPv4", "IPv6"]
FAMILIES: tuple[Family, Family] = ("IPv4", "IPv6")
#: An API object as JSON.
JsonObject = Mapping[str, Any]

ZONE_LABEL = "topology.kubernetes.io/zone"
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
#: Objects with one of these labels never reach kube-proxy: its watches select their absence.
UNWATCHED_LABELS = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")


class ServiceName(NamedTuple):
    """Namespace and name of a Service."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ServicePortName(NamedTuple):
    """One port of one Service: `port` is the port's name, which may be empty; `protocol` is TCP, UDP or SCTP."""

    namespace: str
    name: str
    port: str
    protocol: str

    @property
    def service(self) -> ServiceName:
        return ServiceName(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}" if self.port else f"{self.namespace}/{self.name}"


@attrs.frozen
class ServicePort:
    """A service port as one IP family sees it; addresses are canonical text."""

    name: ServicePortName
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    #: 0: no session affinity
    affinity_timeout_s: int = 0
    health_check_node_port: int = 0
    external_local: bool = False
    internal_local: bool = False

    @property
    def protocol(self) -> str:
        return self.name.protocol

    @property
    def externally_accessible(self) -> bool:
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Even with policy Local external traffic may be short-circuited to the cluster's endpoints."""
        return not self.internal_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        return self.internal_local or (self.external_local and self.externally_accessible)


@attrs.frozen
class Endpoint:
    """One address and port behind a service port; `text` is how kube-proxy writes it: ``ip:port`` or ``[ip]:port``."""

    ip: str
    port: int
    text: str
    is_local: bool = False
    is_ready: bool = True
    is_serving: bool = True
    is_terminating: bool = False
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[str] = frozenset()
    node_name: str = ""


ServicePorts = dict[ServicePortName, ServicePort]
Endpoints = dict[ServicePortName, tuple[Endpoint, ...]]


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_PLAIN_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)


@lru_cache(maxsize=65536)
def canonical_ip(text: str) -> str:
    """Canonical text of an address, as Go's net.IP prints it; empty when it is no address.

    Leading zeros in IPv4 are forgiven; an IPv4 address in IPv6 clothes (``::ffff:10.0.0.1``) is one of IPv4.
    """
    if _PLAIN_IPV4.fullmatch(text):
        return text
    if ":" not in text:
        text = ".".join(part.lstrip("0") or "0" for part in text.split("."))
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)


def family_of(address: str) -> Family:
    """Of an address or a CIDR, by its look."""
    return "IPv6" if ":" in address else "IPv4"


def host_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def is_watched(obj: JsonObject) -> bool:
    """Whether kube-proxy's watches deliver a Service or EndpointSlice at all."""
    labels = obj["metadata"].get("labels") or {}
    return not any(label in labels for label in UNWATCHED_LABELS)


def service_ports(service: JsonObject, family: Family) -> ServicePorts:
    """The service ports of one Service for one family; empty for headless, ExternalName and other-family Services."""
    spec = service.get("spec") or {}
    if not cluster_ip(spec, family):
        return {}
    metadata = service["metadata"]
    shared = _shared_fields(service, spec, family)
    ports: ServicePorts = {}
    for port in spec.get("ports") or ():
        name = ServicePortName(
            metadata.get("namespace", "default"),
            metadata["name"],
            port.get("name") or "",
            port.get("protocol") or "TCP",
        )
        ports[name] = ServicePort(name=name, port=port["port"], node_port=port.get("nodePort") or 0, **shared)
    return ports


def cluster_ip(spec: JsonObject, family: Family) -> str:
    """The cluster IP of one family in a Service's spec; empty when kube-proxy does not serve it in that family."""
    first = spec.get("clusterIP") or ""
    if first in ("", "None") or spec.get("type") == "ExternalName":
        return ""
    return next((canonical_ip(ip) for ip in spec.get("clusterIPs") or [first] if family_of(ip) == family), "")


def needs_health_check(spec: JsonObject) -> bool:
    """Whether load balancers ask each node for the Service's own Pods: type LoadBalancer, policy Local."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _shared_fields(service: JsonObject, spec: JsonObject, family: Family) -> dict[str, Any]:
    policy_local = spec.get("externalTrafficPolicy") == "Local"
    kind = spec.get("type", "ClusterIP")
    reachable_from_outside = kind in ("LoadBalancer", "NodePort") or bool(spec.get("externalIPs"))
    return {
        "cluster_ip": cluster_ip(spec, family),
        "external_ips": tuple(_of_family(spec.get("externalIPs") or (), family)),
        "load_balancer_ips": tuple(_of_family(_vip_addresses(service), family)),
        "source_ranges": _source_ranges(spec.get("loadBalancerSourceRanges") or (), family),
        "affinity_timeout_s": _affinity_timeout_s(spec),
        "health_check_node_port": spec.get("healthCheckNodePort") or 0 if needs_health_check(spec) else 0,
        "external_local": policy_local and reachable_from_outside,
        "internal_local": spec.get("internalTrafficPolicy") == "Local",
    }


def _of_family(addresses: Iterable[str], family: Family) -> Iterator[str]:
    return (found for ip in addresses if (found := canonical_ip(ip)) and family_of(found) == family)


def _vip_addresses(service: JsonObject) -> Iterator[str]:
    status = service.get("status") or {}
    for ingress in (status.get("loadBalancer") or {}).get("ingress") or ():
        if ingress.get("ip") and ingress.get("ipMode", "VIP") != "Proxy":
            yield ingress["ip"]


def is_cidr(text: str) -> bool:
    try:
        return "/" in text and bool(ip_network(text, strict=False))
    except ValueError:
        return False


def _source_ranges(ranges: Iterable[str], family: Family) -> tuple[str, ...]:
    """Ranges of the family; a zero-length one allows everything and so cancels the list."""
    own: list[str] = []
    for text in (entry.strip() for entry in ranges):
        if family_of(text) != family or not is_cidr(text):
            continue
        network = ip_network(text, strict=False)
        if network.prefixlen == 0:
            return ()
        own.append(str(network))
    return tuple(own)


def _affinity_timeout_s(spec: JsonObject) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(client_ip.get("timeoutSeconds") or 10800)


def slice_endpoints(
    endpoint_slices: Iterable[JsonObject], family: Family, node_name: str, *, running_wins: bool = True
) -> Endpoints:
    """Merge the EndpointSlices of one Service: endpoints per port name and protocol, sorted as text.

    Nil and zero ports are skipped, only an endpoint's first address counts. Of several at one address and port the last
    counts that is not terminating, as a Pod's address may be used again before it is gone; without `running_wins` the
    last one on this node.
    """
    merged: dict[ServicePortName, dict[str, Endpoint]] = {}
    for endpoint_slice in endpoint_slices:
        metadata = endpoint_slice["metadata"]
        service = (metadata.get("labels") or {})[SERVICE_NAME_LABEL]
        for port in endpoint_slice.get("ports") or ():
            if not port.get("port"):
                continue
            name = ServicePortName(
                metadata.get("namespace", "default"), service, port.get("name") or "", port.get("protocol") or "TCP"
            )
            known = merged.setdefault(name, {})
            for endpoint in endpoint_slice.get("endpoints") or ():
                found = _read(endpoint, port["port"], family, node_name)
                if found is None:
                    continue
                wins = not found.is_terminating if running_wins else found.is_local
                if wins or found.text not in known:
                    known[found.text] = found
    return {name: tuple(known[text] for text in sorted(known)) for name, known in merged.items() if known}


def _read(endpoint: JsonObject, port: int, family: Family, node_name: str) -> Endpoint | None:
    """An endpoint at one port; None when it has no address of the family."""
    addresses = endpoint.get("addresses") or ()
    ip = canonical_ip(addresses[0]) if addresses else ""
    return _endpoint(endpoint, ip, port, node_name) if ip and family_of(ip) == family else None


_NO_HINTS: frozenset[str] = frozenset()


def _endpoint(endpoint: JsonObject, ip: str, port: int, node_name: str) -> Endpoint:
    conditions = endpoint.get("conditions") or {}
    ready, serving, terminating = (conditions.get(key) for key in ("ready", "serving", "terminating"))
    hints = endpoint.get("hints")
    home = endpoint.get("nodeName") or ""
    return Endpoint(
        ip,
        port,
        host_port(ip, port),
        bool(node_name) and home == node_name,
        ready is None or bool(ready),
        serving is None or bool(serving),
        bool(terminating),
        frozenset(hint["name"] for hint in hints.get("forZones") or ()) if hints else _NO_HINTS,
        frozenset(hint["name"] for hint in hints.get("forNodes") or ()) if hints else _NO_HINTS,
        home,
    )


class NodeView:
    """All that one single-family proxier knows at the moment of a sync; `changes.ChangeTracker` keeps it up to date.

    `services` and `endpoints` are keyed by service port; endpoints of unknown Services are kept too. The rest of the
    dicts are other ways into the same, so that a sync need not look at what did not change.
    """

    def __init__(self, family: Family, node_name: str) -> None:
        self.family = family
        self.node_name = node_name
        self.topology_labels: Mapping[str, str] = {}
        #: whether hints that name nodes count, which older versions did not look at
        self.node_hints = True
        #: of two endpoints alike the one that does not terminate counts, not the one on this node
        self.running_wins = True
        #: CIDRs of the ready ServiceCIDR objects of this family, sorted (only nftables mode looks at them)
        self.service_cidrs: tuple[str, ...] = ()
        self.services: ServicePorts = {}
        self.endpoints: Endpoints = {}
        self.services_by_name: dict[ServiceName, ServicePorts] = {}
        self.endpoints_by_name: dict[ServiceName, Endpoints] = {}
        self.health_check_ports: dict[ServiceName, int] = {}
        self.udp_ports: dict[ServicePortName, None] = {}
        #: endpoints of all service ports together, usable or not
        self.total_endpoints = 0
        self._is_shared = False  # with forks, until one side changes

    @property
    def zone(self) -> str:
        return self.topology_labels.get(ZONE_LABEL, "")

    def replace_service(self, name: ServiceName, ports: ServicePorts) -> None:
        """A Service is now this; without ports it is gone."""
        self._own()
        for port in self.services_by_name.pop(name, ()):
            del self.services[port]
            self.udp_ports.pop(port, None)
            self.total_endpoints -= len(self.endpoints.get(port, ()))
        self.health_check_ports.pop(name, None)
        for port, info in ports.items():
            self.services[port] = info
            self.total_endpoints += len(self.endpoints.get(port, ()))
            if info.protocol == "UDP":
                self.udp_ports[port] = None
            if info.health_check_node_port:
                self.health_check_ports[name] = info.health_check_node_port
        if ports:
            self.services_by_name[name] = ports

    def replace_endpoints(self, name: ServiceName, new: Endpoints) -> Endpoints:
        """A Service's endpoints are now these; returns what they were."""
        self._own()
        old = self.endpoints_by_name.pop(name, {})
        for port, endpoints in old.items():
            self.total_endpoints -= len(endpoints) if port in self.services else 0
            if port not in new:
                del self.endpoints[port]
        for port, endpoints in new.items():
            self.total_endpoints += len(endpoints) if port in self.services else 0
            self.endpoints[port] = endpoints
        if new:
            self.endpoints_by_name[name] = new
        return old

    def ports_of(self, service: ServiceName) -> tuple[ServicePortName, ...]:
        """The service ports of one Service, in its own order; none when it is unknown."""
        return tuple(self.services_by_name.get(service, ()))

    def _own(self) -> None:
        """Have dictionaries of its own, to be changed."""
        if self._is_shared:
            self.services, self.endpoints = self.services.copy(), self.endpoints.copy()
            self.services_by_name, self.endpoints_by_name = self.services_by_name.copy(), self.endpoints_by_name.copy()
            self.health_check_ports, self.udp_ports = self.health_check_ports.copy(), self.udp_ports.copy()
            self._is_shared = False

    def fork(self) -> NodeView:
        self._is_shared = True
        copy = NodeView.__new__(NodeView)
        copy.__dict__.update(self.__dict__)
        return copy
