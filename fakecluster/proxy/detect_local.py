"""Which traffic comes from a Pod of this node: kube-proxy's local detectors, one per `detectLocalMode`.

Source: Kubernetes pkg/proxy/util/localdetector.go and cmd/kube-proxy/app/server_linux.go.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from fakecluster.proxy.config import KubeProxyConfiguration
from fakecluster.proxy.view import Family, family_of


@attrs.frozen
class LocalDetector:
    """Says "from a local Pod" either by source range (`cidr`) or by incoming interface (`interface`); or not at all."""

    cidr: str = ""
    #: exact name, or prefix when `interface_is_prefix`
    interface: str = ""
    interface_is_prefix: bool = False

    def __bool__(self) -> bool:
        return bool(self.cidr or self.interface)

    @property
    def if_local(self) -> str:
        """As iptables arguments."""
        if self.cidr:
            return f"-s {self.cidr}"
        return f"-i {self.interface}{'+' if self.interface_is_prefix else ''}"

    @property
    def if_not_local(self) -> str:
        return f"! {self.if_local}"


def local_detector(config: KubeProxyConfiguration, family: Family, pod_cidrs: Iterable[str]) -> LocalDetector:
    """The detector of one family; `pod_cidrs` are those of the node's own Node object."""
    mode = config.detect_local_mode
    if mode == "BridgeInterface":
        return LocalDetector(interface=config.detect_local.bridge_interface)
    if mode == "InterfaceNamePrefix":
        return LocalDetector(interface=config.detect_local.interface_name_prefix, interface_is_prefix=True)
    if mode == "NodeCIDR":
        return LocalDetector(cidr=next((cidr for cidr in pod_cidrs if family_of(cidr) == family), ""))
    return LocalDetector(cidr=config.cluster_cidr(family))
