"""One packet explained: its walk, why the rules beside those that matched did not, and what would change the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from fakecluster.explaining.changes import changes
from fakecluster.explaining.explanation import Explanation
from fakecluster.explaining.names import NO_NAMES, Names, names_of
from fakecluster.explaining.neighbours import neighbours
from fakecluster.explaining.packet_words import PacketWords, parse_packet
from fakecluster.explaining.targets import sent
from fakecluster.explaining.translated import translated
from fakecluster.explaining.walking import Walker, through_cluster, through_node
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import PROTOCOL_NAMES, Skb
from fakecluster.trace import Trace

if TYPE_CHECKING:
    from fakecluster.cluster import Cluster

#: Where a packet is delivered to that no socket takes.
NO_SOCKET = "the host"


def explain(netns: Netns, words: PacketWords | str, *, names: Names = NO_NAMES) -> Explanation:
    """Explain a packet on a node (`words` as in `parse_packet`); the node itself does not change.

    Raises `NoInterface`, `PacketSyntaxError`.
    """
    packet = parse_packet(words) if isinstance(words, str) else words
    return _explained(through_node(netns), packet, names)


def explain_in(cluster: Cluster, words: PacketWords | str, *, at: str = "") -> Explanation:
    """Explain a packet in a cluster, from host to host; `at` is where it begins (`a`, `pod/web-1`).

    The ends of `words` may be names: `tcp pod/client > web.default.svc:80`; then `at` is the source.
    Raises `NoInterface`, `PacketSyntaxError`, `TargetError`, `ResolveFailed`, LookupError.
    """
    names = cluster_names(cluster)
    found = sent(cluster, words, at)
    explanation = _explained(through_cluster(cluster, found.namespace), found.packet, names, found.lookup)
    return attrs.evolve(explanation, remark=_nobody_listens(explanation.trace))


def cluster_names(cluster: Cluster) -> Names:
    """What the addresses of a cluster's Pods, Services and Nodes are called."""
    return names_of([*cluster.api.list("pods"), *cluster.api.list("services"), *cluster.api.list("nodes")])


def _nobody_listens(trace: Trace) -> str:
    """What is to be said of a packet that came to a host whose sockets are known, and to none of them."""
    hop = trace.way[-1] if trace.hops else None
    if hop is None or (hop.verdict.what, hop.verdict.where) != ("delivered", NO_SOCKET):
        return ""
    skb = Skb(hop.packet_in)
    return f"nobody listens on {PROTOCOL_NAMES[skb.proto]} port {skb.dport}" if skb.has_ports else ""


def _explained(walker: Walker, packet: PacketWords, names: Names, lookup: tuple[str, ...] = ()) -> Explanation:
    walked = walker(packet, "", None)
    near = tuple(neighbours(walked.namespaces, walked.trace))
    other = tuple(translated(walked.namespaces, walked.trace))
    told = tuple(changes(walker, packet, walked, near))
    return Explanation(walked.trace, near, told, names, lookup, other, walked.refused)
