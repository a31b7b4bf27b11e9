"""A Pod, as a test holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.cni.runtime import Sandbox, namespace_of_pod
from fakecluster.discovery.resolvconf import ResolvConf
from fakecluster.handles.history import kept, named
from fakecluster.handles.host import Host
from fakecluster.kernel.sockets import Program

if TYPE_CHECKING:
    from fakecluster.handles.node import Node
    from fakecluster.handles.world import World

JsonObject = dict[str, Any]


class Pod(Host):
    """A Pod by name; what it tells is read when it is asked for."""

    def __init__(self, world: World, name: str, namespace: str = "default") -> None:
        super().__init__(world, namespace_of_pod(namespace, name))
        self.name, self.kubernetes_namespace = name, namespace

    @property
    def target(self) -> str:
        return f"pod/{self.kubernetes_namespace}/{self.name}"

    @property
    def expression(self) -> str:
        return f"cluster.pod({', '.join(map(repr, named(self.name, self.kubernetes_namespace)))})"

    @property
    def object(self) -> JsonObject:
        """The API object as it is now. Raises `ApiError` (404) when it does not exist."""
        return self.world.seen.get("pods", self.name, self.kubernetes_namespace)

    @property
    def sandbox(self) -> Sandbox:
        """Where the Pod runs. Raises LookupError, saying in which phase it is, when it does not."""
        pod = self.object
        sandbox = self.world.runtime.sandboxes.get(pod["metadata"]["uid"])
        if sandbox is None:
            phase = pod.get("status", {}).get("phase", "Pending")
            raise LookupError(f"Pod {self.kubernetes_namespace}/{self.name} does not run (phase {phase})")
        return sandbox

    @property
    def netns(self) -> Any:
        netns = self.world.network.namespaces.get(self.namespace)
        return netns if netns is not None else self.world.network.namespaces[self.sandbox.namespace]

    @property
    def ip(self) -> str:
        """The Pod's (first) IP, "" while it has none."""
        return str(self.object.get("status", {}).get("podIP") or "")

    @property
    def node(self) -> Node:
        """The Node that it was scheduled to."""
        from fakecluster.handles.node import Node

        return Node(self.world, self.object["spec"].get("nodeName") or "")

    @property
    def node_name(self) -> str:
        return self.node.name

    @property
    def ready(self) -> bool:
        conditions = self.object.get("status", {}).get("conditions") or ()
        return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)

    @property
    def env(self) -> dict[str, str]:
        """The environment of the first container."""
        return self.container_env(self.object["spec"]["containers"][0]["name"])

    def container_env(self, container: str) -> dict[str, str]:
        """The environment that a container was started with. Raises LookupError when it has not been."""
        uid = self.object["metadata"]["uid"]
        try:
            return dict(self.world.runtime.environments[uid, container])
        except KeyError:
            raise LookupError(f"container {container} of {self.target} has not been started") from None

    @property
    def resolv_conf(self) -> ResolvConf:
        return self.world.runtime.resolv_conf(self.object)

    @property
    def hosts(self) -> str:
        """The text of /etc/hosts."""
        return self.world.runtime.hosts_file(self.object)

    @property
    def hostname(self) -> str:
        return self.world.runtime.hostname(self.object).hostname

    # --- what runs in it

    @kept
    def serve(self, port: int, program: Program, *, protocol: str = "tcp") -> None:
        """Let a program listen on one more port. Raises `SendError` (EADDRINUSE)."""
        pod = self.object
        owner = (pod["metadata"]["uid"], pod["spec"]["containers"][0]["name"])
        self.world.runtime.listen(self.netns, protocol, port, program, owner=owner, name=self.name)

    @kept
    def stop_listening(self, port: int | None = None, *, protocol: str = "tcp") -> None:
        """Close the Pod's listening sockets (of one port), as a hung or misconfigured program does."""
        for sock in list(self.netns.sockets):
            if port in (None, sock.port) and sock.name.endswith(f"({protocol}:{sock.port})"):
                sock.close()

    @kept
    def set_ready(self, ready: bool) -> None:
        """Let the Pod's exec probes answer so from now on; probes of other kinds need `stop_listening` and `serve`.

        Raises ValueError for a Pod whose readiness no exec probe asks for: it would stay as it is.
        """
        pod = self.object
        if not can_flip(pod):
            words = 'readinessProbe: {"exec": {"command": ["ready"]}}'
            raise ValueError(f"{self.target} has no readiness probe that runs a command: give its container a {words}")
        for container in pod["spec"]["containers"]:
            self.world.runtime.exec_results[pod["metadata"]["uid"], container["name"]] = ready

    @kept
    def exit(self, code: int = 0, *, container: str = "") -> None:
        """Let a container's program end by itself."""
        pod = self.object
        name = container or pod["spec"]["containers"][0]["name"]
        node = pod["spec"]["nodeName"]
        # its sockets end with it, or the next start would find the port in use
        self.world.runtime.stop_container(node, pod, name)
        self.world.clock.schedule(f"kubelet@{node}", ("exited", pod["metadata"]["uid"], name, code))


def can_flip(pod: JsonObject) -> bool:
    """Whether a Pod's readiness is what its exec probes say (`set_ready`)."""
    return any("exec" in (container.get("readinessProbe") or {}) for container in pod["spec"]["containers"])
