"""A control plane whose nodes have no network: what a kubelet asks of its runtime is written down instead."""

from __future__ import annotations

from typing import Any

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.controllers.kubelet import Kubelet
from fakecluster.controllers.manager import CONTROLLERS, Manager
from fakecluster.controllers.scheduler import Scheduler
from fakecluster.sim import Clock, Seeded

#: A probe that asks for a page.
HTTP = {"httpGet": {"port": 80}}
Json = dict[str, Any]
QUIET = {"endpoints-controller", "endpointslice-controller", "endpointslicemirroring-controller"}


class PaperRuntime:
    """Implements PodRuntime: gives out addresses, answers probes by `healthy`, and keeps a log."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log: list[str] = []
        self.environments: dict[str, dict[str, str]] = {}
        self.healthy: dict[str, bool] = {}  # by kind of probe; True unless said otherwise
        self.sandboxes = 0

    def create_sandbox(self, node: str, pod: Json) -> list[str]:
        self.sandboxes += 1
        self.log.append(f"sandbox {pod['metadata']['name']}")
        high, low = divmod(self.sandboxes + 1, 256)
        return [f"10.244.{high}.{low}"]

    def start_container(self, node: str, pod: Json, container: Json, env: dict[str, str]) -> None:
        self.log.append(f"start {container['name']}")
        self.environments[container["name"]] = dict(env)

    def stop_container(self, node: str, pod: Json, container: str) -> None:
        self.log.append(f"stop {container}")

    def remove_sandbox(self, node: str, pod: Json) -> None:
        self.log.append(f"remove {pod['metadata']['name']}")

    def probe(self, node: str, pod: Json, container: str, kind: str, probe: Json, timeout_s: float) -> None:
        passed = self.healthy.get(kind, True)
        answer = ("probe", pod["metadata"]["uid"], container, kind, passed, "" if passed else "no answer")
        self.clock.schedule(f"kubelet@{node}", answer)

    def fork(self, clock: Clock) -> PaperRuntime:
        copy = PaperRuntime(clock)
        copy.log, copy.healthy, copy.sandboxes = self.log.copy(), self.healthy.copy(), self.sandboxes
        return copy


class Workshop:
    """API server, controllers, scheduler and a kubelet per node."""

    def __init__(self, *nodes: str, controllers: set[str] | None = None) -> None:
        self.clock, self.choices = Clock(), Seeded(0)
        self.server = ApiServer(self.clock, self.choices)
        self.client = Client(self.server)
        self.runtime = PaperRuntime(self.clock)
        chosen = set(CONTROLLERS) - QUIET if controllers is None else controllers
        self.manager = Manager(self.server, self.clock, self.choices, controllers=chosen)
        self.scheduler = Scheduler(self.server, self.clock)
        self.kubelets: dict[str, Kubelet] = {}
        for number, name in enumerate(nodes):
            self.add_node(name, f"172.18.0.{number + 3}")
        self.clock.settle()

    def add_node(self, name: str, address: str = "172.18.0.99", **spec: Any) -> None:
        labels = {"kubernetes.io/hostname": name}
        node = self.client.create(
            "nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}
        )
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"},
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok"}],
        }
        self.client.update_status("nodes", {**node, "status": status})
        node = self.client.get("nodes", name)
        taints = [taint for taint in node["spec"].get("taints") or () if "not-ready" not in taint["key"]]
        self.client.update("nodes", {**node, "spec": {**node["spec"], "taints": taints or None}})
        self.kubelets[name] = Kubelet(name, self.server, self.clock, self.runtime)

    def create(self, obj: Json) -> Json:
        """Create an object in `default` and let everything that follows happen."""
        self.client.create(RESOURCES[obj["kind"]], obj, "default")
        self.clock.settle()
        return obj

    def pod(self, name: str) -> Json:
        return self.client.get("pods", name, "default")

    @property
    def pods(self) -> list[Json]:
        return self.client.list("pods", "default")

    def phases(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in self.pods}

    def exit(self, pod_name: str, code: int, container: str = "main") -> None:
        """Let a program end by itself."""
        pod = self.pod(pod_name)
        event = ("exited", pod["metadata"]["uid"], container, code)
        self.clock.schedule(f"kubelet@{pod['spec']['nodeName']}", event)
        self.clock.settle()

    def events(self, kind: str) -> list[str]:
        """What was told about objects of a kind: `reason: message`."""
        found = [one for one in self.client.list("events") if one["involvedObject"]["kind"] == kind]
        found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
        return [f"{one['reason']}: {one['message']}" for one in found]

    def fork(self) -> Workshop:
        copy = Workshop.__new__(Workshop)
        copy.clock, copy.choices = self.clock.fork(), self.choices.fork()
        copy.server = self.server.fork(copy.clock, copy.choices)
        copy.client = Client(copy.server)
        copy.runtime = self.runtime.fork(copy.clock)
        copy.manager = self.manager.fork(copy.server, copy.clock, copy.choices)
        copy.scheduler = self.scheduler.fork(copy.server, copy.clock)
        copy.kubelets = {name: one.fork(copy.server, copy.clock, copy.runtime) for name, one in self.kubelets.items()}
        return copy


RESOURCES = {
    "Pod": "pods",
    "Service": "services",
    "ConfigMap": "configmaps",
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps",
    "Job": "jobs.batch",
}


def container(name: str = "main", **more: Any) -> Json:
    return {"name": name, "image": "app:1", **more}


def pod(name: str, *, labels: Json | None = None, containers: list[Json] | None = None, **spec: Any) -> Json:
    meta = {"name": name, "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": containers or [container()], **spec},
    }


def workload(kind: str, name: str, *, pod_spec: Json | None = None, **spec: Any) -> Json:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet whose Pods carry `app: <name>`."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container()], **(pod_spec or {})}}
    whole = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def conditions(shop: Workshop, name: str) -> dict[str, str]:
    """Type and status of a Pod's conditions."""
    return {one["type"]: one["status"] for one in shop.pod(name)["status"]["conditions"]}


def state(shop: Workshop, name: str, which: str = "main") -> Json:
    """The status of a Pod's container."""
    status = shop.pod(name)["status"]
    everything = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return next(one for one in everything if one["name"] == which)
