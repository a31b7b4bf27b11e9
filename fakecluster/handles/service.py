"""A Service, as a test holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.api.selectors import from_set
from fakecluster.handles.history import named
from fakecluster.handles.pod import Pod

if TYPE_CHECKING:
    from fakecluster.handles.world import World

JsonObject = dict[str, Any]


class Service:
    """A Service by name; what it tells is read when it is asked for."""

    def __init__(self, world: World, name: str, namespace: str = "default") -> None:
        self.world, self.name, self.kubernetes_namespace = world, name, namespace

    @property
    def target(self) -> str:
        return f"svc/{self.kubernetes_namespace}/{self.name}"

    @property
    def expression(self) -> str:
        """How a script gets hold of this Service."""
        return f"cluster.service({', '.join(map(repr, named(self.name, self.kubernetes_namespace)))})"

    @property
    def object(self) -> JsonObject:
        """The API object as it is now. Raises `ApiError` (404) when it does not exist."""
        return self.world.seen.get("services", self.name, self.kubernetes_namespace)

    @property
    def cluster_ip(self) -> str:
        """The (first) cluster IP; "None" for a headless Service, "" where there is none."""
        return str(self.object["spec"].get("clusterIP") or "")

    @property
    def cluster_ips(self) -> list[str]:
        return list(self.object["spec"].get("clusterIPs") or [])

    @property
    def load_balancer_ips(self) -> list[str]:
        """What the load balancer published in the status."""
        ingress = self.object.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
        return [entry["ip"] for entry in ingress if "ip" in entry]

    def node_port(self, port: int | str | None = None) -> int:
        """The node port of a port (number or name; the first one by default). Raises LookupError when it has none."""
        for entry in self.object["spec"].get("ports") or ():
            if port in (None, entry["port"], entry.get("name")) and entry.get("nodePort"):
                return int(entry["nodePort"])
        raise LookupError(f"Service {self.name} has no node port for {port}")

    @property
    def slices(self) -> list[JsonObject]:
        """Its EndpointSlices."""
        label = f"kubernetes.io/service-name={self.name}"
        return self.world.seen.list("endpointslices.discovery.k8s.io", self.kubernetes_namespace, label_selector=label)

    @property
    def pods(self) -> list[Pod]:
        """The Pods that its selector matches."""
        selector = self.object["spec"].get("selector")
        if not selector:
            return []
        found = self.world.seen.list("pods", self.kubernetes_namespace, label_selector=str(from_set(selector)))
        return [Pod(self.world, pod["metadata"]["name"], self.kubernetes_namespace) for pod in found]

    @property
    def ready_pods(self) -> list[Pod]:
        """The Pods that stand in its EndpointSlices as ready."""
        names: dict[str, None] = {
            endpoint["targetRef"]["name"]: None
            for entry in self.slices
            for endpoint in entry.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True)
            and (endpoint.get("targetRef") or {}).get("kind") == "Pod"
        }
        return [Pod(self.world, name, self.kubernetes_namespace) for name in names]

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Service) and other.target == self.target

    def __hash__(self) -> int:
        return hash(self.target)

    def __repr__(self) -> str:
        return f"<Service {self.kubernetes_namespace}/{self.name}>"
