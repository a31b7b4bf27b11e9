"""Faults on demand: links, nodes, components, Pods, the API server, DNS, tables.

    cluster.faults.partition("a", "b")            until cluster.faults.heal("a", "b")
    cluster.faults.link("node-network", delay_s=0.05)
    cluster.faults.crash("b"); cluster.advance(60); cluster.faults.boot("b")
    cluster.faults.run(FaultPlan(...))            the same by a plan, on the virtual clock

Whatever is broken is kept by the parts that it belongs to (segments, clock, sysctls), so that a fork inherits it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from fakecluster.api.faults import WRITES, Failing
from fakecluster.cluster.faults import names, nodes, pods, processes, schedule
from fakecluster.cluster.faults.options import FaultOptions
from fakecluster.cluster.faults.plan import PORTS, Fault, FaultPlan
from fakecluster.cni.nodes import NODE_NETWORK
from fakecluster.discovery.faults import DnsFault
from fakecluster.handles.history import History, kept
from fakecluster.sim import numbers

if TYPE_CHECKING:
    from fakecluster.api.store import Inbox
    from fakecluster.cluster.cluster import Cluster

_LINK_TIMES = ("delay_s", "reorder_s")


@attrs.frozen(eq=False)
class Faults:
    """The faults of one cluster. Names of what does not exist raise LookupError with those that do."""

    cluster: Cluster

    @property
    def expression(self) -> str:
        """How a script gets hold of it."""
        return "cluster.faults"

    @property
    def history(self) -> History:
        return self.cluster.history

    # --- by a plan

    @kept
    def run(self, plan: FaultPlan | FaultOptions) -> FaultPlan:
        """Let the faults of a plan begin and end at their times from now on; options make a plan by their seed.

        Returns the plan. Raises ValueError or LookupError, and schedules nothing, when it does not fit the cluster.
        """
        made = plan.plan(self.cluster) if isinstance(plan, FaultOptions) else plan
        if not isinstance(made, FaultPlan):
            raise TypeError(f"{made!r}: expected a FaultPlan or FaultOptions")
        schedule.run(self.cluster, made)
        return made

    @property
    def active(self) -> tuple[Fault, ...]:
        """The faults of plans that have begun and not ended."""
        return tuple(self.cluster.parts.active_faults)

    @property
    def log(self) -> list[str]:
        """What began and ended when, and what could not: one line each."""
        return self.cluster.parts.fault_log

    # --- links

    @kept
    def link(self, place: str = NODE_NETWORK, **changes: Fraction | float) -> None:
        """Make a link worse: `node-network`, or a Pod's own (`pod/web-1`). What is not given stays; 0 makes it well.

        `loss`, `duplicate`, `reorder` and `corrupt` are probabilities of each packet (a float is read as its decimal
        text); `delay_s` is one way, `reorder_s` how long a packet is held back so that others overtake it. Corruption
        turns one bit; checksums find it, or not, as in the kernel. Raises ValueError for anything else.
        """
        checked: dict[str, Fraction | float] = {}
        known = ("loss", "duplicate", "reorder", "corrupt", *_LINK_TIMES)
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"a link has no {name}; it has {', '.join(known)}")
            if name in _LINK_TIMES:
                checked[name] = names.seconds(name, value, "packets do not arrive before they are sent")
            else:
                checked[name] = names.probability(name, value)
        self.cluster.network.change(names.segment(self.cluster, place), **checked)

    @kept
    def partition(self, a: str | Iterable[str], b: str | Iterable[str], *, one_way: bool = False) -> None:
        """Let no packet pass between two nodes (or groups of them, or `outside`); `one_way`: none from `a` to `b`.

        What the control plane does is not packets here: cut a node off from it with `crash` or `hold("kubelet@a")`.
        """
        pairs = names.pairs(self.cluster, a, b)
        directed = pairs if one_way else pairs | {(there, here) for here, there in pairs}
        network = self.cluster.network
        network.change(NODE_NETWORK, cut=network.segments[NODE_NETWORK].cut | directed)

    @kept
    def heal(self, a: str | Iterable[str] = (), b: str | Iterable[str] = ()) -> None:
        """End the partition between two sides; without arguments, every partition."""
        network = self.cluster.network
        cut = network.segments[NODE_NETWORK].cut
        pairs = names.pairs(self.cluster, a, b) if a or b else cut
        network.change(NODE_NETWORK, cut=cut - pairs - {(there, here) for here, there in pairs})

    # --- nodes

    @kept
    def crash(self, node: str) -> None:
        """The node is dead: no packet leaves or reaches it, kubelet and kube-proxy stand still, its lease runs out."""
        nodes.crash(self.cluster, node)

    @kept
    def boot(self, node: str) -> None:
        """A node that crashed is back: connections are forgotten, containers start anew, the kubelet reports.

        Rules are taken to be back before the first packet; partitions of this node are healed.
        """
        nodes.boot(self.cluster, node)
        self.cluster.settle()

    @kept
    def reboot(self, node: str, *, down_s: float = 0.0) -> None:
        """Crash, let `down_s` of virtual time pass, boot. Raises ValueError for negative times."""
        names.seconds("down_s", down_s, "time does not run backwards")
        self.crash(node)
        self.cluster.advance(down_s)
        self.boot(node)

    @kept
    def clock_jump(self, node: str, seconds: float) -> None:
        """A node's clock is wrong by so much more (negative: behind): so are the times that its kubelet writes."""
        nodes.clock_jump(self.cluster, node, seconds)

    # --- components

    @kept
    def kill(self, component: str) -> None:
        """End a component (`kube-proxy@a`, `scheduler`, `endpointslice-controller`...); rules that it wrote stay.

        Its memory is lost. Raises ValueError when it is down already.
        """
        processes.crash(self.cluster, component)
        self.cluster.settle()

    @kept
    def start(self, component: str) -> None:
        """Start a component that was killed; it lists, and goes on from there. Raises ValueError when it runs."""
        processes.start(self.cluster, component)
        self.cluster.settle()

    @kept
    def restart(self, component: str) -> None:
        """Kill a component and start it again; until it has listed, what the old one wrote stays in force."""
        processes.crash(self.cluster, component)
        self.start(component)

    # --- Pods

    @kept
    def hang(self, pod: str) -> None:
        """A Pod's programs stop where they are; connections still open, nothing is answered until `resume`."""
        pods.hang(names.pod(self.cluster, pod))

    @kept
    def resume(self, pod: str) -> None:
        """Programs that hang go on, with what has waited for them."""
        pods.resume(names.pod(self.cluster, pod))

    @kept
    def crash_pod(self, pod: str) -> None:
        """Every program of a Pod is killed; its restart policy says what follows."""
        handle = names.pod(self.cluster, pod)
        for container in handle.object["spec"]["containers"]:
            handle.exit(nodes.KILLED, container=container["name"])

    @kept
    def slow_start(self, node: str, seconds: float) -> None:
        """Pods that are bound to a node from now on need so long until their containers start (0: at once)."""
        names.node_port(self.cluster, node)
        delay_s = names.seconds("seconds", seconds, "a start does not come before the binding")
        self.cluster.parts.kubelets[node].start_delay_s = delay_s

    # --- the API server

    @kept
    def fail_api(
        self,
        code: int,
        *,
        verbs: Iterable[str] = WRITES,
        resource: str = "",
        user: str = "",
        probability: Fraction | float = 1,
    ) -> None:
        """Let requests fail with 409, 410, 429, 500, 503 or 504 until `mend_api`: clients see it, and components that write.

        What components read comes from their informers' caches. `user` is who asks (`system:node:a`, `admin`). Raises
        ValueError for other codes and unknown verbs, LookupError for a resource or a user that there is not.
        """
        chance = names.probability("probability", probability)
        server = self.cluster.parts.server
        if resource:
            names.resource(server.registry, resource)
        if user:
            names.user(self.cluster, user)
        server.failing = (*server.failing, Failing(code, verbs, resource, user, chance))

    @kept
    def slow_api(self, seconds: float) -> None:
        """Every answer over HTTP and every event of a watch takes so long (0: at once)."""
        server = self.cluster.parts.server
        server.slow_s = names.seconds("seconds", seconds, "an answer does not come before the question")
        server.store.set_delay(seconds)

    @kept
    def cut_watch(self, component: str) -> None:
        """A component's watch breaks; it hears of nothing until `mend_watch`, and then only what it came to."""
        self._inbox(component).cut()

    @kept
    def mend_watch(self, component: str) -> None:
        """The watch is back: the component lists anew."""
        self._inbox(component).mend()

    @kept
    def cut_watches(self) -> None:
        """Every watch over HTTP ends, as when the server is restarted; clients come again."""
        self.cluster.parts.server.store.connections += 1

    @kept
    def stale_lists(self) -> None:
        """From now on lists from the watch cache (version 0, and a component's first) show the present state for ever.

        Until `mend_api`; kubernetes/kubernetes#59848.
        """
        store = self.cluster.parts.server.store
        store.stale_revision = store.revision

    @kept
    def mend_api(self) -> None:
        """Nothing fails, is slow or stale any more."""
        server = self.cluster.parts.server
        server.failing, server.slow_s = (), 0.0
        server.store.freshen()

    # --- DNS

    @kept
    def dns(self, what: str, *, name: str = "", probability: Fraction | float = 1) -> None:
        """Let cluster DNS err until `mend_dns`: `what` is "silent", "NXDOMAIN", "SERVFAIL", "REFUSED" or an address.

        `name` limits it to names that end so. Raises ValueError for anything else.
        """
        fault = DnsFault(what, name, names.probability("probability", probability))
        dns = self.cluster.dns
        dns.set_faults((*dns.faults, fault))

    @kept
    def mend_dns(self) -> None:
        """Cluster DNS is right again."""
        self.cluster.dns.set_faults(())

    # --- tables

    @kept
    def conntrack_limit(self, node: str, entries: int) -> None:
        """Let a node's connection table hold so many entries and no more (nf_conntrack_max)."""
        if numbers.whole("entries", entries) < 1:
            raise ValueError(f"entries={entries}: expected 1 or more (the kernel reads 0 as no limit)")
        netns = self.cluster.network.namespaces[names.node_port(self.cluster, node).namespace]
        netns.run(f"sysctl -w net.netfilter.nf_conntrack_max={int(entries)}")

    @kept
    def ephemeral_ports(self, namespace: str, count: int) -> None:
        """Leave a host (`pod/client`, `node/a`) so many source ports and no more (ip_local_port_range)."""
        netns = self.cluster.network.namespaces[names.host(self.cluster, namespace)]
        if not 1 <= numbers.whole("count", count) <= PORTS:
            raise ValueError(f"count={count}: expected 1 to {PORTS}")
        netns.run(["sysctl", "-w", f"net.ipv4.ip_local_port_range=32768 {32768 + int(count) - 1}"])

    def _inbox(self, component: str) -> Inbox:
        inboxes = self.cluster.parts.server.store.inboxes
        if component not in inboxes:
            raise LookupError(f"nothing called {component!r} watches; there are {', '.join(sorted(inboxes))}")
        return inboxes[component]
