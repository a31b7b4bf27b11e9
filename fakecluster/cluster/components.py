"""The parts of one cluster, wired together; copied as a whole by `fork`."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import Client
from fakecluster.api.server import ApiServer
from fakecluster.cluster import dns, dns_objects, node_local_dns, policies, proxies, system
from fakecluster.cluster.announcer import Announcer
from fakecluster.cluster.launching import Launcher
from fakecluster.cluster.spec import ClusterSpec, NodeSpec
from fakecluster.cluster.twin import Twin
from fakecluster.cni import AddressPlan, NodeAddresses, Runtime
from fakecluster.cni.hostports import CHAIN as HOST_PORTS
from fakecluster.cni.nodes import add_outside, namespace_of_node
from fakecluster.controllers.kubelet import Kubelet
from fakecluster.controllers.manager import Manager
from fakecluster.controllers.scheduler import Scheduler
from fakecluster.controllers.timestamps import timestamp
from fakecluster.fabric.namespaces import SleepingNamespaces
from fakecluster.fabric.network import Network
from fakecluster.proxy.config import KubeProxyConfiguration
from fakecluster.proxy.view import ZONE_LABEL
from fakecluster.sim import Choices, Clock, Seeded

if TYPE_CHECKING:
    from fakecluster.apps.load import Load, LoadRun
    from fakecluster.cluster.faults.plan import Fault
    from fakecluster.cluster.proxies import ProxyComponent
    from fakecluster.handles.places import Place as TargetPlace

#: Templates of clusters that are kept ready; a test suite uses a handful.
TEMPLATES_KEPT = 16
#: Unlike any seed that a test would give: a cluster must not draw the UIDs again that its template's objects have.
TEMPLATE_SEED = 0x5EED_0F_7E3A_0000


@attrs.define
class Components:
    """One cluster's simulation: clock, chance, API server, controllers, nodes and their kube-proxies, the network."""

    spec: ClusterSpec
    clock: Clock
    choices: Choices
    network: Network
    runtime: Runtime
    server: ApiServer
    manager: Manager
    scheduler: Scheduler
    announcer: Announcer
    #: of nodes that have settings of their own, as JSON
    proxy_configs: dict[str, str] = attrs.field(factory=dict)
    dns: dns.ClusterDns | None = None
    kubelets: dict[str, Kubelet] = attrs.field(factory=dict)
    proxies: dict[str, proxies.ProxyComponent] = attrs.field(factory=dict)
    policies: dict[str, policies.PolicyAgent] = attrs.field(factory=dict)
    loads: list[LoadRun] = attrs.field(factory=list)
    #: what is broken by now: components that were killed, faults of plans, and what was said about them
    down: list[str] = attrs.field(factory=list)
    active_faults: list[Fault] = attrs.field(factory=list)
    fault_log: list[str] = attrs.field(factory=list)

    @classmethod
    def build(cls, spec: ClusterSpec, choices: Choices) -> Components:
        """A new, settled cluster."""
        clock = Clock()
        network = Network(clock, choices)
        if spec.sleeps:
            network.namespaces = SleepingNamespaces()
        plan = AddressPlan.for_nodes(spec.families, len(spec.nodes))
        server = ApiServer(clock, choices, service_cidrs=plan.service_cidrs)
        runtime = Runtime(network, plan)
        add_outside(network, plan)
        cluster = cls(
            spec=spec,
            clock=clock,
            choices=choices,
            network=network,
            runtime=runtime,
            server=server,
            manager=Manager(server, clock, choices),
            scheduler=Scheduler(server, clock),
            announcer=Announcer(server, clock, runtime),
        )
        cluster._let_wake()
        if spec.dns:
            cluster.add_dns()
        for node in spec.nodes:
            cluster.add_node(node)
        cluster.launch()
        clock.settle()
        return cluster

    def launch(self) -> None:
        """Let containers run the commands that they name."""
        Launcher(Twin(self.client, self.runtime, self.clock, self.choices, self.network, self.spec.proxy))

    def hold(self, target: str) -> None:
        """Keep a component from running; a kubelet's heartbeats stop with it."""
        if (kubelet := self._kubelet(target)) is not None:
            kubelet.stop()
        else:
            self.clock.hold(target)

    def release(self, target: str) -> None:
        """Let a component run again; what was killed stays down."""
        if (kubelet := self._kubelet(target)) is None:
            self.clock.release(target)
        elif target not in self.down:
            kubelet.start()

    def _kubelet(self, target: str) -> Kubelet | None:
        kind, _, node = target.partition("@")
        return self.kubelets.get(node) if kind == "kubelet" else None

    @property
    def client(self) -> Client:
        return Client(self.server)

    def add_dns(self) -> None:
        """Cluster DNS, before the first Pod, so that kubelets can name its address."""
        self.dns = dns.ClusterDns(self.server, self.clock, self.choices, self.runtime)
        for resource, obj in dns_objects.dns_objects(self.runtime.plan):
            self.client.create(resource, obj)
        if self.spec.node_local_dns:
            self.runtime.cluster_dns = (node_local_dns.ADDRESS,)
            for resource, obj in node_local_dns.objects():
                self.client.create(resource, obj)

    def add_node(self, node: NodeSpec, own: NodeAddresses | None = None) -> None:
        """One more node, registered and Ready, with its kubelet and kube-proxy; `own` are addresses that it keeps."""
        own = self.runtime.add_node(node.name, own, asleep=self.spec.sleeps)
        if node.proxy_config:
            self.proxy_configs[node.name] = node.proxy_config
        kubelet = Client(self.server, user=f"system:node:{node.name}", agent="kubelet")
        created = kubelet.create("nodes", system.node_object(node, own))
        status = system.node_status(node, own, self.clock, timestamp(self.clock))
        kubelet.update_status("nodes", {**created, "status": status})
        self.kubelets[node.name] = Kubelet(node.name, self.server, self.clock, self.runtime)
        if not self.spec.sleeps:
            self.start_proxy(node.name)
            self.start_policy(node.name)

    # --- nodes that sleep

    def _let_wake(self) -> None:
        if isinstance(self.network.namespaces, SleepingNamespaces):
            self.network.namespaces.wake = self.wake

    def wake(self, node: str) -> None:
        """Make a node that sleeps as it would be by now: its kube-proxy and policy agent have done their work."""
        if node not in self.runtime.asleep:
            return
        self.runtime.wake(node)
        model = self._model_for(node)
        self.start_proxy(node)
        self.proxies[node].catch_up(model)
        self.start_policy(node)
        self.policies[node].handle("watch")

    def _model_for(self, node: str) -> ProxyComponent | None:
        """The kube-proxy of another node whose rules this one would write again, letter by letter."""
        zone = self._zone(node)
        for name, component in self.proxies.items():
            is_plain = name not in self.proxy_configs and not self.policies[name].programs
            if is_plain and self._zone(name) == zone and component.can_be_copied and not self._maps_host_ports(name):
                return component if node not in self.proxy_configs else None
        return None

    def _zone(self, node: str) -> str:
        labels = (self.server.store.get("nodes", "", node) or {})["metadata"].get("labels") or {}
        return str(labels.get(ZONE_LABEL, ""))

    def _maps_host_ports(self, node: str) -> bool:
        tables = self.network.namespaces[namespace_of_node(node)].xtables
        return any(HOST_PORTS in tables.of(family).tables["nat"].chains for family in (4, 6))

    def wake_for(self, target: str) -> None:
        """Wake the node that a component (`kube-proxy@a`) runs on, if it sleeps."""
        self.wake(target.partition("@")[2])

    def check_target(self, target: str) -> None:
        """Refuse what is no component and is not held either. Raises ValueError with those that there are."""
        if target not in self.clock.targets and target not in self.clock.held:
            raise ValueError(f"no component {target!r}; there are {', '.join(sorted(self.clock.targets))}")

    def run_load(self, load: Load, places: list[tuple[str, TargetPlace]]) -> LoadRun:
        """Begin a load of clients (namespace, what the target means there). Raises ValueError for other than TCP."""
        if wrong := [place for _, place in places if place.protocol != "tcp"]:
            raise ValueError(f"{wrong[0]}: a load is HTTP over TCP")
        from fakecluster.apps.load import LoadRun, Place

        found = [Place(namespace, place.family, place.address, place.port) for namespace, place in places]
        number = len(self.loads) + 1
        self.loads.append(LoadRun(number, load, found, self.network.namespaces, self.clock, self.choices))
        return self.loads[-1]

    def start_proxy(self, node: str) -> None:
        netns = self.network.namespaces[namespace_of_node(node)]
        self.proxies[node] = proxies.ProxyComponent(
            node, self.server, self.clock, netns, self._proxy_config(node), kubernetes=self.spec.kubernetes
        )

    def start_policy(self, node: str, *, stale: bool = False) -> None:
        """Start a node's agent for network policies; `stale`: an earlier one may have left its rules."""
        netns = self.network.namespaces[namespace_of_node(node)]
        self.policies[node] = policies.PolicyAgent(
            node, self.server, self.clock, netns, self.spec.cni, self.spec.families, stale=stale
        )

    def _proxy_config(self, node: str) -> KubeProxyConfiguration:
        """What a node's kube-proxy is told: the cluster's settings and the node's own over them."""
        overrides: dict[str, Any] = {}
        for text in (self.spec.proxy_config, self.proxy_configs.get(node, "")):
            overrides |= json.loads(text) if text else {}
        return proxies.configuration(self.spec.proxy, self.runtime.plan.pod_cidrs, overrides)

    def set_proxy(self, mode: str) -> None:
        """Restart every kube-proxy in another mode, which removes what the old one wrote."""
        self.spec = attrs.evolve(self.spec, proxy=mode)
        for node in list(self.proxies):
            self.proxies.pop(node).stop()
            self.start_proxy(node)
        self.clock.settle()

    def fork(self, choices: Choices) -> Components:
        """An independent copy at the same virtual time, drawing its chance from `choices`."""
        clock = self.clock.fork()
        network = self.network.fork(clock, choices)
        server = self.server.fork(clock, choices)
        runtime = self.runtime.fork(network)
        copied_dns = self.dns.fork(server, clock, choices, runtime) if self.dns else None
        copy = Components(
            spec=self.spec,
            clock=clock,
            choices=choices,
            network=network,
            runtime=runtime,
            server=server,
            manager=self.manager.fork(server, clock, choices),
            scheduler=self.scheduler.fork(server, clock),
            announcer=self.announcer.fork(server, clock, runtime),
            proxy_configs=self.proxy_configs.copy(),
            dns=copied_dns,
            kubelets={name: kubelet.fork(server, clock, runtime) for name, kubelet in self.kubelets.items()},
            proxies={
                name: proxy.fork(server, clock, network.namespaces[namespace_of_node(name)])
                for name, proxy in self.proxies.items()
            },
            policies={
                name: agent.fork(server, clock, network.namespaces[namespace_of_node(name)])
                for name, agent in self.policies.items()
            },
            loads=[load.fork(network.namespaces, clock, choices) for load in self.loads],
            down=self.down.copy(),
            active_faults=self.active_faults.copy(),
            fault_log=self.fault_log.copy(),
        )
        copy._let_wake()
        copy.launch()
        return copy


@lru_cache(maxsize=TEMPLATES_KEPT)
def template(spec: ClusterSpec) -> Components:
    """A settled cluster of this kind, to be forked and never to be changed."""
    return Components.build(spec, Seeded(TEMPLATE_SEED))
