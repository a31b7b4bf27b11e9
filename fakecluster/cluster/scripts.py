"""A cluster's history as a script: what a failing example prints, to be pasted into a file or a shell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from fakecluster.cluster.spec import NodeSpec

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

_SCAPY = (
    "from scapy.layers.inet import ICMP, IP, TCP, UDP",
    "from scapy.layers.inet6 import IPv6",
    "from scapy.packet import Raw",
)


def script(cluster: Cluster) -> str:
    """Imports, the cluster as it was made, and every line of its history."""
    lines = [str(line) for line in cluster.history.lines]
    if cluster.history.is_cut:
        lines.append("# ... and more than that: the history is longer than is kept")
    made = constructor(cluster)
    imports = ["from fakecluster import Cluster"]
    if "Scripted(" in made:
        imports.append("from fakecluster.sim import Scripted")
    if any("Fault(" in line or "FaultOptions(" in line for line in lines):
        imports.append("from fakecluster.cluster.faults import Fault, FaultOptions, FaultPlan")
    if any(".send(" in line or ".outcomes(" in line for line in lines):
        imports += _SCAPY
    return "\n".join([*imports, "", f"cluster = {made}", *lines, ""])


def constructor(cluster: Cluster) -> str:
    """The call of `Cluster` that makes such a cluster, with the same chance; what is as by default is left out."""
    spec = cluster.origin
    arguments = [f"nodes={[_node(node) for node in spec.nodes]!r}"]
    for field in attrs.fields(type(spec)):
        value = getattr(spec, field.name)
        if field.name == "proxy_config" and value:
            arguments.append(f"proxy_config={json.loads(value)!r}")
        elif field.name not in ("nodes", "proxy_config") and value != field.default:
            arguments.append(f"{field.name}={value!r}")
    seed = getattr(cluster.choices, "seed", None)
    if seed is None:
        arguments.append(f"choices=Scripted({[choice.index for choice in cluster.choices.taken]})")
    elif seed:
        arguments.append(f"seed={seed}")
    return f"Cluster({', '.join(arguments)})"


def _node(node: NodeSpec) -> object:
    if node == NodeSpec(node.name):
        return node.name
    found: dict[str, object] = {"name": node.name}
    if node.labels:
        found["labels"] = dict(node.labels)
    if node.taints:
        found["taints"] = node.taint_objects
    if node.pods != NodeSpec(node.name).pods:
        found["pods"] = node.pods
    if node.proxy_config:
        found["proxy_config"] = json.loads(node.proxy_config)
    return found
