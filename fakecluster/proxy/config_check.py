"""kube-proxy's validation of its configuration: every complaint, in its words and its order.

Source: Kubernetes pkg/proxy/apis/config/validation/validation.go; the form of a complaint is that of
apimachinery pkg/util/validation/field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

from fakecluster.proxy.go_duration import duration_text
from fakecluster.proxy.port_range import is_port_range
from fakecluster.proxy.view import canonical_ip, family_of

if TYPE_CHECKING:
    from fakecluster.proxy.config import KubeProxyConfiguration

ROOT = "KubeProxyConfiguration"
#: The modes that the real one names; userspace, which it once had, is no longer among them.
NAMED_MODES = ("iptables", "ipvs", "nftables")
DETECT_LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", "")
NODE_PORT_ADDRESSES_PRIMARY = "primary"
_NOT_NEGATIVE = "must be greater than or equal to 0"
_POSITIVE = "must be greater than 0"
_CIDR_BLOCK = "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"
_CIDR_PAIR = "must be a either a single CIDR or dual-stack pair of CIDRs (e.g. [10.100.0.0/16, fde4:8dba:82e1::/48]"


def complaints(
    config: KubeProxyConfiguration,
    *,
    config_sync_period_s: float = 900.0,
    oom_score_adj: int = -999,
    client: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[str]:
    """What kube-proxy refuses to start with; the keywords are fields that have no effect on the network."""
    yield from _masquerade_bit("KubeProxyIPTablesConfiguration", config.iptables.masquerade_bit)
    if config.mode == "ipvs":
        yield from _ipvs(config)
    if config.mode == "nftables":
        yield from _masquerade_bit("KubeProxyNFTablesConfiguration", config.nftables.masquerade_bit)
    yield from _linux(config, oom_score_adj)
    if config.mode not in (*NAMED_MODES, "userspace"):
        wanted = (
            f"must be {', '.join(NAMED_MODES)} or blank (blank means the best-available proxy [currently iptables])"
        )
        yield _invalid("Mode.ProxyMode", config.mode, wanted)
    if client.get("burst", 0) < 0:
        yield _invalid("ClientConnection.Burst", client["burst"], _NOT_NEGATIVE)
    yield from _periods(config, config_sync_period_s)
    yield from _addresses(config)
    yield from _detect_local(config)


def _invalid(path: str, value: object, reason: str) -> str:
    return f"{ROOT}.{path}: Invalid value: {_go(value)}: {reason}"


def _go(value: object) -> str:
    """A value as Go's `%q`, `%v` or `%#v` shows it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[]string{{{', '.join(map(_go, value))}}}"
    return duration_text(value) if isinstance(value, float) else str(value)


def _masquerade_bit(section: str, bit: int) -> Iterator[str]:
    if not 0 <= bit <= 31:
        yield _invalid(f"{section}.MasqueradeBit", bit, "must be within the range [0, 31]")


def _ipvs(config: KubeProxyConfiguration) -> Iterator[str]:
    ipvs, section = config.ipvs, "KubeProxyIPVSConfiguration"
    timeouts_s = {"TCPTimeout": ipvs.tcp_timeout_s, "TCPFinTimeout": ipvs.tcp_fin_timeout_s}
    yield from _not_negative(section, {**timeouts_s, "UDPTimeout": ipvs.udp_timeout_s})
    for index, cidr in enumerate(ipvs.exclude_cidrs):
        if not _is_cidr(cidr):
            yield _invalid(f"{section}.ExcludeCidrs[{index}]", cidr, "must be a valid CIDR")


def _linux(config: KubeProxyConfiguration, oom_score_adj: int) -> Iterator[str]:
    conntrack, section = config.conntrack, "KubeProxyLinuxConfiguration"
    values = {
        "MaxPerCore": conntrack.max_per_core,
        "Min": conntrack.min,
        "TCPEstablishedTimeout": conntrack.tcp_established_timeout_s,
        "TCPCloseWaitTimeout": conntrack.tcp_close_wait_timeout_s,
        "UDPTimeout": conntrack.udp_timeout_s,
        "UDPStreamTimeout": conntrack.udp_stream_timeout_s,
    }
    yield from _not_negative(f"{section}.KubeProxyConntrackConfiguration", values)
    if not -1000 <= oom_score_adj <= 1000:
        yield _invalid(f"{section}.OOMScoreAdj", oom_score_adj, "must be within the range [-1000, 1000]")


