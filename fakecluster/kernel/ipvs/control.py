"""The virtual server table of a namespace and the commands on it (ip_vs_ctl.c): what ipvsadm and netlink ask for.

    ipvs = netns.ipvs
    ipvs.new_service(ServiceId(4, 6, address, 80), ServiceOptions("rr"))
    ipvs.new_destination(service, Server(4, pod, 8080, "masquerade"))

Errors are `IpvsError`s with the errno's name. The hooks are registered while a family has services.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fakecluster.errors import Unsupported
from fakecluster.kernel.hooks import Hook, HookFunction, Priority
from fakecluster.kernel.ip_output import reroute
from fakecluster.kernel.ipvs import protocols
from fakecluster.kernel.ipvs.connection import Connection, ConnectionTable
from fakecluster.kernel.ipvs.counters import PERIOD_NS, Counters
from fakecluster.kernel.ipvs.defence import Defence
from fakecluster.kernel.ipvs.schedulers import SCHEDULERS
from fakecluster.kernel.ipvs.service import MASQUERADE, Destination, Service, ServiceKey, Trash, service_key
from fakecluster.kernel.ipvs.tracking import drop_conntrack
from fakecluster.kernel.ipvs.traffic import forwarded_error, reply, request
from fakecluster.kernel.packet import Skb, is_link_local
from fakecluster.rules.ipvsadm import Server, ServiceId, ServiceOptions

if TYPE_CHECKING:
    from fakecluster.kernel.netns import Netns

NS_PER_S = 1_000_000_000
HOOKS: tuple[tuple[Hook, int, str, HookFunction], ...] = (
    (Hook.INPUT, Priority.NAT_SRC - 2, "ipvs reply", reply),
    (Hook.INPUT, Priority.NAT_SRC - 1, "ipvs request", request),
    (Hook.OUTPUT, Priority.NAT_DST + 1, "ipvs reply", reply),
    (Hook.OUTPUT, Priority.NAT_DST + 2, "ipvs request", request),
    (Hook.FORWARD, 99, "ipvs icmp", forwarded_error),
    (Hook.FORWARD, 100, "ipvs reply", reply),
)


class IpvsError(Exception):
    """The kernel refuses a command: `name` is the errno's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class Ipvs:
    """Virtual services, their destinations, the connection table and the counters of one namespace."""

    def __init__(self, netns: Netns) -> None:
        self.netns, self.clock = netns, netns.clock
        self.owner: object = object()
        self.services: dict[ServiceKey, Service] = {}
        self.trash = Trash()
        self.connections = ConnectionTable(self._expired)
        self.timeouts = protocols.default_timeouts()
        self.counters = Counters(self.period)
        self.services_of = {4: 0, 6: 0}  # how many each family has: the hooks are there while there are any
        self.flush_pending = False
        self.defence = Defence()
        self._serial = 0
        self._alarm_ns: int | None = None
        self.clock.bind(self.target, self._timer)

    @property
    def target(self) -> str:
        """The clock target of this namespace's timers."""
        return f"ipvs@{self.netns.name}"

    @property
    def period(self) -> int:
        """The number of the estimators' current period."""
        return self.clock.now_ns // PERIOD_NS

    def setting(self, name: str) -> int:
        """The sysctl net.ipv4.vs.{name}."""
        return self.netns.sysctls.number(f"net.ipv4.vs.{name}")

    # --- services

    def service(self, service: ServiceId) -> Service:
        """The service of that name, to change. Raises `IpvsError` (ESRCH)."""
        found = self.services.get(service_key(service))
        if found is None:
            raise IpvsError("ESRCH")
        return self.own(found)

    def new_service(self, service: ServiceId, options: ServiceOptions) -> Service:
        """Add a virtual service. Raises `IpvsError` (EEXIST; ENOENT without such a scheduler or engine; EINVAL)."""
        key = service_key(service)
        if key in self.services:
            raise IpvsError("EEXIST")
        scheduler = self._scheduler(options)
        if service.family == 6 and not 1 <= options.netmask <= 128:
            raise IpvsError("EINVAL")
        self._serial += 1
        made = Service(service, options, self.owner, self._serial, self.period)
        made.scheduler = scheduler(made, self.clock.now_ns)
        self.services[key] = made
        if not self.services_of[service.family]:
            self._register(service.family)
        self.services_of[service.family] += 1
        return made

    def edit_service(self, service: ServiceId, options: ServiceOptions) -> None:
        """Change a service; its scheduler starts afresh only when it is another one. Raises `IpvsError`."""
        found = self.service(service)
        scheduler = self._scheduler(options)
        if service.family == 6 and not 1 <= options.netmask <= 128:
            raise IpvsError("EINVAL")
        another = options.scheduler != found.options.scheduler
        found.options = options
        if another:
            found.scheduler = scheduler(found, self.clock.now_ns)

    def delete_service(self, service: ServiceId) -> None:
        """Remove a service with its destinations; entries stay until they run out. Raises `IpvsError` (ESRCH)."""
        found = self.service(service)
        del self.services[found.key]
        for destination in list(found.destinations):
            found.unlink(destination)
            self._discard(destination)
        self.services_of[service.family] -= 1
        if not self.services_of[service.family]:
            self._unregister(service.family)

    def flush(self) -> None:
        """Remove every service."""
        for service in list(self.services.values()):
            self.delete_service(service.id)

    def zero(self, service: ServiceId | None = None) -> None:
        """Set the counters of a service, or all, to zero. Raises `IpvsError` (ESRCH)."""
        chosen = [self.service(service)] if service is not None else [self.own(s) for s in self.services.values()]
        for each in chosen:
            each.counters.zero()
            for destination in each.destinations:
                destination.counters.zero()
        if service is None:
            self.counters.zero()

    def _scheduler(self, options: ServiceOptions) -> type:
        scheduler = SCHEDULERS.get(options.scheduler)
        if scheduler is None:
            raise IpvsError("ENOENT")
        if options.engine == "sip":
            raise Unsupported("the persistence engine sip of IPVS", token=options.engine)
        if options.engine:
            raise IpvsError("ENOENT")
        return scheduler

    # --- destinations

    def new_destination(self, service: ServiceId, server: Server) -> None:
        """Add a real server at the head of the list; one with connections left comes back as it was.

        Raises `IpvsError` (ESRCH, EEXIST, ERANGE, EINVAL).
        """
        found = self.service(service)
        self._check(found, server)
        endpoint = (server.family, server.address, server.port)
        if endpoint in found.by_endpoint:
            raise IpvsError("EEXIST")
        destination = self.trash.take(found.key, endpoint, self.clock.now_ns)
        if destination is None:
            destination = Destination(found, server)
        else:
            if destination.service.serial != found.serial:
                destination.counters.zero()
            destination.service = found
            destination.apply(server, added=True)
        found.link(destination)
        found.scheduler.added()

    def edit_destination(self, service: ServiceId, server: Server) -> None:
        """Change a real server. Raises `IpvsError` (ESRCH, ENOENT, ERANGE, EINVAL)."""
        found = self.service(service)
        self._check(found, server)
        destination = found.by_endpoint.get((server.family, server.address, server.port))
        if destination is None:
            raise IpvsError("ENOENT")
        destination.apply(server)
        found.scheduler.changed()

    def delete_destination(self, service: ServiceId, server: Server) -> None:
        """Remove a real server; its connections follow `expire_nodest_conn`. Raises `IpvsError` (ESRCH, ENOENT)."""
        found = self.service(service)
        destination = found.by_endpoint.get((server.family, server.address, server.port))
        if destination is None:
            raise IpvsError("ENOENT")
        index = found.unlink(destination)
        found.scheduler.removed(index)
        self._discard(destination)

    def _check(self, service: Service, server: Server) -> None:
        if server.tunnel != "ipip":
            raise Unsupported(f"IPVS tunnels of type {server.tunnel}", token=server.tunnel)
        if server.lower > server.upper or server.weight < 0:
            raise IpvsError("ERANGE")
        if server.family != service.id.family and server.method != "tunnel":
            raise IpvsError("EINVAL")
        kind = self.netns.routes.address_type(server.family, server.address)
        link_local = is_link_local(server.address)
        if (kind not in ("local", "unicast") or link_local) and kind != "local":
            raise IpvsError("EINVAL")

    def _discard(self, destination: Destination) -> None:
        """Keep a removed destination as long as it has connections; with expire_nodest_conn they go in a moment."""
        self.trash.put(destination, self.clock.now_ns)
        if self.setting("expire_nodest_conn"):
            self.flush_pending = True
            self.set_alarm()

    # --- timeouts

    def set_timeouts(self, tcp_s: int, tcp_fin_s: int, udp_s: int) -> None:
        """Change timeouts; 0 leaves one as it is."""
        protocols.set_timeouts(self.timeouts, tcp_s, tcp_fin_s, udp_s)

    # --- entries

    def destination_of(self, connection: Connection) -> Destination:
        """An entry's destination, to count on."""
        destination = connection.destination
        if destination.owner is not self.owner:
            destination = connection.destination = self._own_destination(destination)
        return destination

    def own(self, service: Service) -> Service:
        """This namespace's own copy of a service that it shares with a fork."""
        if service.owner is not self.owner:
            service = self.services[service.key] = service.fork(self.owner)
        return service

    def _own_destination(self, destination: Destination) -> Destination:
        key = destination.service.key
        removed = self.trash.held.get((key, destination.endpoint))
        return removed or self.own(self.services[key]).by_endpoint[destination.endpoint]

    def bind(self, connection: Connection) -> None:
        """Count a new entry on its destination (ip_vs_bind_dest)."""
        destination = connection.destination
        destination.references += 1
        if connection.template:
            destination.persistent += 1
        else:
            destination.inactive += 1
        if destination.upper and destination.active + destination.inactive >= destination.upper:
            destination.overloaded = True

    def _expired(self, connection: Connection) -> None:
        """ip_vs_unbind_dest(), and its conntrack entry goes too."""
        if connection.tracked and not connection.one_packet:
            drop_conntrack(self.netns, connection)
        destination = self.destination_of(connection)
        destination.references -= 1
        if connection.template:
            destination.persistent -= 1
        elif connection.inactive:
            destination.inactive -= 1
        else:
            destination.active -= 1
        total = destination.active + destination.inactive
        if destination.lower:
            if total < destination.lower:
                destination.overloaded = False
        elif not destination.upper or total * 4 < destination.upper * 3:
            destination.overloaded = False
        if not destination.references and not destination.available:
            destination.idle_since_ns = self.clock.now_ns

    # --- counting and looking

    def count_in(self, connection: Connection, skb: Skb) -> None:
        """A packet from the client; one for a removed destination is not counted (ip_vs_in_stats)."""
        destination = self.destination_of(connection)
        if destination.available:
            period, size = self.period, len(skb.data)
            for counters in (destination.counters, destination.service.counters, self.counters):
                if counters.period != period:
                    counters.catch_up(period)
                counters.in_packets += 1
                counters.in_bytes += size

    def count_out(self, connection: Connection, skb: Skb) -> None:
        """A packet from the server (ip_vs_out_stats)."""
        destination = self.destination_of(connection)
        if destination.available:
            period, size = self.period, len(skb.data)
            for counters in (destination.counters, destination.service.counters, self.counters):
                if counters.period != period:
                    counters.catch_up(period)
                counters.out_packets += 1
                counters.out_bytes += size

    def renew(self, connection: Connection) -> None:
        """A packet of the entry is done with (ip_vs_conn_put); a one-packet entry ends with it."""
        if connection.one_packet:
            self.connections.expire(connection, self.clock.now_ns)
        elif connection.live:
            self.connections.renew(connection, self.clock.now_ns)
        self.set_alarm()

    def expire_now(self, connection: Connection) -> None:
        """Let an entry go before the next packet."""
        self.connections.expire_now(connection, self.clock.now_ns)
        self.set_alarm()

    def is_server(self, family: int, protocol: int, address: int, port: int) -> bool:
        """Whether some masquerading service has this real server (ip_vs_has_real_service)."""
        return any(
            service.id.protocol in (0, protocol) and destination.method == MASQUERADE and destination.port == port
            for service in self.services.values()
            for destination in service.destinations
            if (destination.family, destination.address) == (family, address)
        )

    def reroute_reply(self, skb: Skb) -> bool:
        """A reply is routed as if this host had made it (snat_reroute); False when there is no way."""
        if not self.setting("snat_reroute") or (skb.route is not None and skb.route.kind == "local"):
            return True
        return reroute(self.netns, skb)

    def connection_of(self, skb: Skb) -> Connection | None:
        """The entry of a client's packet that was sent on; None for every other packet (xt_ipvs looks only there)."""
        if not skb.ipvs_property or not skb.has_ports:
            return None
        return self.connections.from_server((skb.family, skb.proto, skb.dst, skb.dport, skb.src, skb.sport))

    # --- time

    def run_due(self) -> None:
        """Do what is due: let entries expire, and those of removed destinations go (ip_vs_expire_nodest_conn_flush)."""
        now = self.clock.now_ns
        if self.flush_pending:
            self.flush_pending = False
            for connection in self.connections:
                if connection.live and not connection.controlled and not self.destination_of(connection).available:
                    self.connections.delete(connection, now)
        self.connections.run(now)

    @property
    def is_due(self) -> bool:
        due = self.connections.due_ns
        return self.flush_pending or (due is not None and due <= self.clock.now_ns)

    def set_alarm(self) -> None:
        """Have the clock wake us when the next entry may expire."""
        due = self.clock.now_ns if self.flush_pending else self.connections.due_ns
        if due is None or (self._alarm_ns is not None and self._alarm_ns <= due):
            return
        self._alarm_ns = due
        self.clock.schedule(self.target, due, delay_s=max(due - self.clock.now_ns, 0) / NS_PER_S)

    def _timer(self, due: int | str) -> None:
        if due == "defence":
            self.defence.tick(self)
        elif due == self._alarm_ns:
            self._alarm_ns = None
            self.run_due()
            self.set_alarm()

    # --- hooks

    def _register(self, family: int) -> None:
        for hook, priority, name, function in HOOKS:
            self.netns.hooks.register(family, hook, priority, name, function)

    def _unregister(self, family: int) -> None:
        for hook, _, name, _ in HOOKS:
            self.netns.hooks.unregister(family, hook, name)

    def fork(self, netns: Netns) -> Ipvs:
        """A copy for another namespace; services are shared until one of the two changes them."""
        copy = Ipvs(netns)
        self.owner = object()
        copy.services = self.services.copy()
        copy.connections = self.connections.fork(copy._expired)
        copy.trash, self.trash = self.trash.fork(copy.owner), self.trash.fork(self.owner)
        copy.timeouts = {protocol: values.copy() for protocol, values in self.timeouts.items()}
        copy.counters = self.counters.fork()
        copy.flush_pending, copy.defence = self.flush_pending, self.defence.fork()
        copy._serial, copy._alarm_ns = self._serial, self._alarm_ns
        copy.services_of = self.services_of.copy()
        for family, services in self.services_of.items():
            if services:
                netns.hooks.later(partial(copy._register, family))
        return copy
