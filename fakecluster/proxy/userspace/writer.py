"""userspace mode: a proxy port on the node for every service port, rules that lead there, and a relay behind it.

Endpoints reach the relay at once; Services, as in the other modes, with the next sync, which also makes sure of all
rules. Policies, topology, source ranges and health check ports mean nothing to this mode; SCTP it cannot relay.
Source: Kubernetes 1.25 pkg/proxy/userspace/proxier.go, roundrobin.go.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import TOOL, WAIT, ensure_jump
from fakecluster.proxy.changes import Changes
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.node import ProxyNode
from fakecluster.proxy.node_addresses import node_addresses
from fakecluster.proxy.userspace.portals import (
    CHAINS,
    FIRST_JUMPS,
    LAST_JUMPS,
    PortalRule,
    ProxyAddress,
    delete_rule,
    ensure_last_jump,
    ensure_rule,
    portal_rules,
)
from fakecluster.proxy.view import Family, NodeView, ServiceName, ServicePort, ServicePortName

RELAYED_PROTOCOLS = ("TCP", "UDP")
EVERYWHERE: dict[Family, str] = {"IPv4": "0.0.0.0", "IPv6": "::"}


@attrs.frozen
class Portal:
    """A service port as it was opened: its proxy port, and the places (address, port) that are held for it."""

    port: ServicePort
    proxy_port: int
    claimed: tuple[tuple[str, int], ...] = ()


class UserspaceWriter:
    """Keeps portals and relays for one family."""

    large_cluster = False
    takes_endpoints_at_once = True
    tells_partial_syncs = False
    looks_after_services = False
    stale_flows_delay_s = 0.0

    def __init__(self, node: ProxyNode, metrics: Metrics) -> None:
        self.node, self.metrics = node, metrics
        self.check_interval_s = self.longest_interval_s = node.config.sync_periods_s[1]
        self.tool = TOOL[node.family]
        listen_ip = node.config.bind_address
        if listen_ip in EVERYWHERE.values():
            listen_ip = EVERYWHERE[node.family]  # Go takes either for all addresses
        self.address = ProxyAddress(listen_ip, node.ip)
        self.portals: dict[ServicePortName, Portal] = {}
        #: what each relay was told: endpoints in the relay's order
        self._served: dict[ServicePortName, tuple[tuple[str, int], ...]] = {}

    def start(self) -> None:
        """Hook the chains in, empty."""
        self._ensure_jumps()
        for table, chains in CHAINS.items():
            for chain in chains:
                self.node.kernel.run([self.tool, *WAIT, "-t", table, "-F", chain])

    def is_intact(self) -> bool:
        """Damage is put right by every sync, so that there is nothing to look for."""
        return True

    def _ensure_jumps(self) -> None:
        for jump in FIRST_JUMPS:
            ensure_jump(self.node.kernel, self.tool, jump)
        for jump in LAST_JUMPS:
            ensure_last_jump(self.node.kernel, self.tool, jump)

    # -- a sync ----------------------------------------------------------------------------------------------------

    def sync(self, view: NodeView, changes: Changes, *, full: bool) -> None:
        """One portal that cannot be opened does not keep the others from it; it is tried again by the next sync."""
        self._ensure_jumps()
        stale: list[str] = []
        for service in sorted({*changes.services, *(view.services_by_name if not self.portals else ())}):
            stale += self._change(view, service)
        self.take_endpoints(view, changes)
        refused = [error for name in list(self.portals) if (error := self._ensure_portal(name))]
        for ip in dict.fromkeys(stale):
            self._forget_udp(ip)
        if refused:
            raise refused[0]

    def _change(self, view: NodeView, service: ServiceName) -> list[str]:
        """Open, reopen and close the portals of one Service; returns cluster IPs of UDP portals that closed."""
        wanted = view.services_by_name.get(service, {})
        stale = []
        for name in [name for name in self.portals if name.service == service]:
            known = self.portals[name].port
            if name not in wanted or not _is_same(known, wanted[name]):
                self._close(self.portals.pop(name))
                if name not in wanted:
                    self._served.pop(name, None)
                    stale += [known.cluster_ip] if known.protocol == "UDP" else []
        for name, port in wanted.items():
            if name not in self.portals and port.protocol in RELAYED_PROTOCOLS:
                self._open(view, port)
        return stale

    def _open(self, view: NodeView, port: ServicePort) -> None:
        self.portals[port.name] = Portal(port, self._open_relay(port.protocol))
        self._served.pop(port.name, None)
        self._serve(view, port.name)

    def _open_relay(self, protocol: str) -> int:
        """A port of `portRange`, tried from a random one on, or any that is free."""
        relays, config = self.node.relays, self.node.config
        numbers = config.proxy_ports
        offset = self.node.choices.draw(len(numbers), "proxy port") if len(numbers) > 1 else 0
        refused: CommandError | None = None
        for number in (*numbers[offset:], *numbers[:offset]):
            try:
                return relays.open(protocol, self.address.listen_ip, number, idle_s=config.udp_idle_timeout_s)
            except CommandError as error:
                refused = error
        assert refused is not None
        raise refused

    def _ensure_portal(self, name: ServicePortName) -> CommandError | None:
        """Hold the ports and make sure of the rules; a place that someone else has gets no rules."""
        portal, refused = self.portals[name], None
        for place in self._places(portal.port):
            if place not in portal.claimed:
                try:
                    self.node.relays.claim(portal.port.protocol, *place)
                except CommandError as error:
                    refused = error
                else:
                    portal = self.portals[name] = attrs.evolve(portal, claimed=(*portal.claimed, place))
        for rule in self._rules(portal):
            ensure_rule(self.node.kernel, self.tool, rule)
        return refused

    def _places(self, port: ServicePort) -> list[tuple[str, int]]:
        """What is held: the node port, and ports of external IPs that are addresses of this node."""
        own = node_addresses(self.node.kernel, self.node.family) if port.external_ips else ()
        places = [(ip, port.port) for ip in port.external_ips if ip in own]
        return [*places, (self.address.listen_ip, port.node_port)] if port.node_port else places

    def _rules(self, portal: Portal) -> Iterable[PortalRule]:
        unheld = [place for place in self._places(portal.port) if place not in portal.claimed]
        reachable = attrs.evolve(
            portal.port,
            node_port=0 if any(number == portal.port.node_port for _, number in unheld) else portal.port.node_port,
            external_ips=tuple(ip for ip in portal.port.external_ips if (ip, portal.port.port) not in unheld),
        )
        return portal_rules(reachable, portal.proxy_port, self.address)

    def _close(self, portal: Portal) -> None:
        for rule in self._rules(portal):
            delete_rule(self.node.kernel, self.tool, rule)
        for number in (portal.proxy_port, *(number for _, number in portal.claimed)):
            self.node.relays.close(portal.port.protocol, number)

    def _forget_udp(self, ip: str) -> None:
        """Conntrack entries to the cluster IP of a UDP service port that is gone."""
        family = "ipv6" if self.node.family == "IPv6" else "ipv4"
        try:
            self.node.kernel.run(["conntrack", "-D", "-f", family, "-p", "udp", "--orig-dst", ip])
        except CommandError as error:
            if "0 flow entries" not in error.stderr:
                raise

    # -- endpoints -------------------------------------------------------------------------------------------------

    def take_endpoints(self, view: NodeView, changes: Changes) -> None:
        """Tell the relays of these Services' ports about their endpoints."""
        for service in sorted(changes.endpoints):
            for name in view.ports_of(service):
                self._serve(view, name)

    def _serve(self, view: NodeView, name: ServicePortName) -> None:
        """Endpoints that are not the same set as before start a new round, in an order of chance."""
        portal = self.portals.get(name)
        if portal is None:
            return
        ready = [(e.ip, e.port) for e in view.endpoints.get(name, ()) if e.is_ready]
        known = self._served.get(name)
        if known is not None and sorted(known) == sorted(ready):
            return
        order = tuple(self._shuffled(ready, str(name)))
        self._served[name] = order
        affinity_s = portal.port.affinity_timeout_s
        self.node.relays.serve(portal.port.protocol, portal.proxy_port, order, affinity_s=affinity_s)

    def _shuffled(self, endpoints: list[tuple[str, int]], of: str) -> Iterable[tuple[str, int]]:
        left = list(endpoints)
        while len(left) > 1:
            yield left.pop(self.node.choices.pick([1] * len(left), f"order of the endpoints of {of}"))
        yield from left

    # ----------------------------------------------------------------------------------------------------------------

    def refresh_metrics(self) -> None:
        """Nothing is read from the node for the metrics of this mode."""

    def fork(self, node: ProxyNode, metrics: Metrics) -> UserspaceWriter:
        copy = UserspaceWriter(node, metrics)
        copy.portals, copy._served = self.portals.copy(), self._served.copy()
        return copy

    def stop(self) -> None:
        """The process ends, and its relays with it."""
        for portal in self.portals.values():
            for number in (portal.proxy_port, *(number for _, number in portal.claimed)):
                self.node.relays.close(portal.port.protocol, number)


def _is_same(known: ServicePort, wanted: ServicePort) -> bool:
    """Whether a portal may stay open: a changed affinity time-out alone is not noticed."""
    if bool(known.affinity_timeout_s) != bool(wanted.affinity_timeout_s):
        return False
    fields = ("cluster_ip", "port", "node_port", "external_ips", "load_balancer_ips")
    return all(getattr(known, field) == getattr(wanted, field) for field in fields)


def userspace_writer(node: ProxyNode, metrics: Metrics) -> UserspaceWriter:
    """The factory of the mode."""
    return UserspaceWriter(node, metrics)
