"""Administrators' policies that overlap with each other and with NetworkPolicies: few labels, few peers, all actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from fakecluster.strategies.policies import BLOCKS, NAMESPACE_SELECTORS, SELECTORS

JsonObject = dict[str, Any]
GROUP = "policy.networking.k8s.io"
HOST_NAME = "kubernetes.io/hostname"
MAX_PRIORITY = 5


def _pods() -> Iterator[JsonObject]:
    """Subjects, and peers that are Pods."""
    yield from ({"namespaces": selector} for selector in NAMESPACE_SELECTORS)
    for number, selector in enumerate(SELECTORS):
        space = NAMESPACE_SELECTORS[(2 * number + 1) % len(NAMESPACE_SELECTORS)]
        yield {"pods": {"namespaceSelector": space if number % 3 else {}, "podSelector": selector}}


def _targets() -> Iterator[JsonObject]:
    """Peers of egress: Pods, networks, nodes."""
    yield from _pods()
    yield from ({"networks": [cidr]} for cidr, holes in BLOCKS if not holes)
    yield {"networks": [cidr for cidr, holes in BLOCKS if not holes]}
    yield {"nodes": {}}
    yield {"nodes": {"matchExpressions": [{"key": HOST_NAME, "operator": "NotIn", "values": ["a"]}]}}


def _v1_ports(names: Sequence[str]) -> Iterator[JsonObject]:
    for protocol in ("TCP", "UDP"):
        yield from ({"portNumber": {"protocol": protocol, "port": port}} for port in (80, 81))
        yield {"portRange": {"protocol": protocol, "start": 81, "end": 90}}
    yield from ({"namedPort": name} for name in names)


def _v2_protocols(names: Sequence[str]) -> Iterator[JsonObject]:
    for protocol in ("tcp", "udp"):
        yield from ({protocol: {"destinationPort": {"number": port}}} for port in (80, 81))
        yield {protocol: {"destinationPort": {"range": {"start": 81, "end": 90}}}}
    yield from ({"destinationNamedPort": name} for name in names)


def _lists(entries: Sequence[JsonObject]) -> list[list[JsonObject]]:
    """Each of the entries alone, and pairs."""
    pairs = [[entry, entries[(7 * number + 3) % len(entries)]] for number, entry in enumerate(entries)]
    return [*([entry] for entry in entries), *pairs]


SUBJECTS, TARGETS = tuple(_pods()), tuple(_targets())
_PEERS = {"ingress": ("from", _lists(SUBJECTS)), "egress": ("to", _lists(TARGETS))}


def _rules(
    direction: str, actions: Sequence[str], ports_field: str, ports: list[JsonObject]
) -> st.SearchStrategy[list[JsonObject]]:
    field, peers = _PEERS[direction]
    named = [one for one in ports if "namedPort" in one or "destinationNamedPort" in one]
    return st.lists(
        st.builds(
            lambda action, whom, which: _rule(action, field, whom, ports_field, [] if _clash(whom, which, named) else which),
            st.sampled_from(tuple(actions)),
            st.sampled_from(peers),
            st.sampled_from([[], *_lists(ports)]),
        ),
        max_size=3,
    )  # fmt: skip


def _clash(peers: list[JsonObject], ports: list[JsonObject], named: list[JsonObject]) -> bool:
    """Ports by name are of Pods only."""
    return any(one in named for one in ports) and any("networks" in peer or "nodes" in peer for peer in peers)


def _rule(action: str, field: str, peers: list[JsonObject], ports_field: str, ports: list[JsonObject]) -> JsonObject:
    return {"action": action, field: peers, **({ports_field: ports} if ports else {})}


def _policies(
    kind: str, name: st.SearchStrategy[str], version: str, head: st.SearchStrategy[JsonObject],
    rules: Callable[[str], st.SearchStrategy[list[JsonObject]]],
) -> st.SearchStrategy[JsonObject]:  # fmt: skip
    def build(
        called: str, fields: JsonObject, subject: JsonObject, ingress: list[JsonObject], egress: list[JsonObject]
    ) -> JsonObject:
        given = {key: made for key, made in (("ingress", ingress), ("egress", egress)) if made}
        spec = {**fields, "subject": subject, **given}
        return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": called}, "spec": spec}

    return st.builds(build, name, head, st.sampled_from(SUBJECTS), rules("ingress"), rules("egress"))


_NAMES = st.sampled_from(("p", "q", "r", "s"))
_PRIORITIES = st.integers(0, MAX_PRIORITY)


def admin_network_policies(
    *, name: st.SearchStrategy[str] = _NAMES, port_names: Sequence[str] = ()
) -> st.SearchStrategy[JsonObject]:
    """An AdminNetworkPolicy that allows, denies and passes on; selectors and ports as of `network_policies`."""
    ports = list(_v1_ports(port_names))
    return _policies(
        "AdminNetworkPolicy", name, "v1alpha1", st.builds(lambda priority: {"priority": priority}, _PRIORITIES),
        lambda direction: _rules(direction, ("Allow", "Deny", "Pass"), "ports", ports),
    )  # fmt: skip


def baseline_admin_network_policies(*, port_names: Sequence[str] = ()) -> st.SearchStrategy[JsonObject]:
    """The BaselineAdminNetworkPolicy: its name is always `default`."""
    ports = list(_v1_ports(port_names))
    return _policies(
        "BaselineAdminNetworkPolicy", st.just("default"), "v1alpha1", st.just({}),
        lambda direction: _rules(direction, ("Allow", "Deny"), "ports", ports),
    )  # fmt: skip


def cluster_network_policies(
    *, name: st.SearchStrategy[str] = _NAMES, port_names: Sequence[str] = ()
) -> st.SearchStrategy[JsonObject]:
    """A ClusterNetworkPolicy of either tier."""
    ports = list(_v2_protocols(port_names))
    head = st.builds(
        lambda tier, priority: {"tier": tier, "priority": priority}, st.sampled_from(("Admin", "Baseline")), _PRIORITIES
    )
    return _policies(
        "ClusterNetworkPolicy", name, "v1alpha2", head,
        lambda direction: _rules(direction, ("Accept", "Deny", "Pass"), "protocols", ports),
    )  # fmt: skip
