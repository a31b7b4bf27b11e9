"""The proxy modes: who writes the rules of each, and who removes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fakecluster.errors import Unsupported
from fakecluster.proxy import iptables, ipvs, nftables, userspace
from fakecluster.proxy.config import ConntrackConfiguration, KubeProxyConfiguration
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.proxier import WriterFactory

WRITERS: Mapping[str, WriterFactory] = {
    "iptables": iptables.iptables_writer,
    "ipvs": ipvs.ipvs_writer,
    "nftables": nftables.nftables_writer,
    "userspace": userspace.userspace_writer,
}
#: Removes a mode's rules from a node where another mode starts; yields complaints.
CLEAN_UPS: Mapping[str, Callable[[NodeKernel], Iterator[str]]] = {
    "iptables": iptables.clean_up,
    "ipvs": ipvs.clean_up,
    "nftables": nftables.clean_up,
    "userspace": userspace.clean_up,
}
#: Whether a node can do a mode at all: raises CommandError when it cannot.
CHECKS: Mapping[str, Callable[[NodeKernel, KubeProxyConfiguration], None]] = {"ipvs": ipvs.check_usable}


def writer_of(mode: str) -> WriterFactory:
    """The factory of a mode's rules writer; raises Unsupported for a mode that has none."""
    if mode not in WRITERS:
        raise Unsupported(f"kube-proxy mode {mode}", token=mode)
    return WRITERS[mode]


_NETFILTER = "net.netfilter.nf_conntrack_"


def sysctls_of(conntrack: ConntrackConfiguration, cpus: int) -> dict[str, int]:
    """The conntrack settings that every mode makes at its start; 0 leaves the kernel's value."""
    settings = {
        "max": max(conntrack.max_per_core * cpus, conntrack.min) if conntrack.max_per_core else 0,
        "tcp_timeout_established": int(conntrack.tcp_established_timeout_s),
        "tcp_timeout_close_wait": int(conntrack.tcp_close_wait_timeout_s),
        "tcp_be_liberal": int(conntrack.tcp_be_liberal),
        "udp_timeout": int(conntrack.udp_timeout_s),
        "udp_timeout_stream": int(conntrack.udp_stream_timeout_s),
    }
    return {_NETFILTER + key: value for key, value in settings.items() if value > 0}
