"""A plan on the virtual clock: every beginning and end is an event, in which nothing but plain values travel."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from fakecluster.api.faults import Failing
from fakecluster.cluster.due_faults import TARGET
from fakecluster.cluster.faults import names, nodes, processes
from fakecluster.cluster.faults.plan import KINDS, Fault, FaultPlan
from fakecluster.discovery.faults import SILENT, DnsFault

if TYPE_CHECKING:
    from fakecluster.cluster.cluster import Cluster

#: At one moment, faults end before others begin, and both before everything else that is due.
ENDS, BEGINS = -2, -1
#: What a wrong answer says: an address of TEST-NET-1 that nobody has.
WRONG_ADDRESS = "192.0.2.1"


def run(cluster: Cluster, plan: FaultPlan) -> None:
    """Put a plan on the clock. Raises LookupError when it names what does not exist; then nothing of it happens."""
    plan.check(cluster)
    for fault in plan.faults:
        cluster.clock.schedule(TARGET, ("begin", fault), delay_s=fault.at_s, priority=BEGINS)


def _begin(cluster: Cluster, fault: Fault) -> None:
    before = None
    try:
        fault.check(cluster)
        before = BEGIN[fault.kind](cluster, fault)
    except (LookupError, ValueError) as problem:
        _tell(cluster, f"{fault}: not done: {problem}")
        return
    _tell(cluster, f"begins: {fault}")
    if KINDS[fault.kind].lasts:
        cluster.parts.active_faults.append(fault)
        if fault.for_s != inf:
            cluster.clock.schedule(TARGET, ("end", fault, before), delay_s=fault.for_s, priority=ENDS)


def _end(cluster: Cluster, fault: Fault, before: Any) -> None:
    cluster.parts.active_faults.remove(fault)
    try:
        END[fault.kind](cluster, fault, before)
    except (LookupError, ValueError) as problem:
        _tell(cluster, f"{fault}: not ended: {problem}")
        return
    _tell(cluster, f"ends: {fault}")


STEPS: dict[str, Callable[..., None]] = {"begin": _begin, "end": _end}


def _tell(cluster: Cluster, line: str) -> None:
    cluster.parts.fault_log.append(f"{cluster.clock.now_s:g} s {line}")


# --- how each kind begins (what it gives is kept until the end), and how it ends


def _link(quality: str) -> tuple[Callable[[Cluster, Fault], Any], Callable[[Cluster, Fault, Any], None]]:
    def begin(cluster: Cluster, fault: Fault) -> Any:
        segment = cluster.network.segments[names.segment(cluster, fault.place)]
        cluster.faults.link(fault.place, **{quality: fault.size})
        return getattr(segment, quality)

    def end(cluster: Cluster, fault: Fault, before: Any) -> None:
        cluster.faults.link(fault.place, **{quality: before})

    return begin, end


def _sysctl(name: str, node: bool) -> tuple[Callable[[Cluster, Fault], Any], Callable[[Cluster, Fault, Any], None]]:
    def netns_of(cluster: Cluster, fault: Fault) -> Any:
        return cluster.network.namespaces[f"node/{fault.target}" if node else names.host(cluster, fault.target)]

    def begin(cluster: Cluster, fault: Fault) -> Any:
        before = netns_of(cluster, fault).sysctls[name]
        change = cluster.faults.conntrack_limit if node else cluster.faults.ephemeral_ports
        change(fault.target, int(fault.size))
        return before

    def end(cluster: Cluster, fault: Fault, before: Any) -> None:
        netns_of(cluster, fault).run(["sysctl", "-w", f"{name}={before}"])

    return begin, end


def _reboot(cluster: Cluster, fault: Fault) -> None:
    nodes.crash(cluster, fault.target)
    nodes.boot(cluster, fault.target)


def _restart(cluster: Cluster, fault: Fault) -> None:
    processes.crash(cluster, fault.target)
    processes.start(cluster, fault.target)


def _slow_start(cluster: Cluster, fault: Fault) -> float:
    before = cluster.parts.kubelets[fault.target].start_delay_s
    cluster.faults.slow_start(fault.target, fault.size)
    return before


def _fail_api(cluster: Cluster, fault: Fault) -> Failing:
    cluster.faults.fail_api(int(fault.size), user=fault.target)
    return cluster.parts.server.failing[-1]


def _mend_api(cluster: Cluster, fault: Fault, before: Failing) -> None:
    server = cluster.parts.server
    server.failing = tuple(one for one in server.failing if one is not before)


def _dns(what: str) -> Callable[[Cluster, Fault], DnsFault]:
    def begin(cluster: Cluster, fault: Fault) -> DnsFault:
        cluster.faults.dns(what, name=fault.target, probability=Fraction(str(fault.size)))
        return cluster.dns.faults[-1]

    return begin


def _mend_dns(cluster: Cluster, fault: Fault, before: DnsFault) -> None:
    cluster.dns.set_faults(tuple(one for one in cluster.dns.faults if one is not before))


def _heal(cluster: Cluster, fault: Fault, before: None) -> None:
    cluster.faults.heal(fault.target, fault.to)


_LINKS = {
    kind: _link(quality)
    for kind, quality in (
        ("loss", "loss"), ("duplicate", "duplicate"), ("reorder", "reorder"), ("corrupt", "corrupt"),
        ("delay", "delay_s"),
    )
}  # fmt: skip
_TABLES = {
    "conntrack-limit": _sysctl("net.netfilter.nf_conntrack_max", node=True),
    "ephemeral-ports": _sysctl("net.ipv4.ip_local_port_range", node=False),
}
BEGIN: dict[str, Callable[[Cluster, Fault], Any]] = {
    "hold": lambda cluster, fault: cluster.hold(fault.target),
    "crash": lambda cluster, fault: processes.crash(cluster, fault.target),
    "restart": _restart,
    "cut-watch": lambda cluster, fault: cluster.faults.cut_watch(fault.target),
    "partition": lambda cluster, fault: cluster.faults.partition(fault.target, fault.to),
    "one-way-partition": lambda cluster, fault: cluster.faults.partition(fault.target, fault.to, one_way=True),
    "crash-node": lambda cluster, fault: nodes.crash(cluster, fault.target),
    "reboot": _reboot,
    "clock-jump": lambda cluster, fault: nodes.clock_jump(cluster, fault.target, fault.size),
    "slow-start": _slow_start,
    "crash-pod": lambda cluster, fault: cluster.faults.crash_pod(fault.target),
    "hang-pod": lambda cluster, fault: cluster.faults.hang(fault.target),
    "fail-api": _fail_api,
    "slow-api": lambda cluster, fault: cluster.faults.slow_api(fault.size),
    "stale-lists": lambda cluster, fault: cluster.faults.stale_lists(),
    "cut-watches": lambda cluster, fault: cluster.faults.cut_watches(),
    "dns-silent": _dns(SILENT),
    "dns-wrong": _dns(WRONG_ADDRESS),
    **{kind: begin for kind, (begin, _) in (_LINKS | _TABLES).items()},
}
END: dict[str, Callable[[Cluster, Fault, Any], None]] = {
    "hold": lambda cluster, fault, before: cluster.release(fault.target),
    "crash": lambda cluster, fault, before: processes.start(cluster, fault.target),
    "cut-watch": lambda cluster, fault, before: cluster.faults.mend_watch(fault.target),
    "partition": _heal,
    "one-way-partition": _heal,
    "crash-node": lambda cluster, fault, before: nodes.boot(cluster, fault.target),
    "clock-jump": lambda cluster, fault, before: nodes.clock_jump(cluster, fault.target, -fault.size),
    "slow-start": lambda cluster, fault, before: cluster.faults.slow_start(fault.target, before),
    "hang-pod": lambda cluster, fault, before: cluster.faults.resume(fault.target),
    "fail-api": _mend_api,
    "slow-api": lambda cluster, fault, before: cluster.faults.slow_api(0),
    "stale-lists": lambda cluster, fault, before: cluster.parts.server.store.freshen(),
    "dns-silent": _mend_dns,
    "dns-wrong": _mend_dns,
    **{kind: end for kind, (_, end) in (_LINKS | _TABLES).items()},
}
