"""kube-proxy's configuration file: KubeProxyConfiguration, kubeproxy.config.k8s.io/v1alpha1.

Source: Kubernetes pkg/proxy/apis/config (types, v1alpha1/defaults.go, validation/validation.go).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import attrs

from fakecluster.errors import ManifestError, Unsupported
from fakecluster.proxy.go_duration import duration_s
from fakecluster.proxy.view import Family, family_of

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"
MODES = ("iptables", "ipvs", "nftables", "userspace")
DETECT_LOCAL_MODES = ("", "BridgeInterface", "ClusterCIDR", "InterfaceNamePrefix", "NodeCIDR")
NODE_PORT_ADDRESSES_PRIMARY = "primary"
DEFAULT_IPVS_SCHEDULER = "rr"


@attrs.frozen
class ConntrackConfiguration:
    max_per_core: int = 32768
    min: int = 131072
    tcp_established_timeout_s: float = 86400.0
    tcp_close_wait_timeout_s: float = 3600.0
    tcp_be_liberal: bool = False
    udp_timeout_s: float = 0.0
    udp_stream_timeout_s: float = 0.0


@attrs.frozen
class IptablesConfiguration:
    masquerade_bit: int = 14
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    sync_period_s: float = 30.0
    min_sync_period_s: float = 1.0


@attrs.frozen
class IpvsConfiguration:
    sync_period_s: float = 30.0
    min_sync_period_s: float = 1.0
    scheduler: str = ""
    exclude_cidrs: tuple[str, ...] = ()
    strict_arp: bool = False
    tcp_timeout_s: float = 0.0
    tcp_fin_timeout_s: float = 0.0
    udp_timeout_s: float = 0.0


@attrs.frozen
class NftablesConfiguration:
    masquerade_bit: int = 14
    masquerade_all: bool = False
    sync_period_s: float = 30.0
    min_sync_period_s: float = 1.0


@attrs.frozen
class DetectLocalConfiguration:
    bridge_interface: str = ""
    interface_name_prefix: str = ""


_PORT_RANGE = re.compile(r"\s*(\d+)(?:([-+])(\d+))?\s*")


@attrs.frozen
class KubeProxyConfiguration:
    """What a kube-proxy was told at its start; defaults are the real ones. Times are seconds."""

    mode: str = "iptables"
    hostname_override: str = ""
    bind_address: str = "0.0.0.0"
    healthz_bind_address: str = "0.0.0.0:10256"
    metrics_bind_address: str = "127.0.0.1:10249"
    cluster_cidrs: tuple[str, ...] = ()
    detect_local_mode: str = "ClusterCIDR"
    detect_local: DetectLocalConfiguration = DetectLocalConfiguration()
    node_port_addresses: tuple[str, ...] = ()
    port_range: str = ""
    #: only userspace mode, which older versions had
    udp_idle_timeout_s: float = 0.25
    conntrack: ConntrackConfiguration = ConntrackConfiguration()
    iptables: IptablesConfiguration = IptablesConfiguration()
    ipvs: IpvsConfiguration = IpvsConfiguration()
    nftables: NftablesConfiguration = NftablesConfiguration()
    #: what the real one logs when strict decoding fails but lenient decoding does not
    warnings: tuple[str, ...] = ()

    @property
    def sync_periods_s(self) -> tuple[float, float]:
        """(minSyncPeriod, syncPeriod) of the mode in force."""
        sections: dict[str, IptablesConfiguration | IpvsConfiguration | NftablesConfiguration]
        sections = {"ipvs": self.ipvs, "nftables": self.nftables}
        section = sections.get(self.mode, self.iptables)
        return section.min_sync_period_s, section.sync_period_s

    @property
    def proxy_ports(self) -> range:
        """The ports of `portRange` (``1024-2048`` or ``1024+1024``), for userspace mode; 0 alone (any) without one."""
        found = _PORT_RANGE.fullmatch(self.port_range)
        if found is None:
            return range(1)
        first, last = int(found[1]), int(found[3] or found[1])
        return range(first, (first + last if found[2] == "+" else last) + 1)

    def cluster_cidr(self, family: Family) -> str:
        return next((cidr for cidr in self.cluster_cidrs if family_of(cidr) == family), "")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {type(value).__name__}")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected an integer, got {value!r}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of strings, got {value!r}")
    return tuple(_text(entry) for entry in value)


def _duration(value: object) -> float:
    return duration_s(_text(value))


def _ignored(value: object) -> object:
    return value


Reader = Callable[[Any], Any]


def _section(kind: type[Any], fields: Mapping[str, tuple[str, Reader]]) -> Reader:
    return lambda value: kind(**_read(value, fields, kind.__name__))


#: Fields that only say how the process logs, serves or talks to the API server: nothing here depends on them.
_NO_EFFECT = (
    "apiVersion",
    "kind",
    "clientConnection",
    "logging",
    "bindAddressHardFail",
    "enableProfiling",
    "showHiddenMetricsForVersion",
    "oomScoreAdj",
    "configSyncPeriod",
    "windowsRunAsService",
)
_PERIODS: dict[str, tuple[str, Reader]] = {
    "syncPeriod": ("sync_period_s", _duration),
    "minSyncPeriod": ("min_sync_period_s", _duration),
}
_MASQUERADE: dict[str, tuple[str, Reader]] = {
    "masqueradeBit": ("masquerade_bit", _number),
    "masqueradeAll": ("masquerade_all", _truth),
}
_CONNTRACK: dict[str, tuple[str, Reader]] = {
    "maxPerCore": ("max_per_core", _number),
    "min": ("min", _number),
    "tcpEstablishedTimeout": ("tcp_established_timeout_s", _duration),
    "tcpCloseWaitTimeout": ("tcp_close_wait_timeout_s", _duration),
    "tcpBeLiberal": ("tcp_be_liberal", _truth),
    "udpTimeout": ("udp_timeout_s", _duration),
    "udpStreamTimeout": ("udp_stream_timeout_s", _duration),
}
_IPVS: dict[str, tuple[str, Reader]] = {
    **_PERIODS,
    "scheduler": ("scheduler", _text),
    "excludeCIDRs": ("exclude_cidrs", _texts),
    "strictARP": ("strict_arp", _truth),
    "tcpTimeout": ("tcp_timeout_s", _duration),
    "tcpFinTimeout": ("tcp_fin_timeout_s", _duration),
    "udpTimeout": ("udp_timeout_s", _duration),
}
_DETECT: dict[str, tuple[str, Reader]] = {
    "bridgeInterface": ("bridge_interface", _text),
    "interfaceNamePrefix": ("interface_name_prefix", _text),
}
_IPTABLES = {**_PERIODS, **_MASQUERADE, "localhostNodePorts": ("localhost_node_ports", _truth)}
_FIELDS: dict[str, tuple[str, Reader]] = {
    "mode": ("mode", _text),
    "hostnameOverride": ("hostname_override", _text),
    "bindAddress": ("bind_address", _text),
    "healthzBindAddress": ("healthz_bind_address", _text),
    "metricsBindAddress": ("metrics_bind_address", _text),
    "clusterCIDR": ("cluster_cidrs", lambda value: tuple(part for part in _text(value).split(",") if part)),
    "detectLocalMode": ("detect_local_mode", _text),
    "detectLocal": ("detect_local", _section(DetectLocalConfiguration, _DETECT)),
    "nodePortAddresses": ("node_port_addresses", _texts),
    "portRange": ("port_range", _text),
    "udpIdleTimeout": ("udp_idle_timeout_s", _duration),
    "conntrack": ("conntrack", _section(ConntrackConfiguration, _CONNTRACK)),
    "iptables": ("iptables", _section(IptablesConfiguration, _IPTABLES)),
    "ipvs": ("ipvs", _section(IpvsConfiguration, _IPVS)),
    "nftables": ("nftables", _section(NftablesConfiguration, {**_PERIODS, **_MASQUERADE})),
}
#: Sections of other operating systems and switches that the model does not follow.
_REFUSED = ("winkernel", "featureGates")


def parse(document: Mapping[str, Any]) -> KubeProxyConfiguration:
    """Read a configuration file's document; raises ManifestError (the real one's words) or Unsupported.

    Unknown fields are a warning, as in the real one, which then decodes leniently.
    """
    given = (document.get("apiVersion"), document.get("kind"))
    if given != (API_VERSION, KIND):
        raise ManifestError(f'no kind "{given[1]}" is registered for version "{given[0]}"', place=KIND)
    for field in _REFUSED:
        if document.get(field):
            raise Unsupported(f"kube-proxy configuration field {field}", token=field)
    warnings = tuple(f'strict decoding error: unknown field "{path}"' for path in _unknown(document))
    values = _read({key: value for key, value in document.items() if key not in _NO_EFFECT}, _FIELDS, KIND)
    config = _with_defaults(KubeProxyConfiguration(**values, warnings=warnings))
    _check(config)
    return config


def _read(value: object, fields: Mapping[str, tuple[str, Reader]], place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ManifestError(f"expected an object, got {value!r}", place=place)
    values = {}
    for key, (name, read) in fields.items():
        if value.get(key) is not None:
            try:
                values[name] = read(value[key])
            except ValueError as error:
                raise ManifestError(str(error), place=f"{place}.{key}") from None
    return values


_SECTIONS: dict[str, Mapping[str, tuple[str, Reader]]] = {
    "conntrack": _CONNTRACK,
    "iptables": _IPTABLES,
    "ipvs": _IPVS,
    "nftables": {**_PERIODS, **_MASQUERADE},
    "detectLocal": _DETECT,
}


def _unknown(document: Mapping[str, Any]) -> list[str]:
    paths = [key for key in document if key not in _FIELDS and key not in _NO_EFFECT and key not in _REFUSED]
    for section, fields in _SECTIONS.items():
        paths += [f"{section}.{key}" for key in document.get(section) or {} if key not in fields]
    return paths


def _with_defaults(config: KubeProxyConfiguration) -> KubeProxyConfiguration:
    """Empty strings mean the default; an address without a port gets the default port."""
    return attrs.evolve(
        config,
        mode=config.mode or "iptables",
        bind_address=config.bind_address or "0.0.0.0",
        healthz_bind_address=_with_port(config.healthz_bind_address or "0.0.0.0", 10256),
        metrics_bind_address=_with_port(config.metrics_bind_address or "127.0.0.1", 10249),
        detect_local_mode=config.detect_local_mode or "ClusterCIDR",
    )


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if address.count(":") > 1 and "]" not in address else _v4_with_port(address, port)


def _v4_with_port(address: str, port: int) -> str:
    return address if ":" in address else f"{address}:{port}"


def _check(config: KubeProxyConfiguration) -> None:
    """kube-proxy's validation; all complaints together, as it prints them."""
    complaints = [*_mode_complaints(config), *_address_complaints(config), *_period_complaints(config)]
    if complaints:
        raise ManifestError(complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]", place=KIND)


