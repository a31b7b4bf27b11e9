"""A stateful test of a whole cluster: subclass `ClusterMachine`, add rules of your own, run its `TestCase`.

class TestMine(ClusterMachine):
    proxy = "nftables"

TestCluster = TestMine.TestCase
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakecluster.checks.endpoints import expected, service_ports, words
from fakecluster.checks.objects import allocations_are_unique, slices_list_the_selected_pods
from fakecluster.checks.services import FAILURES, outcomes_of
from fakecluster.cluster import Cluster
from fakecluster.cluster.faults import FaultPlan
from fakecluster.cluster.faults.plan import KINDS as FAULT_KINDS
from fakecluster.cni.addressing import FAMILIES
from fakecluster.handles import ConnectFailed, Connection, Pod, Service
from fakecluster.handles.pod import can_flip
from fakecluster.proxy.config import MODES
from fakecluster.sim import Choices
from fakecluster.strategies.chance import choices as chance
from fakecluster.strategies.changes import DEPLOYMENTS, HELD, changes
from fakecluster.strategies.faults import CONTROL_PLANE, faults
from fakecluster.strategies.objects import service_ports as some_ports
from fakecluster.strategies.telling import tell_at_the_end

JsonObject = dict[str, Any]
Handle = TypeVar("Handle", Pod, Service)
APPS = ("blue", "green")
MAX_PODS, MAX_SERVICES, MAX_REPLICAS = 5, 3, 2
#: Long enough for probes (every second here), kube-proxy and controllers to come to rest.
REST_S = 5.0
#: Retries after a fault come later and later.
REST_AFTER_FAULTS_S = 120.0
_CONTAINER = {
    "name": "main",
    "image": "example.com/server:1",
    "ports": [{"containerPort": 80, "name": "http"}],
    "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1, "failureThreshold": 1},
}
_TARGETS: list[JsonObject] = [{"containerPort": 80, "name": "http", "protocol": "TCP"}]


@attrs.frozen
class Flow:
    """A connection that was answered: by which Pod, through which Service."""

    connection: Connection
    server: str
    pod_uid: str
    service_uid: str


class ClusterMachine(RuleBasedStateMachine):
    """Creates, deletes and flips Pods and Services, scales and rolls out, crashes nodes, changes policies, lets components
    fail or holds them, lets time pass, opens connections; see the invariants below.

    Subclass it, set `nodes`, `proxy`, `ip_family`, `fault_kinds`, `policies`, let `prepare` apply manifests of your own, add
    rules and invariants (they find the cluster in `self.cluster`), and run `YourMachine.TestCase`. Chance is Hypothesis'
    too; a run that fails prints the cluster's script. Raises InvalidArgument for settings that make no machine.
    """

    nodes: ClassVar[int] = 2
    proxy: ClassVar[str] = "iptables"
    ip_family: ClassVar[str] = "ipv4"
    #: kinds of faults that strike meanwhile; those that break connections themselves are not for `established_flows...`
    fault_kinds: ClassVar[tuple[str, ...]] = CONTROL_PLANE
    #: whether network policies come and go
    policies: ClassVar[bool] = True

    _cluster: Cluster | None = None

    def __init__(self) -> None:
        super().__init__()
        self.flows: list[Flow] = []
        self.watched: dict[tuple[str, str, str], JsonObject] = {}
        self._count = 0
        self._struck = False
        self._crashed = ""

    @property
    def cluster(self) -> Cluster:
        """The cluster that this run is about. Raises InvalidArgument before it is made."""
        if self._cluster is None:
            words = "there is no cluster yet; what is to be there first belongs into `def prepare(self)`"
            raise InvalidArgument(f"{type(self).__name__}: {words}")
        return self._cluster

    def prepare(self) -> None:
        """Override it to apply manifests of your own before the first rule runs."""

    def _take(self) -> None:
        for event in self._inbox.take():
            meta = event.object["metadata"]
            key = (event.resource, meta.get("namespace", ""), meta["name"])
            if event.type == "DELETED":
                del self.watched[key]
            else:
                self.watched[key] = event.object

    def _apply(self, obj: JsonObject) -> None:
        self.cluster.apply(obj)

    @property
    def servers(self) -> list[Pod]:
        return [pod for pod in self.cluster.pods if pod.name != "client"]

    @property
    def probed(self) -> list[Pod]:
        """Those whose readiness an exec probe asks for."""
        return [pod for pod in self.servers if can_flip(pod.object)]

    @property
    def held(self) -> tuple[str, ...]:
        return self.cluster.clock.held

    # --- rules

    @initialize(choices=chance())
    def start(self, choices: Choices) -> None:
        """The cluster, and one client Pod on its first node, from which connections are opened."""
        _check_settings(type(self))
        self._cluster = Cluster(nodes=self.nodes, proxy=self.proxy, ip_family=self.ip_family, choices=choices)
        tell_at_the_end(self.cluster)
        self._inbox = self.cluster.parts.server.watch("cluster-machine", WATCHED)
        self.cluster.clock.bind("cluster-machine", lambda payload: self._take())
        spec = {"nodeName": "a", "containers": [{"name": "main", "image": "example.com/client:1"}]}
        self._apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec})
        self.prepare()

    @precondition(lambda self: len(self.servers) < MAX_PODS)
    @rule(app=st.sampled_from(APPS))
    def create_pod(self, app: str) -> None:
        self._count += 1
        metadata = {"name": f"{app}-{self._count}", "labels": {"app": app}}
        spec = {"containers": [_CONTAINER], "terminationGracePeriodSeconds": 2}
        self._apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    @precondition(lambda self: len(self.cluster.services) < MAX_SERVICES)
    @rule(
        app=st.sampled_from(APPS),
        ports=some_ports(target_ports=_TARGETS),
        kind=st.sampled_from(("ClusterIP", "NodePort")),
    )
    def create_service(self, app: str, ports: list[JsonObject], kind: str) -> None:
        self._count += 1
        spec = {"selector": {"app": app}, "ports": ports, "type": kind}
        self._apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{self._count}"}, "spec": spec})

    @precondition(lambda self: self.servers)
    @rule(data=st.data())
    def delete_pod(self, data: st.DataObject) -> None:
        pod = _one_of(data, self.servers)
        self.cluster.delete("pods", pod.name, pod.kubernetes_namespace)

    @precondition(lambda self: self.cluster.services)
    @rule(data=st.data())
    def delete_service(self, data: st.DataObject) -> None:
        service = _one_of(data, self.cluster.services)
        self.cluster.delete("services", service.name, service.kubernetes_namespace)

    @precondition(lambda self: self.probed)
    @rule(data=st.data(), ready=st.booleans())
    def flip_readiness(self, data: st.DataObject, ready: bool) -> None:
        _one_of(data, self.probed).set_ready(ready)

    @rule(seconds=st.sampled_from((1.0, 10.0, 60.0)))
    def let_time_pass(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @precondition(lambda self: len(self.cluster.seen.list(DEPLOYMENTS)) < len(APPS))
    @rule(app=st.sampled_from(APPS), replicas=st.integers(0, MAX_REPLICAS))
    def create_deployment(self, app: str, replicas: int) -> None:
        labels = {"app": app}
        spec = {"containers": [_CONTAINER], "terminationGracePeriodSeconds": 2}
        template = {"metadata": {"labels": labels}, "spec": spec}
        deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self._apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app}, "spec": deployment})

    @precondition(lambda self: self.cluster.seen.list(DEPLOYMENTS))
    @rule(data=st.data())
    def scale_or_roll_out(self, data: st.DataObject) -> None:
        self._change(data, ("scale", "rollout"))

    @precondition(lambda self: self.servers and self.cluster.services)
    @rule(data=st.data())
    def change_labels_or_a_service(self, data: st.DataObject) -> None:
        """A Pod leaves its Services or comes back; a Service's affinity or traffic policy turns."""
        self._change(data, ("label", "service"))

    @precondition(lambda self: self.policies)
    @rule(data=st.data())
    def change_policies(self, data: st.DataObject) -> None:
        """What a policy does to flows that are open is left to it: they are watched no longer."""
        self.flows.clear()
        self._change(data, ("policy",))

    def _change(self, data: st.DataObject, kinds: tuple[str, ...]) -> None:
        data.draw(changes(self.cluster, kinds=kinds), label="change")(self.cluster)
        self.cluster.settle()

    @precondition(lambda self: self.nodes > 1 and not self._crashed and not self.held)
    @rule(data=st.data())
    def crash_a_node(self, data: st.DataObject) -> None:
        """A node other than the client's dies, and with it the flows to its Pods."""
        names = [node.name for node in self.cluster.nodes][1:]
        self._crashed = data.draw(st.sampled_from(names), label="node")
        dead = {pod.object["metadata"]["uid"] for pod in self.servers if pod.node.name == self._crashed}
        self.flows = [flow for flow in self.flows if flow.pod_uid not in dead]
        self.cluster.faults.crash(self._crashed)

    @precondition(lambda self: self._crashed)
    @rule()
    def boot_the_node(self) -> None:
        node, self._crashed = self._crashed, ""
        self._struck = True
        self.cluster.faults.boot(node)

    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        """Keep a component from working: a kube-proxy, a kubelet, cluster DNS, a controller."""
        possible = [target for target in self.cluster.clock.targets if target.startswith(HELD)]
        self.cluster.hold(data.draw(st.sampled_from(sorted(possible)), label="component"))

    @precondition(lambda self: self.held and not self._crashed)
    @rule()
    def release(self) -> None:
        for target in self.held:
            self.cluster.release(target)
        self.cluster.settle()

    @precondition(lambda self: self.fault_kinds and not self.cluster.faults.active)
    @rule(data=st.data())
    def strike(self, data: st.DataObject) -> None:
        """Let one fault begin; it ends as time passes. The API server goes on serving the user."""
        users = [f"system:node:{node.name}" for node in self.cluster.nodes] + ["system:kube-scheduler"]
        targets = {kind: users for kind in self.fault_kinds if kind == "fail-api"}
        struck = faults(self.cluster, kinds=self.fault_kinds, targets=targets, within_s=0)
        fault = data.draw(struck, label="fault")
        if fault.target not in (*self.held, *self.cluster.parts.down):
            self.cluster.faults.run(FaultPlan((fault,)))
            self.cluster.settle()
            self._struck = True

    @precondition(lambda self: self.cluster.services)
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        """Open a connection that is to live as long as its server does."""
        service, port = data.draw(st.sampled_from(list(service_ports(self.cluster))), label="to")
        if port.get("protocol") != "TCP":
            return
        try:
            connection = self.cluster.pod("client").connect(service, port["port"])
            server = connection.request(b"first").server
        except ConnectFailed:
            return
        pods = {(pod.kubernetes_namespace, pod.name): pod.object["metadata"]["uid"] for pod in self.servers}
        uid = pods.get((service.kubernetes_namespace, server), "")
        self.flows.append(Flow(connection, server, uid, service.object["metadata"]["uid"]))

    # --- invariants

    @invariant()
    def established_flows_live_as_long_as_their_servers(self) -> None:
        """In ipvs mode also no longer than their Services: without one, its address is no longer the node's."""
        pods = {pod.object["metadata"]["uid"]: pod for pod in self.servers}
        services = {service.object["metadata"]["uid"] for service in self.cluster.services}
        self.flows = [
            flow
            for flow in self.flows
            if flow.pod_uid in pods
            and _runs(pods[flow.pod_uid])
            and (self.proxy != "ipvs" or flow.service_uid in services)
        ]
        for flow in self.flows:
            assert flow.connection.request(b"still there?").server == flow.server

    @invariant()
    def packets_go_to_endpoints_only(self) -> None:
        """Once everything has come to rest and nothing is held back."""
        if self.held or self.cluster.faults.active or self._crashed:
            return
        rested = self.cluster.fork()
        rested.advance(REST_AFTER_FAULTS_S if self._struck else REST_S)
        client = rested.pod("client")
        for service, port in service_ports(rested):
            seen = outcomes_of(client, port, (service.cluster_ip, port["port"])).destinations
            wanted = expected(service, port, family=4 if "." in service.cluster_ip else 6).names
            strangers = {end for end in seen if end not in FAILURES} - wanted
            assert not strangers, f"{words(service, port)}: {strangers} answers and is no endpoint"
        assert list(slices_list_the_selected_pods(rested)) == []

    @invariant()
    def no_packet_goes_in_circles(self) -> None:
        for trace in self.cluster.traces[-TRACES_LOOKED_AT:]:
            assert len(trace.trace.way) <= LONGEST_WAY, str(trace)

    @invariant()
    def addresses_and_ports_are_given_out_once(self) -> None:
        assert list(allocations_are_unique(self.cluster)) == []

    @invariant()
    def listing_equals_watching(self) -> None:
        self._take()
        for resource in WATCHED:
            listed = {
                (resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj
                for obj in self.cluster.seen.list(resource)
            }
            assert listed == {key: obj for key, obj in self.watched.items() if key[0] == resource}

    @invariant()
    def conntrack_is_bounded(self) -> None:
        for node in self.cluster.nodes:
            entries = node.run("conntrack -L").count("\n")
            assert entries <= CONNTRACK_BOUND, f"{entries} entries on {node.name}"


#: Hops of the longest way of one packet: a client, its node, another node, a server, and as many for an answer's error.
LONGEST_WAY, TRACES_LOOKED_AT = 8, 4
WATCHED = ("pods", "services", "endpointslices.discovery.k8s.io")
#: Entries that a run of this machine can explain: its flows and look-ups of the last minutes.
CONNTRACK_BOUND = 500


def _check_settings(machine: type[ClusterMachine]) -> None:
    name = machine.__name__
    if not isinstance(machine.nodes, int) or machine.nodes < 1:
        raise InvalidArgument(f"{name}.nodes = {machine.nodes!r}: the machine's client needs a node; say nodes = 1 or more")
    for setting, known in (("proxy", MODES), ("ip_family", tuple(FAMILIES))):
        if getattr(machine, setting) not in known:
            given = getattr(machine, setting)
            raise InvalidArgument(f"{name}.{setting} = {given!r}: expected one of {', '.join(known)}")
    if unknown := set(machine.fault_kinds) - set(FAULT_KINDS):
        words = f"{name}.fault_kinds: no fault is called {', '.join(sorted(unknown))}"
        raise InvalidArgument(f"{words}; there are {', '.join(FAULT_KINDS)}")


def _one_of(data: st.DataObject, handles: Sequence[Handle]) -> Handle:
    by_target = {handle.target: handle for handle in handles}
    return by_target[data.draw(st.sampled_from(list(by_target)))]


def _runs(pod: Pod) -> bool:
    """Whether the Pod's programs still run (it is neither ended nor being ended)."""
    obj = pod.object
    return "deletionTimestamp" not in obj["metadata"] and (obj.get("status") or {}).get("phase") == "Running"
