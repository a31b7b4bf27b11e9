"""The container runtime and the CNI plugin of every node: sandboxes with a veth each, programs on their ports, probes.

A Pod's namespace is linked to its node as the ptp plugin does it: /32 (/128) addresses on both ends, the node's end
answering for the default gateway. Programs are chosen by image; what has no program of its own runs `Echo` on the ports
that its containers declare and on those that its probes name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import attrs

from fakecluster.apps.echo import Echo
from fakecluster.apps.output import LOGS
from fakecluster.apps.probes import ProbeClient, ProbeRequest, begin
from fakecluster.cni import hostports, nodes
from fakecluster.cni.addressing import AddressPlan, HostLocal, NodeAddresses
from fakecluster.cni.logs import Logs
from fakecluster.cni.nodes import family_of, namespace_of_node
from fakecluster.cni.probing import http_request, probe_address, probed_ports
from fakecluster.cni.sleeping import Resting, can_rest
from fakecluster.discovery.hostname import Hostname, hosts_file, pod_hostname
from fakecluster.discovery.resolvconf import ResolvConf, pod_dns
from fakecluster.discovery.zone import Zone
from fakecluster.fabric.links import Port
from fakecluster.fabric.network import Network
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.sockets import Program
from fakecluster.kernel.tcp_socket import TcpConnection

JsonObject = dict[str, Any]
#: image prefix -> the program of a container of that image in a given Pod
Programs = Mapping[str, Callable[[JsonObject, JsonObject], Program]]
TARGET = "container-runtime"
#: Runs the commands that containers were started with: (node, Pod's namespace, name, uid, container, words).
COMMANDS = "container-commands"
#: After everything else that is due at the same time: a command finds the network as it will be.
LAST = 1000
_BITS = {4: 32, 6: 128}


@attrs.frozen
class Sandbox:
    """A Pod's place: its namespace's name (the node's when it uses the host network) and its IPs."""

    namespace: str
    node: str
    ips: tuple[str, ...]
    host_network: bool = False


class Runtime:
    """Makes and removes the namespaces of nodes and Pods; implements the kubelets' `PodRuntime`."""

    def __init__(self, network: Network, plan: AddressPlan, *, programs: Programs | None = None) -> None:
        self.network, self.plan = network, plan
        self.programs: Programs = programs or {}
        self.nodes: dict[str, NodeAddresses] = {}
        self.sandboxes: dict[str, Sandbox] = {}  # by Pod uid
        #: whether a container's words are a command that runs and ends (`COMMANDS` is told of it)
        self.knows: Callable[[Sequence[str]], bool] = lambda words: False
        #: what exec probes answer, by (Pod uid, container); True unless a test says otherwise
        self.exec_results: dict[tuple[str, str], bool] = {}
        #: what each container was started with, by (Pod uid, container)
        self.environments: dict[tuple[str, str], Mapping[str, str]] = {}
        #: name servers that Pods of policy ClusterFirst are given
        self.cluster_dns: tuple[str, ...] = ()
        #: the nodes' own /etc/resolv.conf, and the names that the servers outside know
        self.node_resolv_conf = ""
        self.outside_dns = Zone()
        #: what containers have printed
        self.logs = Logs(network.clock)
        #: nodes that sleep, and the Pods on them by uid
        self.asleep: dict[str, None] = {}
        self.resting: dict[str, Resting] = {}
        self._pools: dict[tuple[str, int], HostLocal] = {}
        self._next_node = 0
        self._next_veth = 0
        network.clock.bind(TARGET, self._on_clock)
        network.clock.bind(LOGS, self.logs.take)

    # --- nodes

    def add_node(self, name: str, own: NodeAddresses | None = None, *, asleep: bool = False) -> NodeAddresses:
        """A namespace for one more node, joined to the others; `own` are addresses that it has already.

        One that is `asleep` is made when it is needed (see `cni.sleeping`).
        """
        own = own or self._free_addresses()
        self.nodes[name] = own
        for family, cidr in zip(self.plan.families, own.pod_cidrs, strict=True):
            self._pools[name, family] = HostLocal(ip_network(cidr))
        if asleep:
            self.asleep[name] = None
            addresses = [(family_of(ip), int(ip_address(ip))) for ip in own.ips]
            self.network.lay_down(namespace_of_node(name), name, addresses)
        else:
            self._make_node(name)
        nodes.announce(self.network, self.nodes, name)
        return own

    def _make_node(self, name: str) -> None:
        nodes.add_node(self.network, self.plan, name, self.nodes[name])
        nodes.learn_ways(self.network, self.nodes, name)

    def wake(self, node: str) -> None:
        """Make the namespaces of a node that sleeps, and let its Pods' programs listen."""
        del self.asleep[node]
        self.network.wakes(node)
        self._make_node(node)
        for uid, resting in [(uid, one) for uid, one in self.resting.items() if one.node == node]:
            del self.resting[uid]
            self._link(node, resting.pod, list(resting.addresses))
            for container in resting.containers:
                self._start_program(node, resting.pod, container)

    def _free_addresses(self) -> NodeAddresses:
        """The next addresses of the plan that no node has."""
        taken = {text for node in self.nodes.values() for text in (*node.ips, *node.pod_cidrs)}
        while True:
            own = self.plan.node(self._next_node)
            self._next_node += 1
            if taken.isdisjoint((*own.ips, *own.pod_cidrs)):
                return own

    def remove_node(self, name: str) -> None:
        """The node is gone, with everything that ran on it."""
        for uid, sandbox in list(self.sandboxes.items()):
            if sandbox.node == name:
                del self.sandboxes[uid]
                if not sandbox.host_network:
                    self.network.remove(sandbox.namespace)
        if name in self.asleep:
            self.wake(name)
        nodes.part(self.network, self.nodes, name)
        self.network.remove(namespace_of_node(name))
        del self.nodes[name]
        for family in self.plan.families:
            del self._pools[name, family]

    # --- sandboxes

    def create_sandbox(self, node: str, pod: JsonObject) -> list[str]:
        metadata = pod["metadata"]
        uid = metadata["uid"]
        if pod["spec"].get("hostNetwork"):
            ips = self.nodes[node].ips
            self.sandboxes[uid] = Sandbox(namespace_of_node(node), node, ips, host_network=True)
            return list(ips)
        namespace = namespace_of_pod(metadata["namespace"], metadata["name"])
        addresses = self._addresses_for(node, pod)
        self.sandboxes[uid] = Sandbox(namespace, node, tuple(addresses))
        if node in self.asleep and can_rest(pod):
            self.resting[uid] = Resting(node, pod, tuple(addresses))
            self.network.lay_down(namespace, node)
        else:
            self._link(node, pod, addresses)
        return addresses

    def _link(self, node: str, pod: JsonObject, addresses: list[str]) -> None:
        """Make a Pod's namespace and its link to the node."""
        namespace = namespace_of_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
        netns = self.network.add(namespace)
        self._next_veth += 1
        veth = f"veth{self._next_veth:08x}"
        self.network.veth(Port(namespace, "eth0"), Port(namespace_of_node(node), veth))
        self._address(netns, self.network.namespaces[namespace_of_node(node)], veth, node, addresses)
        hostports.add(self.network.namespaces[namespace_of_node(node)], pod, addresses)

    def _addresses_for(self, node: str, pod: JsonObject) -> list[str]:
        """New addresses of the node's ranges; a Pod that comes with some (from a dump) keeps those that are free."""
        uid = pod["metadata"]["uid"]
        had = {family_of(entry["ip"]): entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ()}
        found = []
        for family in self.plan.families:
            pool = self._pools[node, family]
            kept = had.get(family, "")
            found.append(kept if kept and pool.reserve(kept, uid) else pool.allocate(uid))
        return found

    def _address(self, netns: Netns, host: Netns, veth: str, node: str, addresses: list[str]) -> None:
        for family, address in zip(self.plan.families, addresses, strict=True):
            gateway = self._pools[node, family].network[1]
            word, bits = f"-{family}", _BITS[family]
            netns.run(("ip", word, "address", "add", f"{address}/{bits}", "dev", "eth0"))
            netns.run(("ip", word, "route", "add", f"{gateway}/{bits}", "dev", "eth0", "scope", "link"))
            netns.run(("ip", word, "route", "add", "default", "via", str(gateway), "dev", "eth0"))
            host.run(("ip", word, "address", "add", f"{gateway}/{bits}", "dev", veth))
            host.run(("ip", word, "route", "add", f"{address}/{bits}", "dev", veth))

    def remove_sandbox(self, node: str, pod: JsonObject) -> None:
        uid = pod["metadata"]["uid"]
        sandbox = self.sandboxes.pop(uid, None)
        if sandbox is None or node not in self.nodes:
            return
        self.logs.ended(uid)
        for group in ("containers", "ephemeralContainers"):
            for container in pod["spec"].get(group) or ():
                self._stop(sandbox, uid, container["name"])
        if self.resting.pop(uid, None) is not None:
            del self.network.namespaces[sandbox.namespace]
        elif not sandbox.host_network:
            hostports.remove(self.network.namespaces[namespace_of_node(node)], pod)
            self.network.remove(sandbox.namespace)
        if not sandbox.host_network:
            for family in self.plan.families:
                self._pools[node, family].release(uid)

    # --- containers

    def start_container(self, node: str, pod: JsonObject, container: JsonObject, env: Mapping[str, str]) -> None:
        uid, name = pod["metadata"]["uid"], container["name"]
        self.environments[uid, name] = env
        self.logs.begin((uid, name))
        if uid in self.resting and not any((container.get("image") or "").startswith(one) for one in self.programs):
            self.resting[uid] = self.resting[uid].with_container(container)
        elif not self._start_program(node, pod, container):
            return
        words = (*(container.get("command") or ()), *(container.get("args") or ()))
        if self.knows(words):
            meta = pod["metadata"]
            order = (node, meta["namespace"], meta["name"], uid, name, words)
            self.network.clock.schedule(COMMANDS, order, priority=LAST)
        elif runs_to_its_end(pod, container):
            self.network.clock.schedule(f"kubelet@{node}", ("exited", uid, name, 0))

    def _start_program(self, node: str, pod: JsonObject, container: JsonObject) -> bool:
        """Let a container's program listen; False when it cannot, and ends."""
        uid, name = pod["metadata"]["uid"], container["name"]
        sandbox = self.sandboxes[uid]
        netns = self.network.namespaces[sandbox.namespace]
        program = self._program(pod, container)
        try:
            for protocol, port in listening_ports(container):
                self.listen(netns, protocol, port, program, owner=(uid, name), name=pod["metadata"]["name"])
        except SendError:  # the address is in use: the program gives up at once
            self._stop(sandbox, uid, name)
            self.network.clock.schedule(f"kubelet@{node}", ("exited", uid, name, 1))
            return False
        return True

    def listen(
        self, netns: Netns, protocol: str, port: int, program: Program, *, owner: tuple[str, str], name: str
    ) -> None:
        """Let `program` serve a port on every address. Raises `SendError` (EADDRINUSE)."""
        wide = 6 in self.plan.families
        label = f"{name} ({protocol}:{port})"
        sock = netns.sockets.bind(protocol, port, program, family=6 if wide else 4, dual_stack=wide, name=label)
        sock.context["container"] = owner

    def _program(self, pod: JsonObject, container: JsonObject) -> Program:
        image = container.get("image") or ""
        for prefix, make in self.programs.items():
            if image.startswith(prefix):
                return make(pod, container)
        return Echo(pod["metadata"]["name"])

    def stop_container(self, node: str, pod: JsonObject, container: str) -> None:
        sandbox = self.sandboxes.get(pod["metadata"]["uid"])
        if sandbox is not None:
            self._stop(sandbox, pod["metadata"]["uid"], container)

    def _stop(self, sandbox: Sandbox, uid: str, container: str) -> None:
        """The process ends: its listeners go, its connections are closed."""
        if uid in self.resting:
            self.resting[uid] = self.resting[uid].without(container)
            return
        netns = self.network.namespaces[sandbox.namespace]
        for sock in [sock for sock in netns.sockets if sock.context.get("container") == (uid, container)]:
            sock.close()

    # --- files that the kubelet writes into a Pod

    def resolv_conf(self, pod: JsonObject) -> ResolvConf:
        """The Pod's /etc/resolv.conf."""
        return pod_dns(pod, cluster_dns=self.cluster_dns, node_resolv_conf=self.node_resolv_conf).resolv_conf

    def hostname(self, pod: JsonObject) -> Hostname:
        return pod_hostname(pod)

    def hosts_file(self, pod: JsonObject) -> str:
        """The Pod's /etc/hosts."""
        sandbox = self.sandboxes.get(pod["metadata"]["uid"])
        return hosts_file(pod, sandbox.ips if sandbox else (), self.hostname(pod))

    # --- probes

    def probe(self, node: str, pod: JsonObject, container: str, kind: str, probe: JsonObject, timeout_s: float) -> None:
        uid = pod["metadata"]["uid"]
        request = ProbeRequest(f"kubelet@{node}", ("probe", uid, container, kind))
        if "exec" in probe:
            ok = self.exec_results.get((uid, container), True)
            self._tell(request, ok, "" if ok else "command failed")
            return
        sandbox = self.sandboxes.get(uid)
        if sandbox is None:
            self._tell(request, False, "sandbox is gone")
            return
        address, port = probe_address(pod, container, probe, sandbox.ips[0])
        if "httpGet" in probe:
            request = attrs.evolve(request, request=http_request(probe["httpGet"], address, port))
        netns = self.network.namespaces[namespace_of_node(node)]
        connection = begin(netns, family_of(address), int(ip_address(address)), port, request)
        if connection is not None:
            self.network.clock.schedule(TARGET, (node, connection.key), delay_s=timeout_s)

    def _tell(self, request: ProbeRequest, ok: bool, message: str) -> None:
        self.network.clock.schedule(request.target, (*request.payload, ok, message))

    def _on_clock(self, payload: tuple[str, tuple[int, int, int, int, int]]) -> None:
        """A probe's time-out passed."""
        node, key = payload
        netns = self.network.namespaces.get(namespace_of_node(node))
        connection = netns.sockets.connections.get(key) if netns is not None else None
        if isinstance(connection, TcpConnection) and isinstance(connection.program, ProbeClient):
            connection.program.expire(connection)

    # --- copies

    def fork(self, network: Network, *, programs: Programs | None = None) -> Runtime:
        """The runtime of a copied network; `programs` replaces the programs of containers started from now on."""
        copy = Runtime(network, self.plan, programs=self.programs if programs is None else programs)
        copy.environments, copy.cluster_dns = self.environments.copy(), self.cluster_dns
        copy.node_resolv_conf, copy.outside_dns = self.node_resolv_conf, self.outside_dns.fork()
        copy.nodes, copy.sandboxes = self.nodes.copy(), self.sandboxes.copy()
        copy.asleep, copy.resting = self.asleep.copy(), self.resting.copy()
        copy.exec_results, copy.knows = self.exec_results.copy(), self.knows
        copy.logs = self.logs.fork(network.clock)
        network.clock.bind(LOGS, copy.logs.take)
        copy._pools = {key: pool.fork() for key, pool in self._pools.items()}
        copy._next_node, copy._next_veth = self._next_node, self._next_veth
        return copy


def namespace_of_pod(namespace: str, name: str) -> str:
    """The name of a Pod's network namespace: `pod/web-1`, or `pod/shop/web-1` outside the namespace `default`."""
    return f"pod/{name}" if namespace == "default" else f"pod/{namespace}/{name}"


def runs_to_its_end(pod: JsonObject, container: JsonObject) -> bool:
    """Whether a container is one that does its work and ends well: an init container, or a Job's without ports."""
    names = (one["name"] for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") != "Always")
    owners = (owner["kind"] for owner in pod["metadata"].get("ownerReferences") or ())
    return container["name"] in names or ("Job" in owners and not listening_ports(container))


def listening_ports(container: JsonObject) -> list[tuple[str, int]]:
    """(protocol, port) that a container's program serves: its declared ports, and those its probes name by number."""
    ports = [(port.get("protocol", "TCP").lower(), port["containerPort"]) for port in container.get("ports") or ()]
    ports += [("tcp", port) for port in probed_ports(container)]
    return list(dict.fromkeys(ports))
