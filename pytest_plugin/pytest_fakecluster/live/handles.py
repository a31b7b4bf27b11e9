"""What tests hold of a real cluster: Pods that can be asked to connect, Services that tell their addresses."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import pytest

from fakecluster.apps.echo import Answer, parse_answer
from fakecluster.handles import Pod, Service
from fakecluster.handles.talk import Reach
from fakecluster.handles.targets import Target, TargetError, parse_target
from pytest_fakecluster.live.kubectl import LiveError

if TYPE_CHECKING:
    from pytest_fakecluster.live.cluster import LiveCluster

#: How long a connection may take to open, and how long silence lasts until an answer counts as whole.
PATIENCE_S = 5


class LiveConnectFailed(ConnectionError):
    """A connection did not open, or nothing came back; the words are those of the Pod's own tool."""


def not_portable(what: str) -> NoReturn:
    """Skip the test, saying what a real cluster does not give."""
    pytest.skip(f"not portable to a real cluster: {what}")


class LivePod:
    """A Pod by name: its object, and connections from it (`kubectl exec`, by the nc that its image must have)."""

    def __init__(self, cluster: LiveCluster, name: str, namespace: str = "default") -> None:
        self._cluster, self.name, self.kubernetes_namespace = cluster, name, namespace
        self._pod = Pod(cluster, name, namespace)  # type: ignore[arg-type]

    @property
    def target(self) -> str:
        return self._pod.target

    @property
    def object(self) -> dict[str, Any]:
        return self._pod.object

    @property
    def ip(self) -> str:
        return self._pod.ip

    @property
    def ready(self) -> bool:
        return self._pod.ready

    @property
    def env(self) -> dict[str, str]:
        """The environment of the first container, as `env` prints it there."""
        text = self.run("env").decode()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def run(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run a command in the Pod. Raises LiveError when it fails."""
        kubectl = self._cluster.kubectl
        return kubectl.ask("exec", "-i", self.name, "--", *words, stdin=stdin, timeout_s=60)

    def connect(self, target: Any, port: int | str | None = None, *, protocol: str = "") -> LiveConnection:
        """Open a connection. Raises LiveConnectFailed, TargetError."""
        place = self._place(target, port, protocol)
        if place[2] == "tcp":
            self._netcat(place, "-z")
        return LiveConnection(self, place)

    def can_reach(self, target: Any, port: int | str | None = None) -> Reach:
        """Whether a connection opens (TCP), or an answer comes back (UDP)."""
        words = str(target)
        try:
            connection = self.connect(target, port)
            if connection.place[2] == "udp":
                connection.request(b"reach")
        except LiveConnectFailed as failed:
            return Reach(False, words, str(failed))
        return Reach(True, words, "reached")

    def _netcat(self, place: tuple[str, int, str], *options: str, stdin: bytes = b"") -> bytes:
        host, port, protocol = place
        words = ["nc", *options, "-w", str(PATIENCE_S), *(["-u"] if protocol == "udp" else []), host, str(port)]
        try:
            return self.run(*words, stdin=stdin)
        except LiveError as failed:
            raise LiveConnectFailed(f"{protocol}://{host}:{port}: {failed}") from None

    def _place(self, target: Any, port: int | str | None, protocol: str) -> tuple[str, int, str]:
        """(host, port, protocol) of whatever names a target."""
        found = parse_target(target if isinstance(target, str) else target.target, port=port)
        protocol = protocol or found.protocol
        host, number = self._resolved(found) if found.kind else (found.host, found.port)
        if not isinstance(number, int) or not number:
            raise TargetError(f"{found}: a port is needed")
        return host, number, protocol

    def _resolved(self, target: Target) -> tuple[str, int | str]:
        if target.kind == "nodes":
            not_portable("connections to nodes by name")
        if target.kind == "pods":
            return self._cluster.pod(target.host, target.namespace or "default").ip, target.port
        service = self._cluster.service(target.host, target.namespace or "default")
        ports = service.object["spec"].get("ports") or []
        number = next((one["port"] for one in ports if target.port in ("", 0, one.get("name"))), target.port)
        return service.cluster_ip, number

    def __getattr__(self, name: str) -> Any:
        return missing(Pod, "Pod", name)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, LivePod) and other.target == self.target

    def __hash__(self) -> int:
        return hash(self.target)

    def __repr__(self) -> str:
        return f"<LivePod {self.kubernetes_namespace}/{self.name}>"


@attrs.frozen
class LiveConnection:
    """A place that a Pod could connect to; each request is a connection of its own."""

    pod: LivePod
    place: tuple[str, int, str]

    def request(self, data: bytes = b"", *, timeout_s: float = 0.0) -> Answer:
        """Send bytes and read what comes back. Raises LiveConnectFailed when nothing does."""
        received = self.pod._netcat(self.place, stdin=data)
        if not received:
            raise LiveConnectFailed(f"{self.place[2]}://{self.place[0]}:{self.place[1]}: no answer")
        return parse_answer(received)

    def close(self) -> None:
        """Nothing is open between requests."""


class LiveService:
    """A Service by name."""

    #: what is read of the object alone
    PORTABLE = ("object", "target", "cluster_ip", "cluster_ips", "load_balancer_ips", "node_port", "slices")

    def __init__(self, cluster: LiveCluster, name: str, namespace: str = "default") -> None:
        self._cluster, self.name, self.kubernetes_namespace = cluster, name, namespace
        self._service = Service(cluster, name, namespace)  # type: ignore[arg-type]

    @property
    def pods(self) -> list[LivePod]:
        return [LivePod(self._cluster, pod.name, pod.kubernetes_namespace) for pod in self._service.pods]

    @property
    def ready_pods(self) -> list[LivePod]:
        return [LivePod(self._cluster, pod.name, pod.kubernetes_namespace) for pod in self._service.ready_pods]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name) if name in self.PORTABLE else missing(Service, "Service", name)

    def __repr__(self) -> str:
        return f"<LiveService {self.kubernetes_namespace}/{self.name}>"


def missing(kind: type, word: str, name: str) -> NoReturn:
    """What is asked for beyond the portable part: a skip; what does not exist anywhere is an AttributeError."""
    if not hasattr(kind, name):
        raise AttributeError(f"{word} has no attribute {name!r}")
    not_portable(f"{word}.{name}")


def family(address: str) -> str:
    """ipv4 or ipv6."""
    return f"ipv{ip_address(address).version}"
