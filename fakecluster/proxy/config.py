"""kube-proxy's configuration file: KubeProxyConfiguration, kubeproxy.config.k8s.io/v1alpha1.

Source: Kubernetes pkg/proxy/apis/config (types, v1alpha1/defaults.go, validation/validation.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fakecluster.errors import ManifestError, Unsupported
from fakecluster.proxy.config_check import NAMED_MODES, complaints
from fakecluster.proxy.go_duration import duration_s
from fakecluster.proxy.port_range import port_range
from fakecluster.proxy.view import Family, canonical_ip, family_of

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"
MODES = (*NAMED_MODES, "userspace")
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
        return port_range(self.port_range)

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


def _section(kind: Callable[..., Any], fields: Mapping[str, tuple[str, Reader]], name: str) -> Reader:
    return lambda value: kind(**_read(value, fields, f"{KIND}.{name}"))


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
    "detectLocal": ("detect_local", _section(DetectLocalConfiguration, _DETECT, "detectLocal")),
    "nodePortAddresses": ("node_port_addresses", _texts),
    "portRange": ("port_range", _text),
    "udpIdleTimeout": ("udp_idle_timeout_s", _duration),
    "conntrack": ("conntrack", _section(ConntrackConfiguration, _CONNTRACK, "conntrack")),
    "iptables": ("iptables", _section(IptablesConfiguration, _IPTABLES, "iptables")),
    "ipvs": ("ipvs", _section(IpvsConfiguration, _IPVS, "ipvs")),
    "nftables": ("nftables", _section(NftablesConfiguration, {**_PERIODS, **_MASQUERADE}, "nftables")),
}
#: Fields without an effect here that are validated all the same.
_VALIDATED: dict[str, tuple[str, Reader]] = {
    "configSyncPeriod": ("config_sync_period_s", _duration),
    "oomScoreAdj": ("oom_score_adj", _number),
    "clientConnection": ("client", _section(dict, {"burst": ("burst", _number)}, "clientConnection")),
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
    config = KubeProxyConfiguration(**_with_defaults(values), warnings=warnings)
    wrong = list(complaints(config, **_read(document, _VALIDATED, KIND)))
    if wrong:
        raise ManifestError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]", place=KIND)
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


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Empty strings mean the default; an address without a port gets the default port."""
    bind_address = values.get("bind_address") or "0.0.0.0"
    anywhere, here = ("::", "::1") if family_of(bind_address) == "IPv6" else ("0.0.0.0", "127.0.0.1")
    return {
        **values,
        "mode": values.get("mode") or "iptables",
        "bind_address": bind_address,
        "healthz_bind_address": _with_port(values.get("healthz_bind_address") or anywhere, 10256),
        "metrics_bind_address": _with_port(values.get("metrics_bind_address") or here, 10249),
        "detect_local_mode": values.get("detect_local_mode") or "ClusterCIDR",
    }


def _with_port(address: str, port: int) -> str:
    """A bare address gets the port; what is neither that nor has a port is left to validation."""
    found = canonical_ip(address)
    return address if not found else f"[{address}]:{port}" if ":" in found else f"{address}:{port}"
