"""The fixed part of the table: base chains, the chains they jump to, the sets and maps that Services fill.

Source: Kubernetes pkg/proxy/nftables/proxier.go (nftablesBaseChains, nftablesJumpChains, setupNFTables).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import attrs

from fakecluster.proxy.log import structured
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.view import Family

TABLE = "kube-proxy"
FAMILY_WORD: dict[Family, str] = {"IPv4": "ip", "IPv6": "ip6"}
ADDRESS_TYPE: dict[Family, str] = {"IPv4": "ipv4_addr", "IPv6": "ipv6_addr"}
_NO_LOCALHOST: dict[Family, str] = {"IPv4": "ip daddr != 127.0.0.0/8", "IPv6": "ip6 daddr != ::1"}
REJECT_CHAIN = "reject-chain"
NODE_PORT_IPS = "nodeport-ips"


@attrs.frozen
class BaseChain:
    name: str
    kind: str
    hook: str
    priority: int


#: Filtering before DNAT sees the addresses that clients used; the rest of it must be where reject is allowed.
BASE_CHAINS = (
    BaseChain("filter-prerouting-pre-dnat", "filter", "prerouting", -110),
    BaseChain("filter-output-pre-dnat", "filter", "output", -110),
    BaseChain("filter-input", "filter", "input", 0),
    BaseChain("filter-forward", "filter", "forward", 0),
    BaseChain("filter-output", "filter", "output", 0),
    BaseChain("nat-prerouting", "nat", "prerouting", -100),
    BaseChain("nat-output", "nat", "output", -100),
    BaseChain("nat-postrouting", "nat", "postrouting", 100),
)
#: (target, base chain, condition), in the order of the rules.
JUMPS = (
    ("nodeport-endpoints-check", "filter-input", "ct state new "),
    ("service-endpoints-check", "filter-input", "ct state new "),
    ("service-endpoints-check", "filter-forward", "ct state new "),
    ("service-endpoints-check", "filter-output", "ct state new "),
    ("firewall-check", "filter-prerouting-pre-dnat", "ct state new "),
    ("firewall-check", "filter-output-pre-dnat", "ct state new "),
    ("services", "nat-output", ""),
    ("services", "nat-prerouting", ""),
    ("masquerading", "nat-postrouting", ""),
    ("cluster-ips-check", "filter-forward", "ct state new "),
    ("cluster-ips-check", "filter-output", "ct state new "),
)


@attrs.frozen
class Container:
    """A set or map that Services put elements into; `key` has %s where the address type goes."""

    name: str
    key: str
    comment: str
    is_map: bool = False

    @property
    def word(self) -> str:
        return "map" if self.is_map else "set"


_SERVICE_KEY = "%s . inet_proto . inet_service"
_NODE_PORT_KEY = "inet_proto . inet_service"
HAIRPINS = Container("hairpin-connections", "%s . %s . inet_proto . inet_service", "service hairpin connections")
CLUSTER_IPS = Container("cluster-ips", "%s", "Active ClusterIPs")
NO_ENDPOINT_SERVICES = Container(
    "no-endpoint-services", _SERVICE_KEY, "vmap to drop or reject packets to services with no endpoints", True
)
NO_ENDPOINT_NODE_PORTS = Container(
    "no-endpoint-nodeports",
    _NODE_PORT_KEY,
    "vmap to drop or reject packets to service nodeports with no endpoints",
    True,
)
FIREWALL_IPS = Container(
    "firewall-ips", _SERVICE_KEY, "destinations that are subject to LoadBalancerSourceRanges", True
)
SERVICE_IPS = Container("service-ips", _SERVICE_KEY, "ClusterIP, ExternalIP and LoadBalancer IP traffic", True)
SERVICE_NODE_PORTS = Container("service-nodeports", _NODE_PORT_KEY, "NodePort traffic", True)
CONTAINERS = (
    HAIRPINS,
    CLUSTER_IPS,
    NO_ENDPOINT_SERVICES,
    NO_ENDPOINT_NODE_PORTS,
    FIREWALL_IPS,
    SERVICE_IPS,
    SERVICE_NODE_PORTS,
)


@attrs.frozen
class Words:
    """What differs between the families, as it is written."""

    family: Family
    ip: str
    table: str
    mark: str

    @classmethod
    def of(cls, node: ProxyNode) -> Words:
        ip = FAMILY_WORD[node.family]
        return cls(node.family, ip, f"{ip} {TABLE}", f"{1 << node.config.nftables.masquerade_bit:#06x}")

    @property
    def mark_for_masquerade(self) -> str:
        return f"mark set mark or {self.mark}"


def if_local(node: ProxyNode) -> str:
    """The match for traffic from Pods of this node, as nft writes it; empty without a detector."""
    return _detector_match(node, "")


def if_not_local(node: ProxyNode) -> str:
    return _detector_match(node, "!= ")


def _detector_match(node: ProxyNode, operator: str) -> str:
    detector = node.detector
    if detector.cidr:
        return f"{FAMILY_WORD[node.family]} saddr {operator}{detector.cidr}"
    if detector.interface:
        return f'iifname {operator}"{detector.interface}{"*" if detector.interface_is_prefix else ""}"'
    return ""


def setup(node: ProxyNode, service_cidrs: Iterable[str], *, recreate: bool) -> Iterator[str]:
    """The lines that bring the fixed part into its proper state, whatever was there.

    `recreate`: base chains are made anew, as their hooks and priorities may have been others.
    """
    words = Words.of(node)
    yield f'add table {words.table} {{ comment "rules for kube-proxy" ; }}'
    for base in BASE_CHAINS:
        yield from _base_chain(words, base, recreate=recreate)
    ensured: set[str] = set()
    for target, base_name, condition in JUMPS:
        if target not in ensured:
            yield from ensure_chain(words, target)
            ensured.add(target)
        yield f"add rule {words.table} {base_name} {condition}jump {target}"
    yield f'add chain {words.table} {REJECT_CHAIN} {{ comment "helper for @no-endpoint-services / @no-endpoint-nodeports" ; }}'
    yield f"flush chain {words.table} {REJECT_CHAIN}"
    yield from _containers(words)
    yield from _node_port_ips(node, words)
    yield from _fixed_rules(node, words, tuple(service_cidrs))


def ensure_chain(words: Words, chain: str) -> Iterator[str]:
    yield f"add chain {words.table} {chain}"
    yield f"flush chain {words.table} {chain}"


def _base_chain(words: Words, base: BaseChain, *, recreate: bool) -> Iterator[str]:
    if recreate:
        yield f"add chain {words.table} {base.name}"
        yield f"flush chain {words.table} {base.name}"
        yield f"delete chain {words.table} {base.name}"
    spec = f"type {base.kind} hook {base.hook} priority {base.priority} ;"
    yield f"add chain {words.table} {base.name} {{ {spec} }}"
    yield f"flush chain {words.table} {base.name}"


def _containers(words: Words) -> Iterator[str]:
    address = ADDRESS_TYPE[words.family]
    for container in CONTAINERS:
        key = container.key.replace("%s", address) + (" : verdict" if container.is_map else "")
        yield f'add {container.word} {words.table} {container.name} {{ type {key} ; comment "{container.comment}" ; }}'


def _node_port_ips(node: ProxyNode, words: Words) -> Iterator[str]:
    """The set exists only when not every address of the node answers node ports."""
    yield (
        f"add set {words.table} {NODE_PORT_IPS} {{ type {ADDRESS_TYPE[words.family]} ; "
        'comment "IPs that accept NodePort traffic" ; }'
    )
    if node.node_port_addresses.match_all:
        yield f"delete set {words.table} {NODE_PORT_IPS}"
        return
    yield f"flush set {words.table} {NODE_PORT_IPS}"
    for address in node.node_port_addresses.matching(node_addresses(node.kernel, node.family)):
        if ip_address(address).is_loopback:
            said = "--nodeport-addresses includes localhost but localhost NodePorts are not supported"
            node.note(structured(said, address=address))
        else:
            yield f"add element {words.table} {NODE_PORT_IPS} {{ {address} }}"


def _fixed_rules(node: ProxyNode, words: Words, service_cidrs: tuple[str, ...]) -> Iterator[str]:
    ip, table = words.ip, words.table
    to_service = f"{ip} daddr . meta l4proto . th dport vmap"
    yield f"add rule {table} nodeport-endpoints-check {_node_port_guard(node, check=True)} vmap @no-endpoint-nodeports"
    yield f"add rule {table} service-endpoints-check {to_service} @no-endpoint-services"
    yield f"add rule {table} firewall-check {to_service} @firewall-ips"
    yield from _masquerade_cluster_ips(node, words)
    yield f"add rule {table} services {to_service} @service-ips"
    yield f"add rule {table} services {_node_port_guard(node, check=False)} vmap @service-nodeports"
    yield (
        f"add rule {table} masquerading mark and {words.mark} != 0 mark set mark xor {words.mark} masquerade fully-random"
    )
    yield (
        f"add rule {table} masquerading ct status dnat {ip} saddr . {ip} daddr . meta l4proto . th dport "
        "@hairpin-connections masquerade fully-random"
    )
    yield (
        f"add rule {table} cluster-ips-check {ip} daddr @cluster-ips reject "
        'comment "Reject traffic to invalid ports of ClusterIPs"'
    )
    if service_cidrs:
        yield (
            f"add rule {table} cluster-ips-check {ip} daddr {{ {', '.join(service_cidrs)} }} drop "
            'comment "Drop traffic to unallocated ClusterIPs"'
        )
    yield f"add rule {table} {REJECT_CHAIN} reject"


def _masquerade_cluster_ips(node: ProxyNode, words: Words) -> Iterator[str]:
    start = f"add rule {words.table} services {words.ip} daddr @cluster-ips"
    if node.config.nftables.masquerade_all:
        yield f'{start} {words.mark_for_masquerade} comment "masquerade all clusterIP traffic"'
    elif not_local := if_not_local(node):
        yield (
            f"{start} {not_local} {words.mark_for_masquerade} "
            'comment "masquerade clusterIP traffic from outside cluster"'
        )


def _node_port_guard(node: ProxyNode, *, check: bool) -> str:
    """What a packet to a node port must be: to one of the set's addresses, or to any of the node's but loopback."""
    port = "meta l4proto . th dport"
    if not node.node_port_addresses.match_all:
        return f"{FAMILY_WORD[node.family]} daddr @{NODE_PORT_IPS} {port}"
    local = "" if check else "fib daddr type local "
    return f"{local}{_NO_LOCALHOST[node.family]} {port}"
