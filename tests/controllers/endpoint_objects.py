"""Services, Pods and Nodes as the server would keep them, and a small control plane that runs controllers on them."""

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.controllers.manager import Manager
from fakecluster.sim import Clock, Seeded

SLICES = "endpointslices.discovery.k8s.io"


def service(name="web", *, ports=None, selector=None, labels=None, annotations=None, **spec):
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **({"labels": labels} if labels else {}),
        **({"annotations": annotations} if annotations else {}),
    }
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}] if ports is None else ports
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "selector": {"app": "web"} if selector is None else selector,
            "ports": ports,
            "clusterIP": "10.96.0.5",
            "ipFamilies": ["IPv4"],
            **spec,
        },
    }


def pod(name, *ips, ready=True, node="node-a", labels=None, phase="Running", deleted=False, containers=None, **spec):
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": labels or {"app": "web"}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:30Z"
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": containers or [{"name": "main", "image": "i"}], **spec},
        "status": status,
    }


def node(name, zone="", *, cpu="4", ready=True, labels=None):
    zone_label = {"topology.kubernetes.io/zone": zone} if zone else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**zone_label, **(labels or {})}},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


NODES = {"node-a": node("node-a", "zone-a"), "node-b": node("node-b", "zone-b"), "node-c": node("node-c", "zone-c")}


class ControlPlane:
    """An API server and some controllers; the test plays scheduler and kubelet."""

    def __init__(self, *controllers, **flags):
        self.clock = Clock()
        choices = Seeded(0)
        self.api = ApiServer(self.clock, choices, service_cidrs=("10.96.0.0/16", "fd00:10:96::/112"))
        self.manager = Manager(self.api, self.clock, choices, controllers=set(controllers), **flags)
        self.client = Client(self.api)
        self.client.create("namespaces", {"metadata": {"name": "shop"}})
        self.clock.settle()

    def fork(self):
        copy = object.__new__(ControlPlane)
        copy.clock, choices = self.clock.fork(), self.api.choices.fork()
        copy.api = self.api.fork(copy.clock, choices)
        copy.manager = self.manager.fork(copy.api, copy.clock, choices)
        copy.client = Client(copy.api)
        return copy

    def add_node(self, name, zone=""):
        full = node(name, zone)
        self.client.create("nodes", {key: full[key] for key in ("metadata",)})
        self.client.patch("nodes", name, {"status": full["status"]}, subresource="status")

    def add_service(self, name="web", **fields):
        full = service(name, **fields)
        spec = {key: value for key, value in full["spec"].items() if key not in ("clusterIP", "ipFamilies")}
        spec |= {key: fields[key] for key in ("clusterIP", "ipFamilies") if key in fields}
        metadata = {key: full["metadata"][key] for key in ("name", "labels", "annotations") if key in full["metadata"]}
        return self.client.create("services", {"metadata": metadata, "spec": spec}, "shop")

    def run_pod(self, name, ip, *, ready=True, node="node-a", labels=None):
        full = pod(name, ip, ready=ready, node=node, labels=labels)
        metadata = {"name": name, "labels": full["metadata"]["labels"]}
        self.client.create("pods", {"metadata": metadata, "spec": full["spec"]}, "shop")
        self.set_status(name, full["status"])

    def set_status(self, name, status):
        self.client.patch("pods", name, {"status": status}, "shop", kind="strategic", subresource="status")

    def set_ready(self, name, ready):
        self.set_status(name, {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]})

    def settle(self, seconds=0.0):
        self.clock.settle()
        if seconds:
            self.clock.advance(seconds)

    def get(self, resource, name):
        return self.api.store.get(resource, "shop", name)

    def slices(self, name="web"):
        found = self.client.list(SLICES, "shop", label_selector=f"kubernetes.io/service-name={name}")
        return [one for one in found if "deletionTimestamp" not in one["metadata"]]

    def endpoints_of(self, name="web"):
        """What the slices say: {Pod: ready}."""
        return {
            endpoint["targetRef"]["name"]: endpoint["conditions"]["ready"]
            for one in self.slices(name)
            for endpoint in one["endpoints"] or ()
        }