def _not_negative(section: str, values: Mapping[str, float]) -> Iterator[str]:
    for name, value in values.items():
        if value < 0:
            yield _invalid(f"{section}.{name}", value, _NOT_NEGATIVE)


def _periods(config: KubeProxyConfiguration, resync_s: float) -> Iterator[str]:
    """Those of the mode in force; the others' are not looked at."""
    least_s, period_s = config.sync_periods_s
    if resync_s <= 0:
        yield _invalid("ConfigSyncPeriod", resync_s, _POSITIVE)
    if period_s <= 0:
        yield _invalid("SyncPeriod", period_s, _POSITIVE)
    if least_s < 0:
        yield _invalid("MinSyncPeriod", least_s, _NOT_NEGATIVE)
    if least_s > period_s:
        yield _invalid("SyncPeriod", least_s, f"must be greater than or equal to {ROOT}.MinSyncPeriod")


def _addresses(config: KubeProxyConfiguration) -> Iterator[str]:
    if not canonical_ip(config.bind_address):
        reason = "not a valid textual representation of an IP address"
        yield _invalid("BindAddress", config.bind_address, reason)
    yield from _host_port("HealthzBindAddress", config.healthz_bind_address)
    yield from _host_port("MetricsBindAddress", config.metrics_bind_address)
    if not is_port_range(config.port_range):
        yield _invalid("PortRange", config.port_range, "must be a valid port range (e.g. 300-2000)")
    for index, entry in enumerate(config.node_port_addresses):
        path = f"NodePortAddresses[{index}]"
        if entry == NODE_PORT_ADDRESSES_PRIMARY:
            if len(config.node_port_addresses) > 1:
                yield _invalid(path, entry, "can't use both 'primary' and CIDRs")
            break
        if not _is_cidr(entry):
            yield _invalid(path, entry, "must be a valid CIDR")


def _host_port(path: str, text: str) -> Iterator[str]:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        yield _invalid(path, text, "must be IP:port")
        return
    host = host[1:-1] if bracketed else host
    if not canonical_ip(host):
        yield _invalid(path, host, "must be a valid IP")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        yield _invalid(path, port, "must be a valid port")


def _detect_local(config: KubeProxyConfiguration) -> Iterator[str]:
    mode, detect = config.detect_local_mode, config.detect_local
    if mode not in DETECT_LOCAL_MODES:
        supported = ", ".join(map(_go, DETECT_LOCAL_MODES))
        yield f"{ROOT}.DetectLocalMode: Unsupported value: {_go(mode)}: supported values: {supported}"
    section = "DetectLocalConfiguration"
    if mode == "BridgeInterface" and not detect.bridge_interface:
        yield _invalid(f"{section}.InterfaceName", "", "must not be empty")
    if mode == "InterfaceNamePrefix" and not detect.interface_name_prefix:
        yield _invalid(f"{section}.InterfacePrefix", "", "must not be empty")
    if mode == "ClusterCIDR" and config.cluster_cidrs:
        yield from _cluster_cidrs(f"{section}.ClusterCIDRs", config.cluster_cidrs)


def _cluster_cidrs(path: str, cidrs: tuple[str, ...]) -> Iterator[str]:
    bad = [index for index, cidr in enumerate(cidrs) if not _is_cidr(cidr)]
    if len(cidrs) > 2:
        yield _invalid(path, cidrs, _CIDR_PAIR)
        return
    for index in bad:
        yield _invalid(f"{path}[{index}]", cidrs[index], _CIDR_BLOCK)
    if len(cidrs) == 2 and not bad and not _are_two_families(cidrs):
        yield _invalid(path, cidrs, _CIDR_PAIR)


def _are_two_families(cidrs: Iterable[str]) -> bool:
    return len({family_of(cidr) for cidr in cidrs}) == 2


def _is_cidr(text: str) -> bool:
    address, slash, length = text.partition("/")
    try:
        return bool(slash) and bool(ip_network(f"{ip_address(canonical_ip(address))}/{length}", strict=False))
    except ValueError:
        return False