def _mode_complaints(config: KubeProxyConfiguration) -> list[str]:
    complaints = []
    if config.mode not in MODES:
        complaints.append(
            f'{KIND}.ProxyMode: Invalid value: "{config.mode}": must be iptables,ipvs,nftables or blank '
            "(blank means the best-available proxy [currently iptables])"
        )
    if config.detect_local_mode not in DETECT_LOCAL_MODES:
        complaints.append(
            f'{KIND}.DetectLocalMode: Invalid value: "{config.detect_local_mode}": must be '
            "BridgeInterface,ClusterCIDR,InterfaceNamePrefix,NodeCIDR or blank"
        )
    needed = {
        "BridgeInterface": ("BridgeInterface", config.detect_local.bridge_interface),
        "InterfaceNamePrefix": ("InterfaceNamePrefix", config.detect_local.interface_name_prefix),
    }.get(config.detect_local_mode)
    if needed and not needed[1]:
        complaints.append(
            f'{KIND}.DetectLocalMode.{needed[0]}: Invalid value: "": {needed[0]} cannot be empty when '
            f"DetectLocalMode is {config.detect_local_mode}"
        )
    for section, bit in (("Iptables", config.iptables.masquerade_bit), ("NFTables", config.nftables.masquerade_bit)):
        if not 0 <= bit <= 31:
            complaints.append(
                f"{KIND}.KubeProxy{section}Configuration.MasqueradeBit: Invalid value: {bit}: "
                "must be within the range [0, 31]"
            )
    return complaints


