"""What the kubelet writes into a Pod's /etc/resolv.conf (pkg/kubelet/network/dns/dns.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

#: Limits of glibc that the kubelet enforces (pkg/apis/core/validation): servers, search paths, characters of a line.
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARS, MAX_DOMAIN_CHARS = 3, 32, 2048, 253
NO_CLUSTER_DNS = (
    "kubelet does not have ClusterDNS IP configured and cannot create Pod using "
    '"ClusterFirst" policy. Falling back to "Default" policy.'
)


@attrs.frozen
class ResolvConf:
    """Servers to ask in order, search list, options as written (``ndots:5``); `str()` is the file."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"search {' '.join(self.searches)}\n"] if self.searches else []
        lines += [f"nameserver {server}\n" for server in self.nameservers]
        lines += [f"options {' '.join(self.options)}\n"] if self.options else []
        return "".join(lines)

    def option(self, name: str, default: int) -> int:
        """The value of a numeric option, such as ndots."""
        for option in reversed(self.options):
            key, _, value = option.partition(":")
            if key == name and value.isdigit():
                return int(value)
        return default


def parse(text: str) -> ResolvConf:
    """Read a node's resolv.conf as the kubelet does: the last search line wins, unknown lines are skipped."""
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        fields = line.split()
        if not fields or fields[0][0] in "#;":
            continue
        if fields[0] == "nameserver" and len(fields) > 1:
            servers.append(fields[1])
        elif fields[0] == "search":
            searches = [field.removesuffix(".") for field in fields[1:] if field != "."]
        elif fields[0] == "options":
            options |= {field.partition(":")[0]: field for field in fields[1:]}
    return ResolvConf(tuple(servers), tuple(searches), tuple(options.values()))


@attrs.frozen
class PodDns:
    """A Pod's resolv.conf, and the Warning events (``reason message``) that making it caused."""

    resolv_conf: ResolvConf
    events: tuple[str, ...] = ()


def pod_dns(
    pod: Mapping[str, Any],
    *,
    cluster_dns: Sequence[str] = ("10.96.0.10",),
    cluster_domain: str = "cluster.local",
    node_resolv_conf: str | None = "",
    node_ips: Sequence[str] = (),
) -> PodDns:
    """The resolver configuration of `pod` by its dnsPolicy and dnsConfig.

    `node_resolv_conf` is the text of the node's file, None when the kubelet runs with an empty --resolv-conf.
    """
    spec = pod["spec"]
    node = parse(node_resolv_conf or "")
    events: list[str] = []
    kind = dns_type(spec)
    if kind == "cluster" and not cluster_dns:
        name = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata'].get('uid', '')})"
        events += [f"MissingClusterDNS {NO_CLUSTER_DNS}", f'MissingClusterDNS pod: "{name}". {NO_CLUSTER_DNS}']
        kind = "host"
    if kind == "cluster":
        searches = _cluster_searches(pod["metadata"]["namespace"], cluster_domain)
        config = ResolvConf(tuple(cluster_dns), _unique((*searches, *node.searches)), ("ndots:5",))
    elif kind == "none":
        config = ResolvConf()
    elif node_resolv_conf is None:
        loopback = ["::1" if ":" in ip else "127.0.0.1" for ip in node_ips] or ["127.0.0.1"]
        config = ResolvConf(tuple(loopback), (".",))
    else:
        config = node
    if spec.get("dnsConfig") is not None:
        config = with_dns_config(config, spec["dnsConfig"])
    return within_limits(config, events)


def dns_type(spec: Mapping[str, Any]) -> str:
    """Which configuration a dnsPolicy means: "cluster", "host" or "none"; an unknown policy means "cluster"."""
    match spec.get("dnsPolicy", "ClusterFirst"):
        case "None":
            return "none"
        case "Default":
            return "host"
        case "ClusterFirst" if spec.get("hostNetwork"):
            return "host"
    return "cluster"


def with_dns_config(config: ResolvConf, dns_config: Mapping[str, Any]) -> ResolvConf:
    """`config` with a Pod's dnsConfig added: servers and searches behind, options of the same name replaced."""
    options = {option.partition(":")[0]: option for option in config.options}
    for option in dns_config.get("options") or ():
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    return ResolvConf(
        _unique((*config.nameservers, *(dns_config.get("nameservers") or ()))),
        _unique((*config.searches, *(dns_config.get("searches") or ()))),
        tuple(options.values()),
    )


def within_limits(config: ResolvConf, events: Iterable[str] = ()) -> PodDns:
    """Cut servers and searches to what resolvers take, with the events that say so."""
    told = [f"Warning {event}" for event in events]
    servers, searches = config.nameservers[:MAX_NAMESERVERS], list(config.searches[:MAX_SEARCHES])
    if len(config.nameservers) > MAX_NAMESERVERS:
        told.append(
            "Warning DNSConfigForming Nameserver limits were exceeded, some nameservers have been omitted, "
            f"the applied nameserver line is: {' '.join(servers)}"
        )
    length = len(" ".join(config.searches[:MAX_SEARCHES]))
    searches = [search for search in searches if len(search) <= MAX_DOMAIN_CHARS]
    while length > MAX_SEARCH_CHARS and searches:
        length -= len(searches.pop()) + 1
    if len(searches) < len(config.searches):
        told.append(
            "Warning DNSConfigForming Search Line limits were exceeded, some search paths have been omitted, "
            f"the applied search line is: {' '.join(searches)}"
        )
    return PodDns(ResolvConf(servers, tuple(searches), config.options), tuple(told))


def _cluster_searches(namespace: str, domain: str) -> tuple[str, ...]:
    return (f"{namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
