"""Cluster DNS in the cluster: what its Pods watch, the Corefiles that they run with, and the processes in them.

All processes read one index of the API's objects, kept by the clock target `coredns`; holding that target makes their
answers stale. Each has caches and upstreams of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.cluster import dns_program, node_local_dns
from fakecluster.cluster.dns_objects import COREFILE, DNS_IMAGE, DNS_NAMESPACE, config_map_of, dns_address
from fakecluster.cluster.dns_program import DNS_PORT, DnsProcess, DnsProgram, UpstreamProgram
from fakecluster.cluster.outside_dns import ZoneProgram
from fakecluster.cni.nodes import OUTSIDE
from fakecluster.discovery import corefile
from fakecluster.discovery.faults import DnsFault
from fakecluster.discovery.index import DnsIndex
from fakecluster.discovery.server import DnsServer
from fakecluster.errors import RuleSyntaxError, Unsupported
from fakecluster.fabric.namespaces import when_copied
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.sockets import Program, Socket
from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.cni import Runtime
    from fakecluster.fabric.network import Network
    from fakecluster.kernel.netns import Netns

JsonObject = dict[str, Any]
TARGET = "coredns"
#: resource -> the kind that the index knows it by (list items carry none)
KINDS = {
    "services": "Service",
    "endpointslices.discovery.k8s.io": "EndpointSlice",
    "pods": "Pod",
    "namespaces": "Namespace",
}
#: What the kubernetes plugin watches, and the ConfigMaps that the kubelets mount.
RESOURCES = frozenset((*KINDS, "configmaps"))


class ClusterDns:
    """The DNS of one cluster, bound to the clock target `coredns`.

    `log` has what the processes say about their Corefiles; `corefiles` are those in force for new processes.
    """

    def __init__(self, api: ApiServer, clock: Clock, choices: Choices, runtime: Runtime) -> None:
        self.index = DnsIndex()
        self.corefiles: dict[str, str] = {}
        self.processes: dict[str, DnsProcess] = {}
        self.log: list[str] = []
        #: what all of them get wrong
        self.faults: tuple[DnsFault, ...] = ()
        self._inbox = api.watch(TARGET, RESOURCES)
        self._bind(clock, choices, runtime)
        plan, outside = runtime.plan, runtime.network.namespaces[OUTSIDE]
        runtime.node_resolv_conf = "".join(f"nameserver {plan.gateway(family)}\n" for family in plan.families)
        runtime.cluster_dns = (dns_address(plan),)
        program = ZoneProgram(runtime.outside_dns)
        for protocol in ("udp", "tcp"):
            runtime.listen(outside, protocol, DNS_PORT, program, owner=("", "outside"), name="outside DNS")

    def _bind(self, clock: Clock, choices: Choices, runtime: Runtime) -> None:
        self._clock, self._choices, self._runtime = clock, choices, runtime
        clock.bind(TARGET, self.handle)
        clock.bind(dns_program.TARGET, self._timed_out)
        own = {DNS_IMAGE: self.start, node_local_dns.IMAGE: self.start_node_local}
        runtime.programs = {**runtime.programs, **own}

    # --- what the API says

    def handle(self, payload: object) -> None:
        """Take in what has changed. Raises `Unsupported` for a Corefile that asks for what is not modelled."""
        refused: Unsupported | None = None
        for event in self._inbox.take():
            if event.resource == "configmaps":
                try:
                    self._configure(event)
                except Unsupported as gap:
                    refused = gap
                continue
            self.index.apply(KINDS[event.resource], event.object, deleted=event.type == "DELETED")
            if event.resource == "pods" and event.type == "DELETED":
                self._ended(event.object["metadata"]["uid"])
        if refused is not None:
            raise refused

    def _configure(self, event: WatchEvent) -> None:
        metadata = event.object["metadata"]
        name = metadata["name"]
        if metadata.get("namespace") != DNS_NAMESPACE:
            return
        text = (event.object.get("data") or {}).get(COREFILE, "")
        if event.type == "DELETED" or text == self.corefiles.get(name):
            return
        self.corefiles[name] = text
        for process in self.processes.values():
            if process.config_map == name and process.server.reloads:
                self._reload(process, text)

    def _reload(self, process: DnsProcess, text: str) -> None:
        """The reload plugin: a Corefile that cannot be read leaves the old one in force."""
        try:
            self._load(process, text)
        except RuleSyntaxError as wrong:
            self.log.append(f"{process.namespace}: [ERROR] Corefile changed but reload failed: {wrong}")
            return
        self.log.append(f"{process.namespace}: [INFO] Reloading complete")

    def _ended(self, uid: str) -> None:
        process = self.processes.pop(uid, None)
        if process is not None and process.config_map == node_local_dns.NAME:
            node_local_dns.tear_down(self._runtime.network.namespaces.get(process.namespace))

    # --- processes

    def start(self, pod: JsonObject, container: JsonObject) -> Program:
        """The program of a container of CoreDNS; one whose Corefile cannot be read ends at once."""
        uid = pod["metadata"]["uid"]
        self.processes.pop(uid, None)
        config_map = config_map_of(pod, container)
        sandbox = self._runtime.sandboxes[uid]
        process = DnsProcess(
            uid, sandbox.namespace, config_map, self._runtime.resolv_conf(pod), self._server(sandbox.ips), self.log
        )
        process.faults = self.faults
        try:
            self._load(process, self.corefiles.get(config_map, ""))
        except RuleSyntaxError as wrong:
            self._give_up(pod, container, sandbox.namespace, str(wrong))
        else:
            self.processes[uid] = process
        return DnsProgram(process)

    def set_faults(self, faults: tuple[DnsFault, ...]) -> None:
        """Let every process get this wrong from now on."""
        self.faults = faults
        for process in self.processes.values():
            process.faults = faults

    def start_node_local(self, pod: JsonObject, container: JsonObject) -> Program:
        """The program of NodeLocal DNS, which listens on an address that it brings along."""
        program = self.start(pod, container)
        uid = pod["metadata"]["uid"]
        if uid in self.processes:
            netns = self._runtime.network.namespaces[self.processes[uid].namespace]
            try:
                node_local_dns.set_up(netns, program, owner=(uid, container["name"]))
            except SendError as taken:
                self._ended(uid)
                self._give_up(pod, container, netns.name, f"listen {node_local_dns.ADDRESS}:{DNS_PORT}: {taken.name}")
        return program

    def _give_up(self, pod: JsonObject, container: JsonObject, namespace: str, reason: str) -> None:
        """The program says why it cannot run, and ends."""
        self.log.append(f"{namespace}: [ERROR] {reason}")
        ended = ("exited", pod["metadata"]["uid"], container["name"], 1)
        self._clock.schedule(f"kubelet@{pod['spec']['nodeName']}", ended)

    def _load(self, process: DnsProcess, text: str) -> None:
        text = node_local_dns.filled_in(text, self.index)
        check_ports(text)
        process.server.configure(text)

    def _server(self, ips: tuple[str, ...]) -> DnsServer:
        return DnsServer(self._clock, self._choices, index=self.index, local_ips=ips)

    def _timed_out(self, payload: tuple[str, int]) -> None:
        uid, number = payload
        process = self.processes.get(uid)
        netns = self._runtime.network.namespaces.get(process.namespace) if process is not None else None
        if process is not None and netns is not None:
            process.failed(netns, number)

    # --- copies

    def fork(self, api: ApiServer, clock: Clock, choices: Choices, runtime: Runtime) -> ClusterDns:
        """The DNS of a copied cluster: its programs answer from copies of everything that can change."""
        copy = ClusterDns.__new__(ClusterDns)
        copy.index, copy.corefiles, copy.log = self.index.fork(), self.corefiles.copy(), self.log.copy()
        copy.faults = self.faults
        copy._inbox = api.inbox(TARGET)
        copy._bind(clock, choices, runtime)
        copy.processes = copied(self.processes, clock, choices, copy.index, copy.log)
        adopt(runtime.network, copy.processes)
        for sock in listeners(runtime.network.namespaces[OUTSIDE]):
            if isinstance(sock.program, ZoneProgram):
                sock.program = ZoneProgram(runtime.outside_dns)
        return copy

    def stand_in(self, network: Network, clock: Clock, choices: Choices) -> StandIn:
        """The processes for a copy of the network alone, over the index as it is now."""
        processes = copied(self.processes, clock, choices, self.index, [])
        return StandIn.of(processes, network, clock, self.index)


@attrs.frozen(eq=False)
class StandIn:
    """DNS processes that answer in a copy of the network while the API stands still."""

    processes: Mapping[str, DnsProcess]
    network: Network
    index: DnsIndex

    @classmethod
    def of(cls, processes: Mapping[str, DnsProcess], network: Network, clock: Clock, index: DnsIndex) -> StandIn:
        made = cls(processes, network, index)
        adopt(network, processes)
        clock.bind(dns_program.TARGET, made._timed_out)
        return made

    def stand_in(self, network: Network, clock: Clock, choices: Choices) -> StandIn:
        copies = copied(self.processes, clock, choices, self.index, [])
        return StandIn.of(copies, network, clock, self.index)

    def _timed_out(self, payload: tuple[str, int]) -> None:
        uid, number = payload
        process = self.processes.get(uid)
        if process is not None and process.namespace in self.network.namespaces:
            process.failed(self.network.namespaces[process.namespace], number)


def copied(
    processes: Mapping[str, DnsProcess], clock: Clock, choices: Choices, index: DnsIndex, log: list[str]
) -> dict[str, DnsProcess]:
    """Copies of processes that read `index` and write to `log`."""
    return {uid: one.fork(one.server.fork(clock, choices, index), log) for uid, one in processes.items()}


def check_ports(text: str) -> None:
    """The Service and the containers know port 53 only."""
    for block in corefile.parse(text):
        if block.port != DNS_PORT:
            raise Unsupported(f"a server block on port {block.port}", source="Corefile")


def adopt(network: Network, processes: Mapping[str, DnsProcess]) -> None:
    """Let the DNS programs of a copied network be those of the copied processes."""
    for namespace in dict.fromkeys(process.namespace for process in processes.values()):
        when_copied(network.namespaces, namespace, partial(_adopt, processes))


def _adopt(processes: Mapping[str, DnsProcess], netns: Netns) -> None:
    for sock in (*listeners(netns), *netns.sockets.connections.values()):
        program = sock.program
        if isinstance(program, DnsProgram) and program.process.uid in processes:
            sock.program = DnsProgram(processes[program.process.uid])
        elif isinstance(program, UpstreamProgram) and program.process.uid in processes:
            sock.program = UpstreamProgram(processes[program.process.uid], program.number)


def listeners(netns: Netns) -> list[Socket]:
    return [sock for entries in netns.sockets.bound.values() for sock in entries]