def _address_complaints(config: KubeProxyConfiguration) -> list[str]:
    complaints = []
    if config.port_range and not _PORT_RANGE.fullmatch(config.port_range):
        complaints.append(
            f'{KIND}.PortRange: Invalid value: "{config.port_range}": expected hyphen notation: <min>-<max>'
        )
    if not _is_address(config.bind_address):
        complaints.append(
            f'{KIND}.BindAddress: Invalid value: "{config.bind_address}": not a valid textual representation '
            "of an IP address"
        )
    families = [family_of(cidr) for cidr in config.cluster_cidrs]
    bad = [cidr for cidr in config.cluster_cidrs if not _is_cidr(cidr)]
    if bad or len(families) > 2 or len(set(families)) != len(families):
        reason = (
            "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"
            if bad
            else "only one CIDR allowed or a valid DualStack CIDR (e.g. 10.100.0.0/16,fde4:8dba:82e1::/48)"
        )
        complaints.append(f'{KIND}.ClusterCIDR: Invalid value: "{",".join(config.cluster_cidrs)}": {reason}')
    addresses = config.node_port_addresses
    for index, address in enumerate(addresses):
        if address == NODE_PORT_ADDRESSES_PRIMARY:
            if len(addresses) > 1:
                complaints.append(
                    f"{KIND}.NodePortAddresses[{index}]: Invalid value: \"primary\": can't use both 'primary' and CIDRs"
                )
        elif not _is_cidr(address):
            complaints.append(
                f'{KIND}.NodePortAddresses[{index}]: Invalid value: "{address}": must be a valid CIDR block '
                "(e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"
            )
    return complaints


def _period_complaints(config: KubeProxyConfiguration) -> list[str]:
    complaints = []
    for name, section in (("IPTables", config.iptables), ("IPVS", config.ipvs), ("NFTables", config.nftables)):
        place = f"{KIND}.KubeProxy{name}Configuration"
        if section.sync_period_s <= 0:
            complaints.append(f"{place}.SyncPeriod: must be greater than 0")
        if section.min_sync_period_s < 0:
            complaints.append(f"{place}.MinSyncPeriod: must be greater than or equal to 0")
        if section.min_sync_period_s > section.sync_period_s:
            complaints.append(f"{place}.SyncPeriod: must be greater than or equal to {place}.MinSyncPeriod")
    return complaints


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _is_cidr(text: str) -> bool:
    try:
        return "/" in text and bool(ip_network(text, strict=False))
    except ValueError:
        return False
