"""From the names that people give to what is broken, to what it is; unknown ones are answered with those there are."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from fakecluster.api.rest.users import ANONYMOUS
from fakecluster.cni.nodes import NODE_NETWORK, OUTSIDE, namespace_of_node
from fakecluster.fabric.links import Port
from fakecluster.handles import Pod
from fakecluster.sim import numbers
from fakecluster.sim.numbers import Number

if TYPE_CHECKING:
    from fakecluster.api.resources import Registry
    from fakecluster.cluster.cluster import Cluster


def node_port(cluster: Cluster, node: str) -> Port:
    """A node's end of the node network. Raises LookupError."""
    if node not in cluster.runtime.nodes:
        raise LookupError(f"no node {node!r}; there are {', '.join(cluster.runtime.nodes)}")
    return Port(namespace_of_node(node), "eth0")


def ports(cluster: Cluster, names: str | Iterable[str]) -> set[Port]:
    """Ends of the node network: of nodes, and of the world `outside`. Raises LookupError."""
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name != OUTSIDE and name not in cluster.runtime.nodes:
            raise LookupError(f"no node {name!r}; there are {', '.join((*cluster.runtime.nodes, OUTSIDE))}")
    return {Port(OUTSIDE, "eth0") if name == OUTSIDE else node_port(cluster, name) for name in listed}


def pairs(cluster: Cluster, a: str | Iterable[str], b: str | Iterable[str]) -> frozenset[tuple[Port, Port]]:
    """Every (from, to) of two sides. Raises LookupError, and ValueError when they have a node in common."""
    here, there = ports(cluster, a), ports(cluster, b)
    if not here or not there or here & there:
        raise ValueError(f"a partition needs two sides that have no node in common: {a!r}, {b!r}")
    return frozenset((one, other) for one in here for other in there)


def segment(cluster: Cluster, place: str) -> str:
    """The link called `node-network`, or a Pod's own (`pod/web-1`). Raises LookupError."""
    segments = cluster.network.segments
    for name, one in segments.items():
        own = place.startswith("pod/") and Port(place, "eth0") in one.ports
        if name == place or own:
            return name
    pods = [port.namespace for one in segments.values() for port in one.ports if "pod/" in str(port)]
    raise LookupError(f"no link {place!r}; there are {', '.join([NODE_NETWORK, *sorted(pods)])}")


def host(cluster: Cluster, namespace: str) -> str:
    """A host by its namespace (`pod/client`, `node/a`). Raises LookupError."""
    if namespace not in cluster.network.namespaces:
        raise LookupError(f"no host {namespace!r}; there are {', '.join(cluster.network.namespaces)}")
    return namespace


def pod(cluster: Cluster, name: str) -> Pod:
    """A Pod (`web-1`, or `kube-system/coredns-1`). Raises LookupError."""
    namespace, _, short = name.rpartition("/")
    if cluster.parts.server.store.get("pods", namespace or "default", short) is None:
        there = [f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in cluster.seen.list("pods")]
        known = [text.removeprefix("default/") for text in there]
        raise LookupError(f"no Pod {name!r}; there are {', '.join(known) or 'none'}")
    return Pod(cluster, short, namespace or "default")


def resource(registry: Registry, name: str) -> None:
    """Whether there is a resource called so (`pods`, `deployments`, `deployments.apps`). Raises LookupError."""
    there = {word for one in registry.by_path.values() for word in (one.key, one.plural)}
    if name not in there:
        raise LookupError(f"no resource {name!r}; there are {', '.join(sorted(there))}")


def user(cluster: Cluster, name: str) -> None:
    """Whether anybody asks the API server by this name, so far as is known. Raises LookupError.

    Those are the components, nodes, service accounts, users with a token, and whom bindings name (who may be impersonated).
    """
    there = users(cluster)
    if name not in there:
        raise LookupError(f"no user {name!r}; there are {', '.join(there)}")


def users(cluster: Cluster) -> list[str]:
    """Everybody who is known to ask the API server, once."""
    parts, seen = cluster.parts, cluster.seen
    accounts = [
        f"system:serviceaccount:{one['metadata']['namespace']}:{one['metadata']['name']}"
        for one in seen.list("serviceaccounts")
    ]
    subjects = [
        subject["name"]
        for kind in ("rolebindings", "clusterrolebindings")
        for binding in seen.list(f"{kind}.rbac.authorization.k8s.io")
        for subject in binding.get("subjects") or ()
        if subject["kind"] == "User"
    ]
    components = [parts.scheduler.client.user, *(one.client.user for one in parts.manager.controllers.values())]
    nodes = [f"system:node:{node}" for node in cluster.runtime.nodes]
    tokens = [one.name for one in (*parts.server.users.values(), *parts.server.tokens.values())]
    return list(dict.fromkeys((*tokens, ANONYMOUS.name, *nodes, *components, *accounts, *subjects)))


def probability(name: str, value: Fraction | float) -> Fraction:
    """A float is read as its decimal text: 0.1 is 1/10. Raises ValueError outside 0 to 1, TypeError for no number."""
    exact = Fraction(str(numbers.finite(name, value)))
    if not 0 <= exact <= 1:
        raise ValueError(f"{name}={value}: expected a probability from 0 to 1")
    return exact


def seconds(name: str, value: Number, why: str) -> Number:
    """A time that is finite and not negative. Raises ValueError with the reason, TypeError for no number."""
    if numbers.finite(name, value) < 0:
        raise ValueError(f"{name}={value}: {why}")
    return value
