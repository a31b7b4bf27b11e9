"""The `kubernetes` plugin: the zone that Services, endpoints and Pods make.

Sources: CoreDNS plugin/kubernetes (handler.go, kubernetes.go, parse.go, reverse.go, ns.go) and plugin/backend_lookup.go
for the order of looking and the difference between NODATA (no error, SOA) and NXDOMAIN; the names themselves are those
of the Kubernetes DNS-Based Service Discovery specification 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs

from fakecluster.discovery.index import NO_PORT, DnsIndex, Port
from fakecluster.discovery.records import Answer, Question, Record

#: CNAMEs that are followed inside the zone before giving up (backend_lookup.go).
CNAME_LIMIT = 7
VERSION_TTL_S = 28800

#: Asks the whole server again, as for the target of a CNAME that leaves the zone.
Upstream = Callable[[str, str], Answer]


class NoSuchName(Exception):
    """There is no such name (CoreDNS' errNoItems, errNsNotExposed, errInvalidRequest): NXDOMAIN or fall through."""


@attrs.frozen
class Options:
    """A `kubernetes` block of a Corefile; times in seconds."""

    zones: tuple[str, ...] = ("cluster.local.", "in-addr.arpa.", "ip6.arpa.")
    pods: str = "disabled"  # disabled, insecure, verified
    ttl_s: int = 5
    fallthrough: tuple[str, ...] | None = None  # None: never; (".",): always
    namespaces: tuple[str, ...] = ()
    namespace_labels: str = ""
    ignore_empty_service: bool = False
    endpoint_pod_names: bool = False
    no_endpoints: bool = False

    @property
    def primary_zone(self) -> str:
        return next((zone for zone in self.zones if not zone.endswith(".arpa.")), ".")


@attrs.frozen
class Request:
    """The labels of a name below its zone, taken apart (parse.go)."""

    kind: str = ""  # "svc", "pod" or "" at the zone's apex
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    port: str = ""
    protocol: str = ""


@attrs.frozen
class Found:
    """One address (or CNAME target) that a name leads to; `key` is the canonical name of what it belongs to."""

    host: str
    key: str
    port: int = 0

    @property
    def type(self) -> str:
        return type_of(self.host)


@lru_cache(maxsize=65536)
def type_of(host: str) -> str:
    """The type of the record that leads to `host`: A, AAAA, or CNAME for a name."""
    try:
        return "A" if ip_address(host).version == 4 else "AAAA"
    except ValueError:
        return "CNAME"


@attrs.frozen
class KubernetesZone:
    """Answers questions from an index; `serial` and `local_ips` say what the server knows of itself."""

    index: DnsIndex
    options: Options = Options()
    serial: int = 0
    local_ips: tuple[str, ...] = ()

    def zone_of(self, name: str) -> str:
        """The longest zone of ours that contains `name`, in the spelling of `name`; "" when none does."""
        lower = name.lower()
        fitting = [z for z in self.options.zones if z == "." or lower == z or lower.endswith(f".{z}")]
        return name[-len(longest) :] if (longest := max(fitting, key=len, default="")) else ""

    def answer(self, question: Question, upstream: Upstream) -> Answer | None:
        """The answer, or None when the question is for the next plugin (not our zone, or fall-through)."""
        zone = self.zone_of(question.name)
        if not zone:
            return None
        if question.type in ("AXFR", "IXFR"):
            return Answer("REFUSED", authoritative=False)
        lookup = Lookup(self, zone, upstream)
        try:
            records, extra = lookup.find(question)
        except NoSuchName:
            if self._falls_through(question.lower):
                return None
            return Answer("NXDOMAIN", authority=(self.soa(zone),))
        if not records:
            return Answer(authority=(self.soa(zone),))
        return Answer.of(records, extra)

    def soa(self, zone: str) -> Record:
        ttl = self.options.ttl_s
        data = f"ns.dns.{zone} hostmaster.{zone} {self.serial} 7200 1800 86400 {ttl}"
        return Record(zone, ttl, "SOA", data)

    def exposes(self, namespace: str) -> bool:
        allowed = self.options.namespaces
        return not allowed or namespace in allowed

    def _falls_through(self, lower: str) -> bool:
        through = self.options.fallthrough
        return through is not None and any(z == "." or lower == z or lower.endswith(f".{z}") for z in through)


@attrs.frozen
class Lookup:
    """One question's walk through one zone (`zone` keeps the asker's spelling)."""

    home: KubernetesZone
    zone: str
    upstream: Upstream

    def find(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        """(answer, additional) records; both empty for NODATA. Raises `NoSuchName`."""
        finder = _FINDERS.get(question.type)
        if finder is not None:
            return finder(self, question)
        self.address("A", question.name, ())  # only to tell NODATA from NXDOMAIN
        return (), ()

    def address(self, rtype: str, name: str, followed: tuple[Record, ...]) -> list[Record]:
        """A or AAAA records of `name`, CNAMEs followed inside the zone and, through the server, outside it."""
        records: list[Record] = []
        seen = set()
        for found in self.services(name, rtype):
            if found.type == "CNAME":
                records += self._follow(rtype, name, absolute(found.host), followed)
            elif found.type == rtype and found.host not in seen:
                seen.add(found.host)
                records.append(Record(name, self.ttl_s, rtype, found.host))
        return records

    def _follow(self, rtype: str, name: str, target: str, followed: tuple[Record, ...]) -> list[Record]:
        cname = Record(name, self.ttl_s, "CNAME", target)
        if name.lower() == target.lower() or len(followed) > CNAME_LIMIT or cname in followed:
            return []
        if self.home.zone_of(target).lower() == self.zone.lower():
            try:
                further = self.address(rtype, target, (*followed, cname))
            except NoSuchName:
                return []
            return [cname, *further] if further else []
        return [cname, *self.upstream(target, rtype).answer]

    def addresses(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        return self.address(question.type, question.name, ()), ()

    def srv(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        services = [found for found in self.services(question.name, "SRV") if found.type != "CNAME"]
        weight = max(100 // len(services), 1) if services else 0
        answers: dict[Record, None] = {}
        extra: dict[Record, None] = {}
        for found in services:
            if found.port == NO_PORT:
                continue
            answers[Record(question.name, self.ttl_s, "SRV", f"0 {weight} {found.port} {found.key}")] = None
            extra[Record(found.key, self.ttl_s, found.type, found.host)] = None
        return list(answers), list(extra)

    def cname(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        services = self.services(question.name, "CNAME")
        if services and services[0].type == "CNAME":
            return [Record(question.name, self.ttl_s, "CNAME", absolute(services[0].host))], ()
        return (), ()

    def txt(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        if self.labels(question.lower) == ["dns-version"]:
            return [Record(question.name, VERSION_TTL_S, "TXT", '"1.1.0"')], ()
        if self.services(question.name, "A"):
            return (), ()
        raise NoSuchName

    def soa(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        return ([self.home.soa(self.zone)] if question.lower == self.zone.lower() else []), ()

    def ptr(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        ip = address_of_reverse(question.lower)
        if not ip:
            self.services(question.name, "PTR")
            return (), ()
        hosts = dict.fromkeys(self.reverse(ip))
        if not hosts:
            raise NoSuchName
        return [Record(question.name, self.ttl_s, "PTR", host) for host in hosts], ()

    def ns(self, question: Question) -> tuple[Sequence[Record], Sequence[Record]]:
        if question.lower != self.zone.lower():
            self.address("A", question.name, ())
            return (), ()
        names = self.name_servers()
        answers = dict.fromkeys(Record(question.name, self.ttl_s, "NS", name) for name, _ in names)
        extra = dict.fromkeys(Record(name, self.ttl_s, Found(ip, "").type, ip) for name, ip in names)
        return list(answers), list(extra)

    @property
    def ttl_s(self) -> int:
        return self.home.options.ttl_s

    def labels(self, lower: str) -> list[str]:
        base = lower[: -len(self.zone)].rstrip(".") if self.zone != "." else lower.rstrip(".")
        return base.split(".") if base else []

    def services(self, name: str, rtype: str) -> list[Found]:
        """Everything that `name` leads to; an empty list is NODATA. Raises `NoSuchName`."""
        lower = name.lower()
        if lower == f"ns.dns.{self.zone.lower()}":
            return [Found(ip, key) for key, ip in self.name_servers()]
        request = parse_request(self.labels(lower))
        if not request.kind:
            return []
        if lower.endswith(".arpa.") or not self.home.exposes(request.namespace):
            raise NoSuchName
        return self._pods(request) if request.kind == "pod" else self._services(request)

    def name_servers(self) -> list[tuple[str, str]]:
        """(name, address) of the Services that the server itself is an endpoint of, else of the server (ns.go)."""
        index, own = self.home.index, self.home.local_ips
        found = [service for ip in own for service in index.endpoints_by_ip.get(ip, {}) if service in index.services]
        if not found:
            return [(f"ns.dns.{self.zone}", ip) for ip in own]
        return [
            (f"{name}.{namespace}.svc.{self.zone}", ip)
            for namespace, name in dict.fromkeys(found)
            for ip in index.services[namespace, name].cluster_ips
        ]

    def reverse(self, ip: str) -> list[str]:
        """The names that an address has: its Service's, else one for each Service that it is an endpoint of."""
        index, zone = self.home.index, self.home.options.primary_zone
        for namespace, name in index.service_by_ip.get(ip, {}):
            if self.home.exposes(namespace):
                return [f"{name}.{namespace}.svc.{zone}"]
        if self.home.options.no_endpoints:
            return []
        pod_names = self.home.options.endpoint_pod_names
        return [
            f"{address.label(pod_names)}.{service[1]}.{service[0]}.svc.{zone}"
            for service in index.endpoints_by_ip.get(ip, {})
            if self.home.exposes(service[0])
            for _, address in index.addresses(service)
            if address.ip == ip
        ]

    def _pods(self, request: Request) -> list[Found]:
        index, mode = self.home.index, self.home.options.pods
        if mode == "disabled" or request.namespace not in index.namespaces:
            raise NoSuchName
        if not request.service:
            return []
        ip = address_of_pod_name(request.service)
        key = f"{request.service}.{request.namespace}.pod.{self.zone}"
        if mode == "insecure":
            if not ip:
                raise NoSuchName
            return [Found(ip, key)]
        if any(namespace == request.namespace for namespace, _ in index.pods.get(ip, {})):
            return [Found(ip, key)]
        raise NoSuchName

    def _services(self, request: Request) -> list[Found]:
        index, options = self.home.index, self.home.options
        if request.namespace not in index.namespaces:
            raise NoSuchName
        if not request.service:
            return []
        name = (request.namespace, request.service)
        service = index.services.get(name)
        if service is None:
            raise NoSuchName
        key = f"{service.name}.{service.namespace}.svc.{self.zone}"
        if service.external_name:
            if request.endpoint or request.port or request.protocol:
                raise NoSuchName
            return [Found(service.external_name, key)]
        if options.ignore_empty_service and not service.headless and not index.has_endpoints(name):
            raise NoSuchName
        if service.headless or request.endpoint:
            found = self._endpoints(name, request, key)
        else:
            ports = [port for port in service.ports if fits(request, port)]
            found = [Found(ip, key, port.number) for port in ports for ip in service.cluster_ips]
        if not found:
            raise NoSuchName
        return found

    def _endpoints(self, service: tuple[str, str], request: Request, key: str) -> list[Found]:
        if self.home.options.no_endpoints:
            return []
        pod_names = self.home.options.endpoint_pod_names
        return [
            Found(address.ip, f"{address.label(pod_names)}.{key}", port.number)
            for entry, address in self.home.index.addresses(service)
            if not request.endpoint or request.endpoint == address.label(pod_names).lower()
            for port in entry.ports
            if fits(request, port)
        ]


_FINDERS = {
    "A": Lookup.addresses,
    "AAAA": Lookup.addresses,
    "SRV": Lookup.srv,
    "CNAME": Lookup.cname,
    "TXT": Lookup.txt,
    "SOA": Lookup.soa,
    "PTR": Lookup.ptr,
    "NS": Lookup.ns,
}


def parse_request(labels: Sequence[str]) -> Request:
    """Take the labels below the zone apart; raises `NoSuchName` for what no rule covers (parse.go)."""
    if not labels:
        return Request()
    kind, rest = labels[-1], list(labels[:-1])
    if kind not in ("svc", "pod"):
        raise NoSuchName
    if not rest:
        return Request()
    namespace = rest.pop()
    if not rest:
        return Request(kind, namespace)
    service = rest.pop()
    match rest:
        case []:
            return Request(kind, namespace, service)
        case [endpoint]:
            return Request(kind, namespace, service, endpoint=endpoint)
        case [port, protocol]:
            return Request(kind, namespace, service, port=port.removeprefix("_"), protocol=protocol.removeprefix("_"))
    raise NoSuchName


def fits(request: Request, port: Port) -> bool:
    """Whether a port has the name and protocol that were asked for (anything fits when none was)."""
    return request.port in ("", port.name.lower()) and request.protocol in ("", port.protocol)


def address_of_pod_name(label: str) -> str:
    """The address that a dashed label spells (10-244-0-5, fd00--5); "" when it is none."""
    ipv4 = label.count("-") == 3 and "--" not in label
    try:
        return str(ip_address(label.replace("-", "." if ipv4 else ":")))
    except ValueError:
        return ""


def address_of_reverse(lower: str) -> str:
    """The address of a complete in-addr.arpa or ip6.arpa name; "" for any other name."""
    if lower.endswith(".in-addr.arpa."):
        labels = lower[: -len(".in-addr.arpa.")].split(".")
        text = ".".join(reversed(labels)) if len(labels) == 4 else ""
        kind: type[IPv4Address | IPv6Address] = IPv4Address
    elif lower.endswith(".ip6.arpa."):
        labels = lower[: -len(".ip6.arpa.")].split(".")
        whole = len(labels) == 32 and all(len(label) == 1 for label in labels)
        digits = "".join(reversed(labels)) if whole else ""
        text = ":".join(digits[i : i + 4] for i in range(0, len(digits), 4))
        kind = IPv6Address
    else:
        return ""
    try:
        return str(kind(text))
    except ValueError:
        return ""


def absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."
