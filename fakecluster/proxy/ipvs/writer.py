"""ipvs mode's syncs: each makes everything as it should be, from what it reads of the node at that moment.

    service ports ─► Needs ─► Wanted ─┬─► virtual and real servers   (ipvsadm)
                                      ├─► addresses on kube-ipvs0    (ip address)
                                      ├─► entries of the sets        (ipset)
                                      └─► which rules exist          (iptables-restore)

There is no partial sync: only the needs of service ports that did not change are remembered. Order as in the real one,
so that a service address never answers without its server: servers and addresses are added first, then sets and rules
follow, and what is superfluous goes last.
Source: Kubernetes pkg/proxy/ipvs/proxier.go.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import TOOL, WAIT, ensure_chain, ensure_jump
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.ipvs import sets
from fakecluster.proxy.ipvs.chains import FILTER_CHAINS, JUMPS, NAT_CHAINS, BlockedAddress, Rules
from fakecluster.proxy.ipvs.node import (
    LocalAddresses,
    bind,
    ensure_device,
    local_addresses,
    prepare,
    scheduler_of,
    unbind,
)
from fakecluster.proxy.ipvs.order import set_order
from fakecluster.proxy.ipvs.servers import (
    ServerKey,
    ServerReader,
    VirtualServer,
    add_real,
    add_server,
    carry_out,
    delete_real,
    delete_server,
    edit_server,
    set_weight,
)
from fakecluster.proxy.ipvs.service import Needs, Surroundings, WantedServer, needs_of
from fakecluster.proxy.ipvs.termination import CHECK_INTERVAL_S, Terminations
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.topology import usable_endpoints
from fakecluster.proxy.view import NodeView, ServiceName, ServicePortName


@attrs.define
class Wanted:
    """Everything that the node is to have for one family; `bound` in the order in which addresses are bound."""

    servers: dict[ServerKey, WantedServer] = attrs.field(factory=dict)
    bound: dict[str, None] = attrs.field(factory=dict)
    entries: sets.Entries = attrs.field(factory=sets.no_entries)
    blocked: list[BlockedAddress] = attrs.field(factory=list)
    #: traffic policy -> Services that have endpoints, but none on this node
    lacking: dict[str, set[ServiceName]] = attrs.field(factory=lambda: {"internal": set(), "external": set()})

    def add(self, service: ServiceName, needs: Needs) -> None:
        self.servers.update(needs.servers)
        self.bound.update(dict.fromkeys(needs.bound))
        for name, entry in needs.entries:
            self.entries[name][entry] = None
        self.blocked += needs.blocked
        for policy in needs.lacking:
            self.lacking[policy].add(service)


class IpvsWriter:
    """Writes one family's servers, sets and rules; remembers which real servers it is draining."""

    check_interval_s = CHECK_INTERVAL_S
    large_cluster = False
    takes_endpoints_at_once = False
    tells_partial_syncs = False
    looks_after_services = True
    #: a sync goes on for longer than the kernel takes to drop the flows of a removed real server, and with them their
    #: conntrack entries, of which kube-proxy then finds none
    stale_flows_delay_s = 0.05

    def __init__(self, node: ProxyNode, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self.longest_interval_s = node.config.ipvs.sync_period_s
        self.terminations = Terminations()
        self._reader = ServerReader()
        self._is_first_sync = True
        self._needs: dict[ServicePortName, Needs] = {}
        #: what the remembered needs depend on besides the service ports
        self._needed_in: tuple[Surroundings, object] | None = None
        self._excluded = [ip_network(cidr, strict=False) for cidr in node.config.ipvs.exclude_cidrs]

    def start(self) -> None:
        prepare(self.node.kernel, self.node.config)

    def is_intact(self) -> bool:
        """Delete the drained real servers; damage is put right by every sync, so that there is nothing to look for."""
        if self.terminations:
            kernel = self.node.kernel
            carry_out(kernel, self.terminations.check(self._reader.read(kernel, self.node.family)))
        return True

    # -- a sync ----------------------------------------------------------------------------------------------------

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        kernel, family = self.node.kernel, self.node.family
        self._ensure_chains()
        ensure_device(kernel)
        sets.make_sets(kernel, family)
        addresses = local_addresses(kernel, family)
        wanted = self._wanted(view, addresses, changes)
        present = self._reader.read(kernel, family)
        requests: list[str] = []
        for key, target in wanted.servers.items():
            self._serve(key, target, present.get(key), requests)
        carry_out(kernel, requests)
        bind(kernel, (ip for ip in wanted.bound if ip not in addresses.bound))
        wanted.entries[sets.IPVS_IPS] = wanted.bound
        sets.reconcile(kernel, family, wanted.entries)
        self._restore(wanted)
        unbind(kernel, (ip for ip in sorted(addresses.bound) if ip not in wanted.bound))
        carry_out(kernel, [delete_server(key) for key in present if key not in wanted.servers and self._is_ours(key)])
        self._is_first_sync = False
        self._count(wanted)

    def _ensure_chains(self) -> None:
        kernel, tool = self.node.kernel, TOOL[self.node.family]
        for table, chains in (("nat", NAT_CHAINS), ("filter", FILTER_CHAINS)):
            for chain in chains:
                ensure_chain(kernel, tool, table, chain)
        for jump in JUMPS:
            ensure_jump(kernel, tool, jump)

    def _wanted(self, view: NodeView, addresses: LocalAddresses, changes: Changes) -> Wanted:
        scheduler, others = scheduler_of(self.node.config), addresses.others
        surroundings = Surroundings(scheduler, self.node.ip, others, self._node_port_ips(addresses))
        needed_in = (surroundings, view.topology_labels)
        if needed_in != self._needed_in:
            self._needs, self._needed_in = {}, needed_in
        known, touched, wanted, needs = self._needs, changes.touched, Wanted(), dict[ServicePortName, Needs]()
        for name, port in view.services.items():
            found = known.get(name) if name.service not in touched else None
            if found is None:
                endpoints = view.endpoints.get(name, ())
                found = needs_of(port, usable_endpoints(view, name), endpoints, surroundings)
            needs[name] = found
            wanted.add(name.service, found)
        self._needs = needs
        return wanted

    def _node_port_ips(self, addresses: LocalAddresses) -> tuple[str, ...]:
        """Unlike the filter of nodePortAddresses, the default leaves the service addresses themselves out."""
        filter_ = self.node.node_port_addresses
        if filter_.match_all:
            return addresses.others
        found = filter_.matching(node_addresses(self.node.kernel, self.node.family))
        return tuple(ip for ip in found if not ip_address(ip).is_loopback)

    def _serve(self, key: ServerKey, target: WantedServer, server: VirtualServer | None, requests: list[str]) -> None:
        """Ask for what makes one virtual server and its real servers what they should be."""
        if server is None:
            requests.append(add_server(key, target.scheduling))
            server = VirtualServer(target.scheduling)
        elif server.scheduling != target.scheduling:
            requests.append(edit_server(key, target.scheduling))
        if server.real_servers.keys() != target.names or self._is_first_sync or self.terminations:
            self._add_real_servers(key, target, server, requests)
            self._remove_real_servers(key, target, server, requests)

    def _add_real_servers(
        self, key: ServerKey, target: WantedServer, server: VirtualServer, requests: list[str]
    ) -> None:
        """In an order of chance, which matters where any is new or comes back."""
        present = server.real_servers
        if all(real in present and (key, real) not in self.terminations for real in target.real_servers):
            order = list(target.real_servers)
        else:
            order = set_order(target.real_servers, self.node.choices, str(key))
        for real in order:
            state = present.get(real)
            if state is None:
                requests.append(add_real(key, real))
                continue
            if self._is_first_sync and state.weight != 1:
                requests.append(set_weight(key, real, 1))
            if (key, real) in self.terminations:
                self.terminations.forget(key, real)
                requests += [delete_real(key, real), add_real(key, real)]

    def _remove_real_servers(
        self, key: ServerKey, target: WantedServer, server: VirtualServer, requests: list[str]
    ) -> None:
        for real, state in server.real_servers.items():
            if real not in target.names and (key, real) not in self.terminations:
                requests.append(self.terminations.remove(key, real, state))

    def _is_ours(self, key: ServerKey) -> bool:
        """Whether an unwanted virtual server may be deleted: excludeCIDRs protect it."""
        address = ip_address(key.ip)
        return not any(address in network for network in self._excluded)

    def _restore(self, wanted: Wanted) -> None:
        filled = {name: bool(entries) for name, entries in wanted.entries.items()}
        text = Rules(self.node, filled, wanted.blocked).text()
        try:
            self.node.kernel.run([f"{TOOL[self.node.family]}-restore", *WAIT, "--noflush", "--counters"], text)
        except CommandError:
            self.metrics.add("kubeproxy_sync_proxy_rules_iptables_restore_failures_total", ip_family=self.node.family)
            raise

    def _count(self, wanted: Wanted) -> None:
        for policy, services in wanted.lacking.items():
            self.metrics.set(
                "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                len(services),
                ip_family=self.node.family,
                traffic_policy=policy,
            )

    def take_endpoints(self, view: NodeView, changes: Changes) -> None:
        """Endpoints wait for the next sync."""

    def stop(self) -> None:
        """Nothing lives in the process but what it remembers."""

    def refresh_metrics(self) -> None:
        """Nothing is read from the node for the metrics of this mode."""

    def fork(self, node: ProxyNode, metrics: Metrics) -> IpvsWriter:
        copy = IpvsWriter(node, metrics)
        copy.terminations, copy._is_first_sync = self.terminations.fork(), self._is_first_sync
        copy._needs, copy._needed_in = self._needs, self._needed_in
        return copy


def ipvs_writer(node: ProxyNode, metrics: Metrics) -> IpvsWriter:
    """The factory of the mode."""
    return IpvsWriter(node, metrics)
