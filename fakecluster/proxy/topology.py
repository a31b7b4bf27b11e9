"""Which endpoints a service port uses on this node: readiness, traffic policies, topology hints.

Source: Kubernetes pkg/proxy/topology.go (1.34 and later).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from fakecluster.proxy.view import Endpoint, NodeView, ServicePort, ServicePortName


@attrs.frozen
class UsableEndpoints:
    """The choice for one service port on one node.

    `cluster` serves policy Cluster (and short-circuited external traffic), `local` serves policy Local; each falls back
    to serving terminating endpoints by itself. `reachable` is their union. `anywhere` says whether the service has any
    usable endpoint on any node.
    """

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    reachable: tuple[Endpoint, ...] = ()
    anywhere: bool = False


NOTHING_USABLE = UsableEndpoints()


def usable_endpoints(view: NodeView, name: ServicePortName) -> UsableEndpoints:
    """The usable endpoints of a service port that is in the view."""
    node_name = view.node_name if view.node_hints else ""
    return categorize(view.endpoints.get(name, ()), view.services[name], node_name, view.zone)


def categorize(endpoints: Sequence[Endpoint], port: ServicePort, node_name: str, zone: str) -> UsableEndpoints:
    """kube-proxy's CategorizeEndpoints: hints count for the cluster set only, and only among ready endpoints.

    Without a `node_name` hints that name nodes do not count.
    """
    if not endpoints:
        return NOTHING_USABLE
    ready = tuple(endpoint for endpoint in endpoints if endpoint.is_ready)
    leaving = tuple(e for e in endpoints if e.is_serving and e.is_terminating and not e.is_ready)
    cluster: tuple[Endpoint, ...] = ()
    if port.uses_cluster_endpoints:
        cluster = _by_hints(ready, node_name, zone) or leaving
    if not port.uses_local_endpoints:
        return UsableEndpoints(cluster, (), cluster, bool(cluster))
    local = tuple(e for e in ready if e.is_local) or tuple(e for e in leaving if e.is_local)
    return UsableEndpoints(cluster, local, _union(cluster, local), bool(ready or leaving))


def _by_hints(ready: tuple[Endpoint, ...], node_name: str, zone: str) -> tuple[Endpoint, ...]:
    """Node hints win over zone hints; hints count only when every ready endpoint has them and one names us."""
    hints: tuple[tuple[str, Callable[[Endpoint], frozenset[str]]], ...] = (
        (node_name, lambda endpoint: endpoint.node_hints),
        (zone, lambda endpoint: endpoint.zone_hints),
    )
    for here, of in hints:
        if here and all(of(endpoint) for endpoint in ready):
            chosen = tuple(endpoint for endpoint in ready if here in of(endpoint))
            if chosen:
                return chosen
    return ready


def _union(cluster: tuple[Endpoint, ...], local: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    if not local:
        return cluster
    known = {endpoint.text for endpoint in cluster}
    extra = tuple(endpoint for endpoint in local if endpoint.text not in known)
    return tuple(sorted((*cluster, *extra), key=lambda endpoint: endpoint.text)) if extra else cluster
