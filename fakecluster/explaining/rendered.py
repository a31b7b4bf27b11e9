"""What kube-proxy should have written on a node of a real cluster, from a dump of its objects (`kubectl get ... -o yaml`).

Nothing of the cluster is modelled but this one process: its Services, EndpointSlices and Nodes are those of the dump.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import yaml

from fakecluster.errors import CommandError, FakeclusterError, ManifestError
from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.service_names import ServiceNames, service_names
from fakecluster.kernel.netns import Netns
from fakecluster.proxy import config as proxy_config
from fakecluster.proxy.config import KubeProxyConfiguration
from fakecluster.proxy.process import KubeProxy

JsonObject = Mapping[str, Any]
_RESOURCES = {
    "Service": "services",
    "EndpointSlice": "endpointslices.discovery.k8s.io",
    "Node": "nodes",
    "ServiceCIDR": "servicecidrs.networking.k8s.io",
}
#: What a dump that is enough was made with.
DUMP = "kubectl get services,endpointslices,nodes,servicecidrs -A -o yaml"


class NotRendered(FakeclusterError):
    """The rules cannot be told from this dump: the node is not in it, or the endpoints."""


@attrs.frozen
class RealCluster:
    """The objects of a dump that kube-proxy watches."""

    objects: tuple[JsonObject, ...]

    def of_kind(self, kind: str) -> list[JsonObject]:
        return [one for one in self.objects if one["kind"] == kind]

    @property
    def service_names(self) -> ServiceNames:
        return service_names(self.of_kind("Service"), self.of_kind("EndpointSlice"))

    def node(self, name: str = "") -> JsonObject:
        """The Node of this name, or the only one. Raises `NotRendered` with those that there are."""
        nodes = {one["metadata"]["name"]: one for one in self.of_kind("Node")}
        chosen = name or (next(iter(nodes)) if len(nodes) == 1 else "")
        if chosen in nodes:
            return nodes[chosen]
        known = f"there are {', '.join(nodes)}" if nodes else f"there is none; dump them with {DUMP}"
        raise NotRendered(f"no Node {name!r} in the dump: {known}" if name else f"which Node? say --node; {known}")


def real_cluster(objects: Iterable[JsonObject]) -> RealCluster:
    """What of a dump is watched. Raises `NotRendered` when Services are there and not one EndpointSlice."""
    found = RealCluster(tuple(one for one in objects if one.get("kind") in _RESOURCES and "metadata" in one))
    if not found.of_kind("EndpointSlice"):
        raise NotRendered(f"no EndpointSlice in the dump: dump them with {DUMP}")
    return found


def rendered(
    cluster: RealCluster, node: str, config: KubeProxyConfiguration, addresses: tuple[str, str] | None = None
) -> Netns:
    """The node as kube-proxy leaves it; `addresses` is its `ip address` and the name of that file.

    Without them it has the addresses of its Node object. Raises `NotRendered`, `RuleSyntaxError`, `Unsupported`.
    """
    own = cluster.node(node)
    netns = node_from_dumps({"ip-addr": addresses if addresses is not None else (_addresses(own), "")})
    proxy = KubeProxy(own["metadata"]["name"], config, netns, netns.clock)
    for one in cluster.objects:
        proxy.on_object(_RESOURCES[one["kind"]], dict(one))
    try:
        proxy.start()
    except CommandError as refused:
        raise NotRendered(f"kube-proxy does not start: {refused}") from None
    netns.clock.settle()
    return netns


def _addresses(node: JsonObject) -> str:
    """The Node's addresses as `ip address` shows them."""
    lines = ["1: lo: <LOOPBACK,UP>", "    inet 127.0.0.1/8 scope host lo", "    inet6 ::1/128 scope host lo"]
    lines.append("2: eth0: <BROADCAST,MULTICAST,UP>")
    for entry in (node.get("status") or {}).get("addresses") or ():
        if entry.get("type") in ("InternalIP", "ExternalIP"):
            ip = entry["address"]
            lines.append(f"    inet6 {ip}/64 scope global eth0" if ":" in ip else f"    inet {ip}/24 scope global eth0")
    return "\n".join(lines) + "\n"


def configuration(text: str, *, source: str) -> KubeProxyConfiguration:
    """A KubeProxyConfiguration from YAML, or out of the ConfigMap kube-proxy. Raises `ManifestError`, `Unsupported`."""
    document = _document(text, source)
    if document.get("kind") == "ConfigMap":
        inside = (document.get("data") or {}).get("config.conf")
        if not isinstance(inside, str):
            raise ManifestError("the ConfigMap has no config.conf", place=source)
        document = _document(inside, source)
    return proxy_config.parse(document)


def _document(text: str, source: str) -> JsonObject:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise ManifestError(f"YAML: {' '.join(str(wrong).split())}", place=source) from None
    if not isinstance(document, dict):
        raise ManifestError("expected a KubeProxyConfiguration or the ConfigMap kube-proxy", place=source)
    return document
