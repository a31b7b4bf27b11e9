"""`Cluster`: manifests in, packets through, answers out."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import Client
from fakecluster.api.manifests import read
from fakecluster.cluster import due_faults
from fakecluster.cluster.applying import Applied, apply
from fakecluster.cluster.components import Components, template
from fakecluster.cluster.dns import ClusterDns
from fakecluster.cluster.events import said
from fakecluster.cluster.hosts import host_of
from fakecluster.cluster.loading import load
from fakecluster.cluster.scripts import script
from fakecluster.cluster.served import ServedApi
from fakecluster.cluster.spec import ClusterSpec, NodeSpec
from fakecluster.cluster.told import Onlooker, ToldClient
from fakecluster.cluster.twin import RELAYING, TAKING_TURNS, Twin
from fakecluster.cni import Runtime
from fakecluster.errors import ManifestError
from fakecluster.fabric.network import Network
from fakecluster.handles import Host, Node, Outcomes, Outside, PacketTrace, Pod, Service
from fakecluster.handles.history import History, Manifests, kept
from fakecluster.sim import Choices, Clock, source_of
from fakecluster.trace import Event, Hop

if TYPE_CHECKING:
    from fakecluster.apps.load import Load, LoadRun
    from fakecluster.cluster.capturing import Recording
    from fakecluster.cluster.faults import Faults
    from fakecluster.cluster.reachability import Reachability

JsonObject = dict[str, Any]


class Cluster:
    """A Kubernetes cluster's network in this process.

    `nodes` is a number, or a list of names or of `{"name", "labels", "taints", "zone"}`; `proxy` is kube-proxy's mode
    (iptables, ipvs, nftables, userspace) and `kubernetes` its version; `ip_family` ipv4, ipv6, dual or dual-ipv6;
    `cni` what enforces network policies (iptables, nftables); `sleeping_nodes` whether nodes are made only when they are
    needed (None: in clusters of more than 64); `proxy_config` fields of a KubeProxyConfiguration; `dns` and
    `node_local_dns` whether there is cluster DNS, and a cache of it on every node; `seed` (or a driver, `choices`) decides
    what chance would. Raises ValueError for arguments that make no cluster, `Unsupported` for what is not modelled.
    """

    def __init__(
        self,
        *,
        nodes: int | Iterable[str | Mapping[str, Any] | NodeSpec] = 1,
        proxy: str = "iptables",
        ip_family: str = "ipv4",
        proxy_config: Mapping[str, Any] | None = None,
        dns: bool = True,
        node_local_dns: bool = False,
        kubernetes: str = "1.36",
        cni: str = "iptables",
        sleeping_nodes: bool | None = None,
        seed: int = 0,
        choices: Choices | None = None,
    ) -> None:
        spec = ClusterSpec.of(
            nodes,
            proxy=proxy,
            ip_family=ip_family,
            proxy_config=json.dumps(proxy_config, sort_keys=True) if proxy_config else "",
            dns=dns,
            node_local_dns=node_local_dns,
            kubernetes=kubernetes,
            cni=cni,
            sleeping_nodes=sleeping_nodes,
        )
        #: what it was made of; `spec` says what it is made of now
        self.origin = spec
        self.parts: Components = template(spec).fork(source_of(seed, choices))
        due_faults.bind(self)
        self.traces: list[PacketTrace] = []
        #: what was applied, in order, as it was given
        self.applied: list[JsonObject] = []
        #: what was done since, as lines of a script
        self.history = History()
        #: held while the simulation is touched: a lock while the cluster is served over HTTP
        self.guard: AbstractContextManager[Any] = nullcontext()

    #: how a script calls it
    expression = "cluster"

    # --- the parts

    @property
    def spec(self) -> ClusterSpec:
        return self.parts.spec

    @property
    def clock(self) -> Clock:
        return self.parts.clock

    @property
    def choices(self) -> Choices:
        return self.parts.choices

    @property
    def network(self) -> Network:
        return self.parts.network

    @property
    def runtime(self) -> Runtime:
        return self.parts.runtime

    @property
    def api(self) -> Client:
        """The API: `api.get("services", "web", "default")`, create, update, patch, delete, list."""
        return ToldClient(self.parts.server, self.guard, self.history)

    @property
    def seen(self) -> Client:
        """The objects as they are, also while the API server fails (`faults.fail_api`): for looking on."""
        return Onlooker(self.parts.server, self.guard)

    def serve(self, *, port: int = 0, tls: bool = True, clock: str = "virtual") -> ServedApi:
        """Serve the API on loopback, for kubectl and any client: `with cluster.serve() as api:` (api.url, api.token).

        `clock` says how time passes meanwhile: virtual (only by `advance`), real, accelerated. Needs the extra `http`.
        """
        # by name: what serves stands above the cluster, and its dependencies are optional
        http = importlib.import_module("fakecluster.http.served_cluster")
        served: ServedApi = http.ServedCluster(self, port=port, tls=tls, clock=clock)
        return served

    @property
    def dns(self) -> ClusterDns:
        """Cluster DNS: the Corefiles that it was given, and its `log`. Raises LookupError with `dns=False`."""
        if self.parts.dns is None:
            raise LookupError("this cluster was made without DNS")
        return self.parts.dns

    @property
    def clients(self) -> Any:
        """Python clients connected without a socket: `kubernetes()`, `httpx()`, `lightkube()`..."""
        return importlib.import_module("fakecluster.http.clients").Clients(self)

    @property
    def relays(self) -> bool:
        return self.spec.proxy == RELAYING

    @property
    def takes_turns(self) -> bool:
        return self.spec.proxy in TAKING_TURNS

    # --- manifests

    def apply(
        self, source: str | Path | Mapping[str, Any] | list[Any], *, namespace: str = "default", settle: bool = True
    ) -> list[Applied]:
        """Apply manifests (a path, YAML text, an object, a list) as `kubectl apply --server-side` and settle.

        Raises `ManifestError` for the first object that is refused; what was applied before it stays (its `applied`).
        """
        done: list[Applied] = []
        manifests = read(source)
        words = (f", namespace={namespace!r}" if namespace != "default" else "") + ("" if settle else ", settle=False")
        with self.history.call(Manifests("cluster.apply", tuple(one.object for one in manifests), words)):
            try:
                with self.guard:
                    for one in apply(self.parts.client, manifests, namespace=namespace):
                        done.append(one)
                        self.applied.append(one.manifest)
            except ManifestError as refused:
                refused.applied = tuple(str(one) for one in done)
                raise
            finally:
                if settle:
                    self.settle()
        return done

    def load(self, source: str | Path | Mapping[str, Any] | list[Any], *, namespace: str = "default") -> list[Applied]:
        """Take in a real cluster's state (`kubectl get ... -o yaml`): status kept, controllers carry on from there.

        Nodes that do not exist are added. Raises `ManifestError` for the first object that is refused.
        """
        manifests = read(source)
        words = f", namespace={namespace!r}" if namespace != "default" else ""
        with self.history.call(Manifests("cluster.load", tuple(one.object for one in manifests), words)):
            with self.guard:
                done = load(self.parts, manifests, namespace=namespace)
            self.settle()
        return done

    def script(self) -> str:
        """A script that does everything again that was done to this cluster; it can be pasted and run.

        The last line is the last call of the test; what it expected of the answer is not in it.
        """
        return script(self)

    def manifest(self) -> str:
        """Everything that was applied to this cluster, as one YAML text."""
        import yaml

        return yaml.safe_dump_all(self.applied, sort_keys=False)

    @kept
    def delete(self, resource: str, name: str, namespace: str = "default", *, settle: bool = True) -> None:
        """Delete an object (`delete("pods", "web-1")`) and settle. Raises `ApiError`."""
        namespaced = self.parts.server.registry.by_key(resource).namespaced
        with self.guard:
            self.parts.client.delete(resource, name, namespace if namespaced else "")
        if settle:
            self.settle()

    # --- time

    @kept
    def settle(self) -> None:
        """Run everything that is due now to a fixed point; no time passes. Raises `SettleError` for a loop."""
        with self.guard:
            self.clock.settle()

    @kept
    def step(self) -> str | None:
        """Run one event that is due now; returns its target (`kubelet@a`, `network`...), None when nothing is due."""
        with self.guard:
            event = self.clock.step()
        return event.target if event else None

    @kept
    def advance(self, seconds: float) -> None:
        """Let virtual time pass; timers run in order. Raises TypeError and ValueError for what is no time to come."""
        with self.guard:
            self.clock.advance(seconds)

    @kept
    def hold(self, target: str) -> None:
        """Keep a component (`kube-proxy@a`, `endpointslice-controller`...) from running until `release`."""
        self.parts.wake_for(target)
        self.parts.check_target(target)
        self.parts.hold(target)

    @kept
    def release(self, target: str) -> None:
        """Let a held component run again; what waited for it runs at the next `settle`."""
        self.parts.check_target(target)
        self.parts.release(target)

    @contextmanager
    def held(self, *targets: str) -> Iterator[None]:
        """Hold components inside the block, then release them and settle: `with cluster.held("kube-proxy@b"):`."""
        done: list[str] = []
        try:
            for target in targets:
                self.hold(target)
                done.append(target)
            yield
        finally:
            for target in done:
                self.release(target)
        self.settle()

    @property
    def faults(self) -> Faults:
        """Break it: links, partitions, nodes, tables: `cluster.faults.partition("a", "b")`."""
        from fakecluster.cluster.faults import Faults

        return Faults(self)

    # --- load

    def run_load(self, load: Load, target: str, *, clients: str | Iterable[str | Host] = "client") -> LoadRun:
        """Let clients (Pods by name, or hosts) send HTTP requests to a target (`web:80`) from now on, as time passes.

        Names are looked up once, now. The result is in the run's `result`: `run.result.table()`. Raises `TargetError`,
        `ResolveFailed`; ValueError when there is no client or the target is not TCP.
        """
        names = [clients] if isinstance(clients, str) else clients
        hosts = [self.pod(one) if isinstance(one, str) else one for one in names]
        return self.parts.run_load(load, [(host.namespace, host.locate(target)) for host in hosts])

    @property
    def loads(self) -> list[LoadRun]:
        """Every load that was begun, in order; a fork has its own."""
        return self.parts.loads

    # --- what is in it

    def pod(self, name: str, namespace: str = "default") -> Pod:
        return Pod(self, name, namespace)

    def service(self, name: str, namespace: str = "default") -> Service:
        return Service(self, name, namespace)

    def node(self, name: str) -> Node:
        """A node by name. Raises LookupError with the names that there are."""
        if name not in self.runtime.nodes:
            raise LookupError(f"no node {name!r}; there are {', '.join(self.runtime.nodes)}")
        return Node(self, name)

    @property
    def nodes(self) -> list[Node]:
        return [Node(self, name) for name in self.runtime.nodes]

    @property
    def pods(self) -> list[Pod]:
        """Every Pod of every namespace but those of the cluster itself (kube-system)."""
        found = (pod["metadata"] for pod in self.seen.list("pods"))
        return [Pod(self, meta["name"], meta["namespace"]) for meta in found if meta["namespace"] != "kube-system"]

    @property
    def services(self) -> list[Service]:
        """Every Service but those of the cluster itself."""
        found = (service["metadata"] for service in self.seen.list("services"))
        return [
            Service(self, meta["name"], meta["namespace"])
            for meta in found
            if meta["namespace"] != "kube-system" and (meta["namespace"], meta["name"]) != ("default", "kubernetes")
        ]

    @property
    def outside(self) -> Outside:
        """A host beyond the node network."""
        return Outside(self)

    def said(self, hops: Sequence[Hop]) -> tuple[Event, ...]:
        """What kube-proxies on a packet's way logged that matters to it (it stands in the packet's trace too)."""
        return said(self.parts.proxies, self.parts.client, hops)

    def host_of(self, namespace: str) -> Host:
        return host_of(self, namespace)

    @kept
    def add_node(self, node: str | Mapping[str, Any] | NodeSpec) -> Node:
        """One more node, Ready. Raises ValueError for a name that is taken."""
        spec = NodeSpec.of(node)
        if spec.name in self.runtime.nodes:
            raise ValueError(f"node {spec.name} exists")
        with self.guard:
            self.parts.add_node(spec)
        self.parts.spec = attrs.evolve(self.spec, nodes=(*self.spec.nodes, spec))
        self.settle()
        return Node(self, spec.name)

    # --- captures

    def capture(self, *places: str, path: str | Path | None = None) -> Recording:
        """Record what passes: `with cluster.capture("a:eth0", "pod/web-1", "b:FORWARD") as pcap:`, then `pcap.packets`.

        A place is an interface, a hook, or a link (`node-network`). With `path`, written as pcapng at the end.
        Raises LookupError for what does not exist.
        """
        from fakecluster.cluster.capturing import Recording

        return Recording(self, places, path=path)

    def replay(self, source: Any, *, at: str, **options: Any) -> Any:
        """Replay a capture at an interface (`at="a:eth0"`); see `fakecluster.replay.replay` for options and result."""
        return importlib.import_module("fakecluster.replay").replay(self, source, at=at, **options)  # by name: it stands above

    def explain(self, packet: str, *, at: str = "") -> Any:
        """Explain a packet in words, from host to host: its walk, the rules that nearly matched, what would change its end.

        `tcp 10.244.0.5:40000 > 10.96.0.10:53 in eth0` begins at the host `at` (`a`, `pod/web-1`), which sends it itself
        without `in`; `tcp pod/client > web:80` begins in that Pod, and asks its DNS. `str()` says it all.
        """
        return importlib.import_module("fakecluster.explaining").explain_in(self, packet, at=at)  # by name: it stands above

    def reachability(self, protocol: str = "TCP", port: int = 80) -> Reachability:
        """Who may talk to whom by the network policies: a matrix of Pods and the outside."""
        from fakecluster.cluster.reachability import reachability

        return reachability(self, protocol, port)

    # --- copies and outcomes

    def fork(self, *, proxy: str = "", choices: Choices | None = None) -> Cluster:
        """An independent copy; with `proxy`, its kube-proxies are restarted in that mode."""
        copy = Cluster.__new__(Cluster)
        with self.guard:
            copy.parts = self.parts.fork(choices if choices is not None else self.choices.fork())
        copy.traces, copy.applied, copy.guard = [], self.applied.copy(), nullcontext()
        copy.origin, copy.history = self.origin, self.history.fork()
        due_faults.bind(copy)
        if proxy and proxy != self.spec.proxy:
            copy.history.add(f"cluster = cluster.fork(proxy={proxy!r})")
            copy.parts.set_proxy(proxy)
        return copy

    def twin(self, choices: Choices) -> Twin | Cluster:
        """A copy to try packets out in: of everything in userspace mode, else of the network alone."""
        with self.guard:
            return self.fork(choices=choices) if self.relays else Twin.of(self.parts, choices)

    def outcomes(self, what: Any, *, source: str = "outside", explain: bool = False) -> Outcomes:
        """Exact outcomes of a packet or connection from a host named as in traces (`pod/client`, `node/a`)."""
        return self.host_of(source).outcomes(what, explain=explain)

    def __repr__(self) -> str:
        nodes = [node.name for node in self.spec.nodes]
        return f"Cluster(nodes={nodes!r}, proxy={self.spec.proxy!r}, ip_family={self.spec.ip_family!r})"
