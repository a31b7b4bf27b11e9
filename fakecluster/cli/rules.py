"""`fakecluster rules`: what kube-proxy writes on a node, as the node's own tools print it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from fakecluster.cli.options import Family, Manifests, Nodes, Proxy, Seed, UsageError, cluster_of
from fakecluster.cli.output import Answer, Output, OutputFile, give
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
    output: Output = "",
    file: OutputFile = None,
) -> None:
    """Print the rules of a node after MANIFESTS were applied, as the node's own tools print and read them.

    Example: fakecluster rules shop.yaml --proxy nftables --node a | nft -c -f -
    """
    cluster = cluster_of(manifests, nodes=nodes, proxy=proxy, family=ip_family, seed=seed)
    try:
        chosen = cluster.node(node or cluster.spec.nodes[0].name)
    except LookupError as missing:
        raise UsageError(str(missing)) from None
    dumps = rules_of(cluster, chosen.name)
    text = "".join(dumps.values())
    others = {"text": lambda: text}
    answer = Answer(
        f"rules of {chosen.name}", lambda console: console.print(Text(text), soft_wrap=True, end=""), lambda: dumps, others
    )
    give(answer, output, file)


def rules_text(cluster: Cluster, node: str) -> str:
    """The dump of a node's rules."""
    return "".join(rules_of(cluster, node).values())


def rules_of(cluster: Cluster, node: str) -> dict[str, str]:
    """What the commands that fit the cluster's mode print on a node."""
    commands = list(COMMANDS[cluster.spec.proxy])
    if cluster.spec.proxy != "nftables":
        commands += [_IPTABLES[family] for family in cluster.spec.families]
    return {command: cluster.node(node).run(command) for command in commands}
