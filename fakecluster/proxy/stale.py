"""Stale UDP flows: conntrack entries that lead to endpoints that serve no more are deleted.

Only entries whose original destination is a UDP service port with at least one serving endpoint, and whose reply does
not come from one of its serving endpoints. The real kube-proxy does it over netlink; these are the commands that ask
the kernel for the same. Before 1.32 it remembered what had changed instead, and ran these commands itself.
Source: Kubernetes pkg/proxy/conntrack/cleanup.go, also of 1.31.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.view import NodeView, canonical_ip

_FAMILY = {"IPv4": "ipv4", "IPv6": "ipv6"}


@attrs.frozen
class UdpFlow:
    """The part of a conntrack entry that decides: where the client sent to, and who answers."""

    destination: str
    destination_port: int
    replier: str
    replier_port: int


def forget_stale_udp(node: ProxyNode, view: NodeView) -> int:
    """Delete every stale UDP entry of the family; returns how many there were."""
    frontends, node_ports = _frontends(view, ports=node.behaviours.conntrack_compares_ports)
    deleted = 0
    if not frontends and not node_ports:
        return deleted
    family = _FAMILY[node.family]
    listing = node.kernel.run(["conntrack", "-L", "-f", family, "-p", "udp"])
    for flow in dict.fromkeys(_flows(listing)):
        # a service port that has the number of someone's node port is taken for that node port as well
        wanted = (frontends.get((flow.destination, flow.destination_port)), node_ports.get(flow.destination_port))
        replier = (flow.replier, flow.replier_port if node.behaviours.conntrack_compares_ports else 0)
        if any(serving is not None and replier not in serving for serving in wanted):
            deleted += _delete(node, family, flow)
    return deleted


Serving = set[tuple[str, int]]


def _frontends(view: NodeView, *, ports: bool) -> tuple[dict[tuple[str, int], Serving], dict[int, Serving]]:
    """Serving endpoints by (service address, port), and by node port; without `ports` their ports are 0."""
    frontends: dict[tuple[str, int], Serving] = {}
    node_ports: dict[int, Serving] = {}
    for name in view.udp_ports:
        port = view.services[name]
        serving = {(e.ip, e.port if ports else 0) for e in view.endpoints.get(name, ()) if e.is_serving}
        if not serving:
            continue
        for address in (port.cluster_ip, *port.load_balancer_ips, *port.external_ips):
            frontends[address, port.port] = serving
        if port.node_port:
            node_ports[port.node_port] = serving
    return frontends, node_ports


def forget_changed_udp(node: ProxyNode, view: NodeView, changes: Changes) -> None:
    """The clean-up before 1.32: flows to Services that are gone or serve again, and to endpoints that serve no more."""
    addresses, node_ports = dict.fromkeys(changes.udp_cluster_ips), list[int]()
    for name in changes.udp_begun:
        if port := view.services.get(name):
            addresses.update(dict.fromkeys((port.cluster_ip, *port.external_ips, *port.load_balancer_ips)))
            node_ports += [port.node_port] if port.node_port else []
    for ip in addresses:
        _delete_all(node, ["--orig-dst", ip])
    for number in node_ports:
        _delete_all(node, ["--dport", str(number)])
    for name, endpoint in changes.udp_stopped:
        if port := view.services.get(name):
            if port.node_port:
                _delete_all(node, ["--dport", str(port.node_port), "--dst-nat", endpoint])
            for ip in (port.cluster_ip, *port.external_ips, *port.load_balancer_ips):
                _delete_all(node, ["--orig-dst", ip, "--dst-nat", endpoint])


def _delete_all(node: ProxyNode, filters: list[str]) -> None:
    family = ["-f", "ipv6"] if node.family == "IPv6" else []
    try:
        node.kernel.run(["conntrack", "-D", *filters, "-p", "udp", *family])
    except CommandError as error:
        if "0 flow entries" not in error.stderr:
            raise


def _flows(listing: str) -> Iterator[UdpFlow]:
    for line in listing.splitlines():
        pairs = [word.partition("=")[::2] for word in line.split() if "=" in word]
        fields: dict[str, list[str]] = {}
        for key, value in pairs:
            fields.setdefault(key, []).append(value)
        if all(len(fields.get(key, ())) == 2 for key in ("src", "dst", "sport", "dport")):
            yield UdpFlow(
                canonical_ip(fields["dst"][0]),
                int(fields["dport"][0]),
                canonical_ip(fields["src"][1]),
                int(fields["sport"][1]),
            )


def _delete(node: ProxyNode, family: str, flow: UdpFlow) -> int:
    words = ["conntrack", "-D", "-f", family, "-p", "udp", "--orig-dst", flow.destination]
    words += ["--orig-port-dst", str(flow.destination_port), "--reply-src", flow.replier]
    words += ["--reply-port-src", str(flow.replier_port)]
    try:
        return len(node.kernel.run(words).splitlines())
    except CommandError as error:
        if "0 flow entries" not in error.stderr:  # gone in the meantime
            raise
        return 0
