"""One service port as nftables text: its chains and rules, its affinity sets, its elements of the shared sets and maps.

Source: Kubernetes pkg/proxy/nftables/proxier.go (the loop over services in syncProxyRules, writeServiceToEndpointRules).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import attrs

from fakecluster.proxy.nftables.fixed import (
    ADDRESS_TYPE,
    CLUSTER_IPS,
    FIREWALL_IPS,
    HAIRPINS,
    NO_ENDPOINT_NODE_PORTS,
    NO_ENDPOINT_SERVICES,
    REJECT_CHAIN,
    SERVICE_IPS,
    SERVICE_NODE_PORTS,
    Container,
    Words,
)
from fakecluster.proxy.nftables.names import endpoint_base, service_base
from fakecluster.proxy.topology import UsableEndpoints
from fakecluster.proxy.view import Endpoint, ServicePort


@attrs.frozen
class Policy:
    """What the configuration says about every service port."""

    words: Words
    if_local: str
    node_ip: str


@attrs.frozen
class Entry:
    """One element: its key, its verdict (maps), its comment."""

    container: Container
    key: str
    verdict: str = ""
    comment: str = ""


@attrs.frozen
class ServiceRules:
    """All that one service port contributes; `rules` are complete command lines."""

    chains: tuple[str, ...]
    rules: tuple[str, ...]
    affinity_sets: tuple[str, ...] = ()
    declared_sets: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    lacks_local_internal: bool = False
    lacks_local_external: bool = False


@attrs.define
class Plan:
    """How one service port's traffic goes, worked out before anything is written."""

    port: ServicePort
    usable: UsableEndpoints
    policy: Policy
    base: str = ""
    protocol: str = ""

    def __attrs_post_init__(self) -> None:
        self.base, self.protocol = service_base(self.port.name), self.port.protocol.lower()

    @property
    def cluster_chain(self) -> str:
        return f"service-{self.base}"

    @property
    def local_chain(self) -> str:
        return f"local-{self.base}"

    @property
    def external_chain(self) -> str:
        return f"external-{self.base}"

    @property
    def firewall_chain(self) -> str:
        return f"firewall-{self.base}"

    @property
    def internal_target(self) -> str:
        return self.local_chain if self.port.internal_local else self.cluster_chain

    @property
    def external_target(self) -> str:
        return self.local_chain if self.port.external_local else self.cluster_chain

    @property
    def has_internal(self) -> bool:
        return self.usable.anywhere and not (self.port.internal_local and not self.usable.local)

    @property
    def has_external(self) -> bool:
        return self.usable.anywhere and not (self.port.external_local and not self.usable.local)

    @property
    def uses_cluster(self) -> bool:
        return bool(self.usable.cluster) and self.port.uses_cluster_endpoints

    @property
    def uses_local(self) -> bool:
        return bool(self.usable.local) and self.port.uses_local_endpoints

    @property
    def uses_external(self) -> bool:
        return self.usable.anywhere and self.port.externally_accessible

    @property
    def uses_firewall(self) -> bool:
        return bool(self.port.load_balancer_ips and self.port.source_ranges)

    @property
    def affine(self) -> bool:
        return self.port.affinity_timeout_s > 0

    def endpoint_name(self, prefix: str, endpoint: Endpoint) -> str:
        return f"{prefix}-{endpoint_base(self.port.name, endpoint)}"


def render(port: ServicePort, usable: UsableEndpoints, policy: Policy) -> ServiceRules:
    """The text of one service port."""
    plan = Plan(port, usable, policy)
    affinity = tuple(plan.endpoint_name("affinity", e) for e in usable.reachable) if plan.affine else ()
    return ServiceRules(
        tuple(_chains(plan)),
        tuple(_rules(plan)),
        affinity,
        tuple(_affinity_set(plan, name) for name in affinity),
        tuple(_entries(plan)),
        usable.anywhere and not plan.has_internal,
        usable.anywhere and not plan.has_external,
    )


def _chains(plan: Plan) -> Iterator[str]:
    if plan.affine:
        for endpoint in plan.usable.reachable:
            yield plan.endpoint_name("endpoint", endpoint)
    if plan.uses_cluster:
        yield plan.cluster_chain
    if plan.uses_local:
        yield plan.local_chain
    if plan.uses_external:
        yield plan.external_chain
    if plan.uses_firewall:
        yield plan.firewall_chain


def _affinity_set(plan: Plan, name: str) -> str:
    words = plan.policy.words
    return (
        f"add set {words.table} {name} {{ type {ADDRESS_TYPE[words.family]} ; flags dynamic,timeout ; "
        f"timeout {plan.port.affinity_timeout_s}s ; }}"
    )


# --- elements


