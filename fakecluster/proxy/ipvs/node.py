"""What ipvs mode needs of its node: sysctls, time-outs, a usable IPVS, and the dummy device of the service addresses.

The device stays down: the kernel's `local` routes exist all the same, so that packets to a service address enter INPUT,
where IPVS takes them. Source: Kubernetes pkg/proxy/ipvs/proxier.go (NewProxier, CanUseIPVSProxier), netlink_linux.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

import attrs

from fakecluster.errors import CommandError
from fakecluster.proxy.config import DEFAULT_IPVS_SCHEDULER, KubeProxyConfiguration
from fakecluster.proxy.ipvs.servers import Scheduling, ServerKey, add_server, delete_server
from fakecluster.proxy.node_addresses import addresses_by_device
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import Family, family_of

DEVICE = "kube-ipvs0"
_SYSCTLS = {
    "net.ipv4.vs.conntrack": 1,
    "net.ipv4.vs.expire_nodest_conn": 1,
    "net.ipv4.vs.expire_quiescent_template": 1,
    "net.ipv4.ip_forward": 1,
}
_STRICT_ARP_SYSCTLS = {"net.ipv4.conf.all.arp_ignore": 1, "net.ipv4.conf.all.arp_announce": 2}
#: A virtual server made and deleted again to see whether the kernel knows the scheduler (TEST-NET-2).
_TRIAL = ServerKey.of("TCP", "198.51.100.0", 20000)


def scheduler_of(config: KubeProxyConfiguration) -> str:
    return config.ipvs.scheduler or DEFAULT_IPVS_SCHEDULER


def check_usable(kernel: NodeKernel, config: KubeProxyConfiguration) -> None:
    """Raise CommandError, with the words kube-proxy ends with, when the kernel cannot schedule as configured."""
    scheduler = scheduler_of(config)
    try:
        listing = kernel.run(["ipvsadm", "-Ln"])
        if any(f" {scheduler} " in f"{line} " for line in listing.splitlines()):
            return  # in use: so it is there
        kernel.run(["ipvsadm", "-R"], add_server(_TRIAL, Scheduling(scheduler)) + delete_server(_TRIAL))
    except CommandError as error:
        reason = "no such file or directory" if "not found" in error.stderr else error.stderr.strip()
        raise CommandError(("kube-proxy",), 1, f"can't use the IPVS proxier: {reason}") from None


def prepare(kernel: NodeKernel, config: KubeProxyConfiguration) -> None:
    """Once at the start: sysctls, which are never reset, and time-outs that were asked for."""
    wanted = _SYSCTLS | (_STRICT_ARP_SYSCTLS if config.ipvs.strict_arp else {})
    for key, value in wanted.items():
        kernel.run(["sysctl", "-w", f"{key}={value}"])
    timeouts_s = (config.ipvs.tcp_timeout_s, config.ipvs.tcp_fin_timeout_s, config.ipvs.udp_timeout_s)
    if any(timeouts_s):
        kernel.run(["ipvsadm", "--set", *[str(int(timeout_s)) for timeout_s in timeouts_s]])


@attrs.frozen
class LocalAddresses:
    """The node's addresses of one family: bound to the dummy device, and on all others but loopback ones."""

    bound: frozenset[str]
    others: tuple[str, ...]


def local_addresses(kernel: NodeKernel, family: Family) -> LocalAddresses:
    """Link-local and loopback addresses do not count."""
    by_device = addresses_by_device(kernel, family)
    others = (ip for device, found in by_device.items() if device != DEVICE for ip in found)
    return LocalAddresses(
        frozenset(filter(_counts, by_device.get(DEVICE, ()))), tuple(dict.fromkeys(filter(_counts, others)))
    )


@lru_cache(maxsize=65536)
def _counts(ip: str) -> bool:
    address = ip_address(ip)
    return not (address.is_loopback or (address.version == 6 and address.is_link_local))


def ensure_device(kernel: NodeKernel) -> None:
    try:
        kernel.run(["ip", "link", "add", DEVICE, "type", "dummy"])
    except CommandError as error:
        if "File exists" not in error.stderr:
            raise


def bind(kernel: NodeKernel, ips: Iterable[str]) -> None:
    for ip in ips:
        kernel.run(["ip", "address", "add", _host(ip), "dev", DEVICE])


def unbind(kernel: NodeKernel, ips: Iterable[str]) -> None:
    for ip in ips:
        kernel.run(["ip", "address", "del", _host(ip), "dev", DEVICE])


def _host(ip: str) -> str:
    return f"{ip}/{32 if family_of(ip) == 'IPv4' else 128}"
