"""What a cluster is made of: its nodes, its addresses, how its kube-proxies run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from string import ascii_lowercase
from typing import Any

import attrs

from fakecluster.api.names import dns_subdomain
from fakecluster.cni.addressing import FAMILIES
from fakecluster.errors import Unsupported
from fakecluster.proxy.config import MODES

JsonObject = dict[str, Any]
#: Nodes that one cluster may have: the wide Pod range has 4096 node ranges of /24.
MAX_NODES = 4096
#: Nodes above this sleep until they are needed, unless it is said otherwise.
SLEEPING_FROM = 64
#: What a CNI plugin can enforce network policies with.
CNIS = ("iptables", "nftables")
#: argument -> the values that it can have
VALUES: dict[str, tuple[object, ...]] = {
    "proxy": MODES,
    "cni": CNIS,
    "ip_family": tuple(FAMILIES),
    "dns": (True, False),
    "node_local_dns": (True, False),
    "sleeping_nodes": (True, False, None),
}


def _check_name(node: NodeSpec, attribute: attrs.Attribute[str], name: str) -> None:
    if complaints := dns_subdomain(name):
        raise ValueError(f"node name {name!r}: {complaints[0]}")


@attrs.frozen
class NodeSpec:
    """A node: name, labels (`topology.kubernetes.io/zone`...), taints (`{key, value, effect}`), limit of Pods.

    `proxy_config` is JSON: fields of a KubeProxyConfiguration for this node, over the cluster's.
    """

    name: str = attrs.field(validator=_check_name)
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[tuple[tuple[str, str], ...], ...] = ()
    pods: int = 110
    proxy_config: str = ""

    @classmethod
    def of(cls, spec: str | Mapping[str, Any] | NodeSpec) -> NodeSpec:
        """From a name, or from `{"name": ..., "labels": {...}, "taints": [...], "zone": ...}`. Raises ValueError."""
        if isinstance(spec, NodeSpec):
            return spec
        if isinstance(spec, str):
            return cls(spec)
        if not isinstance(spec, Mapping):
            raise ValueError(f"node {spec!r}: expected a name or a mapping, as in {{'name': 'a', 'zone': 'x'}}")
        unknown = set(spec) - {"name", "labels", "taints", "zone", "pods", "proxy_config"}
        if unknown or not isinstance(spec.get("name"), str):
            problem = f"unknown keys {', '.join(sorted(unknown))}" if unknown else "a name is needed"
            raise ValueError(f"node {dict(spec)!r}: {problem} (known: name, labels, taints, zone, pods, proxy_config)")
        labels = dict(spec.get("labels") or {})
        if "zone" in spec:
            labels["topology.kubernetes.io/zone"] = spec["zone"]
        taints = tuple(tuple(sorted(taint.items())) for taint in spec.get("taints") or ())
        config = json.dumps(spec["proxy_config"], sort_keys=True) if spec.get("proxy_config") else ""
        return cls(spec["name"], tuple(sorted(labels.items())), taints, spec.get("pods", 110), config)

    @property
    def taint_objects(self) -> list[JsonObject]:
        return [dict(taint) for taint in self.taints]


@attrs.frozen
class ClusterSpec:
    """Everything that a new cluster depends on but its seed; equal specs share one prepared template."""

    nodes: tuple[NodeSpec, ...]
    proxy: str = "iptables"
    ip_family: str = "ipv4"
    proxy_config: str = ""  # YAML or JSON of a KubeProxyConfiguration's fields, over the cluster's own
    dns: bool = True
    node_local_dns: bool = False
    kubernetes: str = "1.36"
    cni: str = "iptables"  # the language in which network policies are enforced
    #: whether nodes sleep until they are needed; None: when there are many
    sleeping_nodes: bool | None = None

    @classmethod
    def of(cls, nodes: int | Iterable[str | Mapping[str, Any] | NodeSpec], **options: Any) -> ClusterSpec:
        """Check the arguments of `Cluster`. Raises ValueError saying what is allowed."""
        spec = cls(tuple(NodeSpec.of(node) for node in node_names(nodes)), **options)
        names = [node.name for node in spec.nodes]
        if len(set(names)) != len(names):
            raise ValueError(f"node names must differ: {', '.join(names)}")
        for argument, known in VALUES.items():
            if getattr(spec, argument) not in known:
                words = f"expected one of {', '.join(map(str, known))}"
                raise ValueError(f"{argument}={getattr(spec, argument)!r}: {words}")
        if not isinstance(spec.kubernetes, str):
            raise ValueError(f"kubernetes={spec.kubernetes!r}: expected text, as in kubernetes='1.36'")
        if spec.node_local_dns and not spec.dns:
            raise ValueError("node_local_dns=True needs dns=True: it is a cache in front of it")
        if spec.node_local_dns and 4 not in spec.families:
            raise Unsupported("NodeLocal DNS without IPv4 (its address is 169.254.20.10)")
        return spec

    @property
    def sleeps(self) -> bool:
        return len(self.nodes) > SLEEPING_FROM if self.sleeping_nodes is None else self.sleeping_nodes

    @property
    def families(self) -> tuple[int, ...]:
        return FAMILIES[self.ip_family]


def node_names(nodes: int | Iterable[Any]) -> list[Any]:
    """A number of nodes gives the names a, b, c... (then n27, n28...)."""
    if not isinstance(nodes, int):
        if isinstance(nodes, str | Mapping) or not isinstance(nodes, Iterable):
            raise ValueError(f"nodes={nodes!r}: expected a number or a list")
        return list(nodes)
    if isinstance(nodes, bool) or not 0 <= nodes <= MAX_NODES:
        raise ValueError(f"nodes={nodes}: expected 0 to {MAX_NODES}")
    return [ascii_lowercase[index] if index < 26 else f"n{index + 1}" for index in range(nodes)]
