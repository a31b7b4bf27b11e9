"""ipvs mode's syncs: each makes everything as it should be, from what it reads of the node at that moment.

    service ports ─► Wanted ─┬─► virtual and real servers   (ipvsadm)
                             ├─► addresses on kube-ipvs0    (ip address)
                             ├─► entries of the sets        (ipset)
                             └─► which rules exist          (iptables-restore)

There is no partial sync. Order as in the real one, so that a service address never answers without its server: servers
and addresses are added first, then sets and rules follow, and what is superfluous goes last.
Source: Kubernetes pkg/proxy/ipvs/proxier.go.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from fakecluster.proxy.chains import TOOL, WAIT, ensure_chain, ensure_jump
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.ipvs import sets
from fakecluster.proxy.ipvs.chains import FILTER_CHAINS, JUMPS, NAT_CHAINS, Rules
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
    VirtualServer,
    VirtualServers,
    add_real,
    add_server,
    carry_out,
    delete_real,
    delete_server,
    edit_server,
    read_servers,
    set_weight,
)
from fakecluster.proxy.ipvs.service import Wanted, WantedServer
from fakecluster.proxy.ipvs.termination import CHECK_INTERVAL_S, Terminations
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.topology import usable_endpoints
from fakecluster.proxy.view import NodeView


class IpvsWriter:
    """Writes one family's servers, sets and rules; remembers only the real servers it is draining."""

    check_interval_s = CHECK_INTERVAL_S
    large_cluster = False
    takes_endpoints_at_once = False
    looks_after_services = True
    #: a sync goes on for longer than the kernel takes to drop the flows of a removed real server, and with them their
    #: conntrack entries, of which kube-proxy then finds none
    stale_flows_delay_s = 0.05

    def __init__(self, node: ProxyNode, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self.longest_interval_s = node.config.ipvs.sync_period_s
        self.terminations = Terminations()
        self._is_first_sync = True
        self._excluded = [ip_network(cidr, strict=False) for cidr in node.config.ipvs.exclude_cidrs]

    def start(self) -> None:
        prepare(self.node.kernel, self.node.config)

    def is_intact(self) -> bool:
        """Delete the drained real servers; damage is put right by every sync, so that there is nothing to look for."""
        if self.terminations:
            kernel = self.node.kernel
            carry_out(kernel, self.terminations.check(read_servers(kernel, self.node.family)))
        return True

    # -- a sync ----------------------------------------------------------------------------------------------------

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        kernel, family = self.node.kernel, self.node.family
        self._ensure_chains()
        ensure_device(kernel)
        sets.make_sets(kernel, family)
        addresses = local_addresses(kernel, family)
        wanted = self._wanted(view, addresses)
        present = read_servers(kernel, family)
        carry_out(kernel, [request for key in wanted.servers for request in self._serve(key, wanted, present)])
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

    def _wanted(self, view: NodeView, addresses: LocalAddresses) -> Wanted:
        wanted = Wanted(
            scheduler_of(self.node.config), self.node.ip, frozenset(addresses.others), self._node_port_ips(addresses)
        )
        for name, port in view.services.items():
            wanted.add(port, usable_endpoints(view, name), view.endpoints.get(name, ()))
        return wanted

    def _node_port_ips(self, addresses: LocalAddresses) -> tuple[str, ...]:
        """Unlike the filter of nodePortAddresses, the default leaves the service addresses themselves out."""
        filter_ = self.node.node_port_addresses
        if filter_.match_all:
            return addresses.others
        found = filter_.matching(node_addresses(self.node.kernel, self.node.family))
        return tuple(ip for ip in found if not ip_address(ip).is_loopback)

    def _serve(self, key: ServerKey, wanted: Wanted, present: VirtualServers) -> list[str]:
        """Requests that make one virtual server and its real servers what they should be."""
        target, server = wanted.servers[key], present.get(key)
        if server is None:
            return [add_server(key, target.scheduling), *self._fill(key, target, VirtualServer(target.scheduling))]
        requests = self._fill(key, target, server)
        if server.scheduling != target.scheduling:
            return [edit_server(key, target.scheduling), *requests]
        return requests

    def _fill(self, key: ServerKey, target: WantedServer, server: VirtualServer) -> list[str]:
        requests, present, wanted = list[str](), server.real_servers, target.real_servers
        for real in set_order(wanted, self.node.choices, str(key)) if self._has_news(key, target, server) else ():
            state = present.get(real)
            if state is None:
                requests.append(add_real(key, real))
                continue
            if self._is_first_sync and state.weight != 1:
                requests.append(set_weight(key, real, 1))
            if (key, real) in self.terminations:
                self.terminations.forget(key, real)
                requests += [delete_real(key, real), add_real(key, real)]
        kept = set(wanted)
        for real, state in present.items():
            if real not in kept and (key, real) not in self.terminations:
                requests.append(self.terminations.remove(key, real, state))
        return requests

    def _has_news(self, key: ServerKey, target: WantedServer, server: VirtualServer) -> bool:
        """Whether any wanted real server is new, comes back, or has a weight to be reset: only then order matters."""
        return any(
            (state := server.real_servers.get(real)) is None
            or (self._is_first_sync and state.weight != 1)
            or (key, real) in self.terminations
            for real in target.real_servers
        )

    def _is_ours(self, key: ServerKey) -> bool:
        """Whether an unwanted virtual server may be deleted: excludeCIDRs protect it."""
        address = ip_address(key.ip)
        return not any(address in network for network in self._excluded)

    def _restore(self, wanted: Wanted) -> None:
        filled = {name: bool(entries) for name, entries in wanted.entries.items()}
        text = Rules(self.node, filled, wanted.blocked).text()
        self.node.kernel.run([f"{TOOL[self.node.family]}-restore", *WAIT, "--noflush", "--counters"], text)

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
        return copy


def ipvs_writer(node: ProxyNode, metrics: Metrics) -> IpvsWriter:
    """The factory of the mode."""
    return IpvsWriter(node, metrics)
