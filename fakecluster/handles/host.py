"""Anything with a network namespace that can send: a Pod, a Node, the outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakecluster.discovery.hostname import listed
from fakecluster.discovery.resolvconf import ResolvConf, parse
from fakecluster.discovery.resolver import Lookup, lookup
from fakecluster.handles.asking import ask
from fakecluster.handles.history import History, called, kept
from fakecluster.handles.outcomes import Outcomes, connection_outcomes, name_outcomes, packet_outcomes
from fakecluster.handles.packets import PacketTrace
from fakecluster.handles.places import Place, locate
from fakecluster.handles.sending import finished, quiet_port
from fakecluster.handles.talk import ConnectFailed, Connection, Reach, ResolveFailed, cause_of, open_connection
from fakecluster.handles.targets import Target, TargetError, parse_target
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.sim.clock import NS_PER_S

if TYPE_CHECKING:
    from fakecluster.handles.service import Service
    from fakecluster.handles.world import World

#: Traces that a cluster remembers for failure reports.
TRACES_KEPT = 32
#: How a name to look up is told from a target to connect to.
DNS = "dns://"
#: The hosts file of what is no Pod.
LOCALHOST = "127.0.0.1\tlocalhost\n::1\tlocalhost\n"


class Host:
    """A namespace of the cluster, by name (`pod/web-1`, `node/a`, `outside`)."""

    #: where names without a namespace are looked for
    kubernetes_namespace = "default"

    @property
    def target(self) -> str:
        """How this host is named as a target (`pod/default/web-1`); "" when it cannot be."""
        return ""

    @property
    def node_name(self) -> str:
        """The node that this host is or runs on; "" outside the cluster."""
        return ""

    def __init__(self, world: World, namespace: str) -> None:
        self.world, self.namespace = world, namespace

    @property
    def expression(self) -> str:
        """How a script gets hold of this host."""
        return f"cluster.host_of({self.namespace!r})"

    @property
    def history(self) -> History:
        return self.world.history

    @property
    def netns(self) -> Netns:
        """The model of this host's kernel. Raises LookupError when it does not exist (any more)."""
        netns = self.world.network.namespaces.get(self.namespace)
        if netns is None:
            raise LookupError(f"{self.namespace} has no network namespace")
        return netns

    @property
    def ips(self) -> list[str]:
        """Every address of this host, loopback left out."""
        return [
            str(ip_address(own.address))
            for interface in self.netns.interfaces.values()
            for own in interface.addresses
            if own.scope != "host"
        ]

    @property
    def resolv_conf(self) -> ResolvConf:
        """/etc/resolv.conf; hosts that are no Pods ask the servers outside, not cluster DNS."""
        return parse(self.world.runtime.node_resolv_conf)

    @property
    def hosts(self) -> str:
        """The text of /etc/hosts."""
        return LOCALHOST

    # --- commands

    @kept
    def run(self, command: str | Sequence[str], stdin: str | Path = "") -> str:
        """Run a command (iptables-save, nft, ip, conntrack, ...) on this host; returns what it prints.

        Raises `CommandError` in the tool's own words.
        """
        text = stdin.read_text() if isinstance(stdin, Path) else stdin
        return self.netns.run(command, text)

    # --- packets

    @kept
    def send(self, packet: Any) -> PacketTrace:
        """Send one L3 packet (Scapy or bytes) and follow it as far as it gets now.

        An unset source address, and an unset source port of TCP or UDP, are chosen as the kernel would; answers to that
        port are taken silently. A packet that the kernel refuses to send has a trace that ends there.
        """
        journey = self.new_journey()
        netns = self.netns
        data = finished(netns, packet)
        with quiet_port(netns, data), self.recorded(journey):
            try:
                self.world.network.record(netns, netns.send_local(data, trace=True))
            except SendError as refused:
                self.world.network.record(netns, refused.effects)
            self.world.network.run()
        return self.trace_of(journey)

    # --- conversations

    def locate(self, target: str | Service | Host, port: int | str | None = None, *, protocol: str = "") -> Place:
        """The address and port that a target means for this host. Raises `TargetError`, `ResolveFailed`."""
        parsed = target_of(target, port)
        if protocol:
            parsed = Target(parsed.host, parsed.port, protocol, parsed.kind, parsed.namespace)
        return locate(self, parsed)

    def connect(
        self, target: str | Service | Host, port: int | str | None = None, *, protocol: str = "", timeout_s: float = 0.0
    ) -> Connection:
        """Open a connection: `connect("web", 80)`, `connect("svc/web:http")`, `connect("udp://10.96.0.10:53")`.

        When nothing comes back now, up to `timeout_s` of virtual time passes (retransmissions, delays). Raises
        `ConnectFailed` (its text is the trace), `TargetError`, `ResolveFailed`.
        """
        history = self.world.history
        name = history.new_connection()
        options: dict[str, Any] = {"port": port, "protocol": protocol, "timeout_s": timeout_s}
        line = called(self.expression, "connect", target, **{key: value for key, value in options.items() if value})
        with history.call(f"{name} = {line}"):
            place = self.locate(target, port, protocol=protocol)
            try:
                opened = open_connection(self, place, timeout_s=timeout_s)
            except ConnectFailed as failed:
                from fakecluster.handles.hints import hint

                failed.hint = hint(self, place)
                raise
        opened.expression = name
        return opened

    @kept
    def can_reach(
        self, target: str | Service | Host, port: int | str | None = None, *, timeout_s: float = 0.0
    ) -> Reach:
        """Whether a connection opens (TCP) or an answer comes back (UDP); the result says why not."""
        words = str(target_of(target, port))
        try:
            connection = self.connect(target, port, timeout_s=timeout_s)
            if connection.place.protocol != "tcp":
                connection.request(b"reach", timeout_s=timeout_s)
        except ConnectFailed as failed:
            cause = cause_of(failed.trace.trace) if failed.trace is not None else ""
            return Reach(False, words, failed.outcome, str(failed.trace or ""), cause, failed.hint)
        except ResolveFailed as failed:
            return Reach(False, words, str(failed))
        connection.close()
        return Reach(True, words, "reached")

    @kept
    def outcomes(self, what: Any, port: int | str | None = None, *, explain: bool = False) -> Outcomes:
        """Every possible end of a packet, a connection (`"tcp://web:80"`) or a look-up (`"dns://web"`), with its exact
        probability.

        `explain` keeps each branch's trace. Raises `OutcomesError` above the bound of branches.
        """
        if isinstance(what, str) and what.startswith(DNS):
            return name_outcomes(self, what.removeprefix(DNS), explain=explain)
        if isinstance(what, (str, Host)) or hasattr(what, "cluster_ip"):
            return connection_outcomes(self, self.locate(what, port), explain=explain)
        return packet_outcomes(self, finished(self.netns, what), explain=explain)

    # --- names

    @kept
    def resolve(self, name: str, rtype: str = "", *, flavour: str = "glibc", timeout_s: float = 0.0) -> list[str]:
        """A name's addresses (or the data of its records of a type), by this host's resolv.conf and DNS packets.

        Raises `ResolveFailed`, which knows the names that were asked for.
        """
        found = self.lookup(name, types=(rtype,) if rtype else (), flavour=flavour, timeout_s=timeout_s)
        if not found.records:
            raise ResolveFailed(name, found.status, tuple(dict.fromkeys(query.name for query in found.queries)))
        return [record.data for record in found.records]

    @kept
    def lookup(
        self, name: str, *, types: tuple[str, ...] = (), flavour: str = "glibc", timeout_s: float = 0.0
    ) -> Lookup:
        """Look a name up as a program in this host would; every query is a packet, and kept in `Lookup.queries`.

        `types` are A and AAAA, as far as the host has such addresses (AI_ADDRCONFIG), unless given; `flavour` is glibc
        or musl. No time passes: what is not answered now counts as lost. With `timeout_s`, up to that much virtual time
        passes, as the resolver's own time-outs and attempts have it. Addresses in /etc/hosts come before DNS.
        """
        world = self.world
        types = types or self._address_types()
        known = listed(self.hosts, name, types)
        if known:
            return Lookup("NOERROR", name, known)
        steps = lookup(
            name,
            self.resolv_conf,
            lambda: world.choices.draw(65536, "DNS message id"),
            types=types,
            flavour=flavour,
            choose=lambda count: world.choices.pick([1] * count, "first name server"),
        )
        until_ns = world.clock.now_ns + round(timeout_s * NS_PER_S)
        try:
            exchanges = next(steps)
            while True:
                exchanges = steps.send(ask(self, exchanges, until_ns))
        except StopIteration as end:
            result: Lookup = end.value
            return result

    def _address_types(self) -> tuple[str, ...]:
        families = {
            own.family for device in self.netns.interfaces.values() for own in device.addresses if own.scope == "global"
        }
        return tuple(rtype for family, rtype in ((4, "A"), (6, "AAAA")) if family in families) or ("A",)

    # --- records

    def new_journey(self) -> int:
        """Begin a record, which the cluster remembers for failure reports."""
        with self.world.network.recorded() as journey:
            pass
        traces = self.world.traces
        traces.append(self.trace_of(journey))
        del traces[:-TRACES_KEPT]
        return journey

    @contextmanager
    def recorded(self, journey: int) -> Iterator[None]:
        """Record what is caused inside the block, and move packets until none is in flight now."""
        with self.world.guard, self.world.network.recorded(self.netns, journey):
            yield
            self.world.network.run()

    def trace_of(self, journey: int) -> PacketTrace:
        return PacketTrace(self.world, journey, self.namespace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Host) and other.namespace == self.namespace

    def __hash__(self) -> int:
        return hash(self.namespace)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace}>"


def target_of(target: str | Service | Host, port: int | str | None) -> Target:
    """Read whatever names a target: text, a Service, a Pod or a Node."""
    if isinstance(target, str):
        return parse_target(target, port=port)
    words = target.target
    if not words:
        raise TargetError(f"{target!r} is not something to connect to")
    return parse_target(words, port=port)