def _entries(plan: Plan) -> Iterator[Entry]:
    port, usable = plan.port, plan.usable
    for endpoint in usable.reachable:
        if endpoint.is_local:
            yield Entry(HAIRPINS, f"{endpoint.ip} . {endpoint.ip} . {plan.protocol} . {endpoint.port}")
    yield Entry(CLUSTER_IPS, port.cluster_ip)
    refusal = "drop" if usable.anywhere else f"goto {REJECT_CHAIN}"
    cluster_key = f"{port.cluster_ip} . {plan.protocol} . {port.port}"
    if plan.has_internal:
        yield Entry(SERVICE_IPS, cluster_key, f"goto {plan.internal_target}")
    else:
        yield Entry(NO_ENDPOINT_SERVICES, cluster_key, refusal, str(port.name))
    for address in (*port.external_ips, *port.load_balancer_ips):
        key = f"{address} . {plan.protocol} . {port.port}"
        if usable.anywhere:
            yield Entry(SERVICE_IPS, key, f"goto {plan.external_chain}")
        if not plan.has_external:
            yield Entry(NO_ENDPOINT_SERVICES, key, refusal, str(port.name))
    if plan.uses_firewall:
        for address in port.load_balancer_ips:
            yield Entry(FIREWALL_IPS, f"{address} . {plan.protocol} . {port.port}", f"goto {plan.firewall_chain}")
    if port.node_port:
        key = f"{plan.protocol} . {port.node_port}"
        if usable.anywhere:
            yield Entry(SERVICE_NODE_PORTS, key, f"goto {plan.external_chain}")
        if not plan.has_external:
            yield Entry(NO_ENDPOINT_NODE_PORTS, key, refusal, str(port.name))


# --- rules


def _rules(plan: Plan) -> Iterator[str]:
    if plan.uses_external:
        yield from _external_rules(plan)
    if plan.uses_firewall:
        yield _firewall_rule(plan)
    if plan.uses_cluster:
        yield from _balance(plan, plan.cluster_chain, plan.usable.cluster)
    if plan.uses_local:
        yield from _balance(plan, plan.local_chain, plan.usable.local)
    if plan.affine:
        for endpoint in plan.usable.reachable:
            yield from _endpoint_rules(plan, endpoint)


def _rule(plan: Plan, chain: str, text: str) -> str:
    return f"add rule {plan.policy.words.table} {chain} {text}"


def _external_rules(plan: Plan) -> Iterator[str]:
    """Policy Cluster masquerades everything; policy Local keeps the source, but for the short cuts."""
    chain, words = plan.external_chain, plan.policy.words
    if not plan.port.external_local:
        yield _rule(plan, chain, f'{words.mark_for_masquerade} comment "masquerade"')
    else:
        if plan.policy.if_local:
            text = f'{plan.policy.if_local} goto {plan.cluster_chain} comment "short-circuit pod traffic"'
            yield _rule(plan, chain, text)
        from_node = "fib saddr type local"
        yield _rule(plan, chain, f'{from_node} {words.mark_for_masquerade} comment "masquerade local traffic"')
        yield _rule(plan, chain, f'{from_node} goto {plan.cluster_chain} comment "short-circuit local traffic"')
    if plan.has_external:
        yield _rule(plan, chain, f"goto {plan.external_target}")


def _firewall_rule(plan: Plan) -> str:
    """Everyone outside the source ranges is dropped; where the node is inside, so are its own packets from the VIP."""
    port = plan.port
    sources = list(port.source_ranges)
    node = ip_address(plan.policy.node_ip)
    if any(node in ip_network(cidr) for cidr in sources):
        sources += port.load_balancer_ips
    text = f"{plan.policy.words.ip} saddr != {{ {' , '.join(sources)} }} drop"
    return _rule(plan, plan.firewall_chain, text)


def _balance(plan: Plan, chain: str, endpoints: tuple[Endpoint, ...]) -> Iterator[str]:
    """One equal chance for each endpoint; clients that an affinity set remembers go where they went before."""
    ip, count = plan.policy.words.ip, len(endpoints)
    if not plan.affine:
        targets = " , ".join([f"{i} : {endpoint.ip} . {endpoint.port}" for i, endpoint in enumerate(endpoints)])
        text = f"meta l4proto {plan.protocol} dnat {ip} addr . port to numgen random mod {count} map {{ {targets} }}"
        yield _rule(plan, chain, text)
        return
    for endpoint in endpoints:
        affinity, target = plan.endpoint_name("affinity", endpoint), plan.endpoint_name("endpoint", endpoint)
        yield _rule(plan, chain, f"{ip} saddr @{affinity} goto {target}")
    targets = " , ".join(f"{i} : goto {plan.endpoint_name('endpoint', e)}" for i, e in enumerate(endpoints))
    yield _rule(plan, chain, f"numgen random mod {count} vmap {{ {targets} }}")


def _endpoint_rules(plan: Plan, endpoint: Endpoint) -> Iterator[str]:
    chain = plan.endpoint_name("endpoint", endpoint)
    affinity = plan.endpoint_name("affinity", endpoint)
    yield _rule(plan, chain, f"update @{affinity} {{ {plan.policy.words.ip} saddr }}")
    yield _rule(plan, chain, f"meta l4proto {plan.protocol} dnat to {endpoint.text}")
