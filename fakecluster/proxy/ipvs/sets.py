"""The ipsets of ipvs mode: one per kind of service address, so that the iptables rules never name a Service.

Source: Kubernetes pkg/proxy/ipvs/ipset.go and the list of sets in proxier.go; ipset(8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import Family

LOOP_BACK = "LOOP-BACK"
CLUSTER_IP = "CLUSTER-IP"
EXTERNAL_IP, EXTERNAL_IP_LOCAL = "EXTERNAL-IP", "EXTERNAL-IP-LOCAL"
LOAD_BALANCER, LOAD_BALANCER_LOCAL = "LOAD-BALANCER", "LOAD-BALANCER-LOCAL"
LOAD_BALANCER_FW = "LOAD-BALANCER-FW"
LOAD_BALANCER_SOURCE_IP, LOAD_BALANCER_SOURCE_CIDR = "LOAD-BALANCER-SOURCE-IP", "LOAD-BALANCER-SOURCE-CIDR"
NODE_PORT = {"TCP": "NODE-PORT-TCP", "UDP": "NODE-PORT-UDP", "SCTP": "NODE-PORT-SCTP-HASH"}
NODE_PORT_LOCAL = {"TCP": "NODE-PORT-LOCAL-TCP", "UDP": "NODE-PORT-LOCAL-UDP", "SCTP": "NODE-PORT-LOCAL-SCTP-HASH"}
HEALTH_CHECK_NODE_PORT = "HEALTH-CHECK-NODE-PORT"
IPVS_IPS = "IPVS-IPS"

#: What each set holds.
TYPES: Mapping[str, str] = {
    LOOP_BACK: "hash:ip,port,ip",
    CLUSTER_IP: "hash:ip,port",
    EXTERNAL_IP: "hash:ip,port",
    EXTERNAL_IP_LOCAL: "hash:ip,port",
    LOAD_BALANCER: "hash:ip,port",
    LOAD_BALANCER_LOCAL: "hash:ip,port",
    LOAD_BALANCER_FW: "hash:ip,port",
    LOAD_BALANCER_SOURCE_IP: "hash:ip,port,ip",
    LOAD_BALANCER_SOURCE_CIDR: "hash:ip,port,net",
    **{name: "hash:ip,port" if protocol == "SCTP" else "bitmap:port" for protocol, name in NODE_PORT.items()},
    **{name: "hash:ip,port" if protocol == "SCTP" else "bitmap:port" for protocol, name in NODE_PORT_LOCAL.items()},
    HEALTH_CHECK_NODE_PORT: "bitmap:port",
    IPVS_IPS: "hash:ip",
}
#: ipset's limit of a name's length.
_NAME_LENGTH = 31

Entries = dict[str, dict[str, None]]


def set_name(name: str, family: Family) -> str:
    """`KUBE-CLUSTER-IP`, or `KUBE-6-CLUSTER-IP` cut to what ipset takes."""
    return (("KUBE-" if family == "IPv4" else "KUBE-6-") + name)[:_NAME_LENGTH]


def no_entries() -> Entries:
    """Every set, empty."""
    return {name: {} for name in TYPES}


def make_sets(kernel: NodeKernel, family: Family) -> None:
    """Create the sets that are missing; raises CommandError when one of the name has another type."""
    kernel.run(["ipset", "restore", "-exist"], "".join(_create_lines(family)))


def _create_lines(family: Family) -> Iterator[str]:
    size = f" family {'inet' if family == 'IPv4' else 'inet6'} hashsize 1024 maxelem 65536"
    for name, kind in TYPES.items():
        yield f"create {set_name(name, family)} {kind}{' range 0-65535' if kind == 'bitmap:port' else size}\n"


def reconcile(kernel: NodeKernel, family: Family, wanted: Entries) -> None:
    """Make the sets hold the wanted entries and no others, touching only what differs."""
    present = _present(kernel, family)
    lines = []
    for name, entries in wanted.items():
        known, full_name = present[name], set_name(name, family)
        if known.keys() == entries.keys():
            continue
        lines += [f"del {full_name} {entry}\n" for entry in known if entry not in entries]
        lines += [f"add {full_name} {entry}\n" for entry in entries if entry not in known]
    if lines:
        kernel.run(["ipset", "restore", "-exist"], "".join(lines))


def _present(kernel: NodeKernel, family: Family) -> Entries:
    """The entries of kube-proxy's sets, by the set's short name."""
    ours: Entries = {set_name(name, family): {} for name in TYPES}
    for line in kernel.run(["ipset", "save"]).splitlines():
        word, _, rest = line.partition(" ")
        if word == "add":
            name, _, entry = rest.partition(" ")
            if name in ours:
                ours[name][entry] = None
    return {name: ours[set_name(name, family)] for name in TYPES}
