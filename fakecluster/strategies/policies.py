"""NetworkPolicies that overlap: few labels, few namespaces, few ports, so that several of them meet at one Pod.

What a rule says is one choice out of a table, not one for every field: examples then differ much and shrink well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from fakecluster.strategies import arguments

JsonObject = dict[str, Any]
#: Labels that the Pods and namespaces which the policies are to meet may carry, by key.
POD_LABELS = {"pod": ("a", "b", "c"), "app": ("web", "db")}
NAMESPACE_LABELS = {"ns": ("x", "y", "z")}
#: Blocks of addresses, and what is left out of them.
BLOCKS: Sequence[tuple[str, Sequence[str]]] = (
    ("10.244.0.0/16", ()),
    ("10.244.0.0/24", ()),
    ("203.0.113.0/24", ()),
    ("10.244.0.0/16", ("10.244.0.0/24",)),
    ("10.244.0.0/16", ("10.244.0.4/31", "10.244.1.2/32")),
    ("0.0.0.0/0", ("10.244.1.0/25", "128.0.0.0/1")),
    ("fd00:10:244::/56", ()),
    ("fd00:10:244::/56", ("fd00:10:244::/64",)),
    ("::/0", ("fd00:10:244::2/127", "8000::/1")),
)
TYPES: Sequence[Sequence[str]] = ((), ("Ingress",), ("Egress",), ("Ingress", "Egress"))


def _selectors(labels: Mapping[str, tuple[str, ...]]) -> Iterator[JsonObject]:
    """Every operator with every key, the plainest first."""
    yield {}
    for key, values in labels.items():
        yield from ({"matchLabels": {key: value}} for value in values)
        yield {"matchExpressions": [{"key": key, "operator": "In", "values": list(values[:2])}]}
        yield {"matchExpressions": [{"key": key, "operator": "NotIn", "values": list(values[1:])}]}
        yield {"matchExpressions": [{"key": key, "operator": "Exists"}]}
        yield {"matchExpressions": [{"key": key, "operator": "DoesNotExist"}]}


SELECTORS, NAMESPACE_SELECTORS = tuple(_selectors(POD_LABELS)), tuple(_selectors(NAMESPACE_LABELS))


def _peers() -> Iterator[JsonObject]:
    yield from ({"podSelector": selector} for selector in SELECTORS)
    yield from ({"namespaceSelector": selector} for selector in NAMESPACE_SELECTORS)
    for number, selector in enumerate(NAMESPACE_SELECTORS):
        yield {"namespaceSelector": selector, "podSelector": SELECTORS[(3 * number + 1) % len(SELECTORS)]}
    yield from ({"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}} for cidr, holes in BLOCKS)


def _ports(names: Sequence[str]) -> Iterator[JsonObject]:
    for protocol in ("TCP", "UDP"):
        yield {"protocol": protocol, "port": 80}
        yield {"protocol": protocol, "port": 81}
        yield {"protocol": protocol, "port": 81, "endPort": 90}
        yield {"protocol": protocol}
        yield from ({"protocol": protocol, "port": name} for name in names)


def _lists(entries: Sequence[JsonObject]) -> list[list[JsonObject]]:
    """None of the entries, each alone, and pairs."""
    pairs = [[entry, entries[(7 * number + 3) % len(entries)]] for number, entry in enumerate(entries)]
    return [[], *([entry] for entry in entries), *pairs]


def _policy(
    name: str, namespace: str, subject: JsonObject, types: Sequence[str], rules: tuple[list[JsonObject], ...]
) -> JsonObject:
    spec: JsonObject = {"podSelector": subject, **({"policyTypes": list(types)} if types else {})}
    spec |= {direction: made for direction, made in zip(("ingress", "egress"), rules, strict=True) if made}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _rule(field: str, peers: list[JsonObject], ports: list[JsonObject]) -> JsonObject:
    return {**({field: peers} if peers else {}), **({"ports": ports} if ports else {})}


def network_policies(
    *,
    name: st.SearchStrategy[str] | None = None,
    namespaces: Sequence[str] = ("default",),
    port_names: Sequence[str] = (),
) -> st.SearchStrategy[JsonObject]:
    """A NetworkPolicy in one of `namespaces`; without rules it isolates, with an empty rule it allows everything.

    Its selectors are over `POD_LABELS` and `NAMESPACE_LABELS`; `port_names` are used beside ports 80 and 81.
    """
    return st.deferred(lambda: _policies(name, namespaces, port_names))


def _policies(
    name: st.SearchStrategy[str] | None, namespaces: Sequence[str], port_names: Sequence[str]
) -> st.SearchStrategy[JsonObject]:
    arguments.strategies(name=name)
    for argument, given, least in (("namespaces", namespaces, 1), ("port_names", port_names, 0)):
        if isinstance(given, str) or len(given) < least:
            raise InvalidArgument(f"{argument}={given!r}: expected a list of names")
    peers = st.sampled_from(_lists(tuple(_peers())))
    ports = st.sampled_from(_lists(tuple(_ports(port_names))))
    rules = [st.lists(st.builds(_rule, st.just(field), peers, ports), max_size=2) for field in ("from", "to")]
    return st.builds(
        _policy,
        name if name is not None else st.sampled_from(("p", "q", "r", "s")),
        st.sampled_from(tuple(namespaces)),
        st.sampled_from(SELECTORS),
        st.sampled_from(tuple(TYPES)),
        st.tuples(*rules),
    )
