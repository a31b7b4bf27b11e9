"""`fakecluster rules`: what kube-proxy writes on a node, as the node's own tools print it."""

from __future__ import annotations

from typing import Annotated

import typer

from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cluster import Cluster

_IPTABLES = {4: "iptables-save", 6: "ip6tables-save"}
#: mode -> the commands that show its rules (those of iptables once a family)
COMMANDS = {
    "iptables": (),
    "userspace": (),
    "ipvs": ("ipvsadm -Sn", "ipset save"),
    "nftables": ("nft list ruleset",),
}


def rules(
    manifests: Manifests,
    node: Annotated[str, typer.Option("--node", help="The node (default: the first).")] = "",
    proxy: Proxy = "iptables",
    nodes: Nodes = 1,
    ip_family: Family = "ipv4",
    seed: Seed = 0,
) -> None:
    """Print the rules of a node after MANIFESTS were applied."""
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    try:
        chosen = cluster.node(node or cluster.spec.nodes[0].name)
    except LookupError as missing:
        raise UsageError(str(missing)) from None
    print(rules_text(cluster, chosen.name), end="")


def rules_text(cluster: Cluster, node: str) -> str:
    """The dump of a node's rules, by the commands that fit the cluster's mode."""
    commands = list(COMMANDS[cluster.spec.proxy])
    if cluster.spec.proxy != "nftables":
        commands += [_IPTABLES[family] for family in cluster.spec.families]
    return "".join(cluster.node(node).run(command) for command in commands)
