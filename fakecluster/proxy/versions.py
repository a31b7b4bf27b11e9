"""What kube-proxy did differently in older Kubernetes versions: a table of changes with the version that brought them.

A `Behaviours` value is made once per kube-proxy from its version; the code asks it by name and never compares versions.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from fakecluster.errors import Unsupported

VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36")
DEFAULT_VERSION = "1.36"


@attrs.frozen
class Behaviours:
    """The switches; the defaults are 1.36. Sources stand with each row of `CHANGES`."""

    #: conntrack clean-up by comparing the whole table with the serving endpoints, not by remembering removed ones
    conntrack_reconciles: bool = True
    #: the reconciling clean-up compares the endpoint's port too, not only its address
    conntrack_compares_ports: bool = True
    #: ``hints.forNodes`` is honoured (feature PreferSameTrafficDistribution)
    node_hints: bool = True
    #: of two endpoints at one address and port the one that is not terminating counts; else the one on this node
    running_wins: bool = True
    #: ServiceCIDR objects are watched, and so nftables mode drops what goes to unallocated cluster IPs
    service_cidrs: bool = True


#: The behaviours of `DEFAULT_VERSION`.
CURRENT = Behaviours()


@attrs.frozen
class BehaviourChange:
    """`values` replace the defaults in every version before `since`."""

    since: str
    values: Mapping[str, bool]
    source: str


CHANGES: tuple[BehaviourChange, ...] = (
    BehaviourChange("1.32", {"conntrack_reconciles": False}, "kubernetes issue 126130, pull request 127318"),
    BehaviourChange("1.33", {"service_cidrs": False}, "KEP-1880, feature gate MultiCIDRServiceAllocator on since 1.33"),
    BehaviourChange("1.34", {"conntrack_compares_ports": False}, "kubernetes pull request 130542, CHANGELOG-1.34"),
    BehaviourChange("1.34", {"node_hints": False}, "KEP-3015, feature gate PreferSameTrafficDistribution beta in 1.34"),
    BehaviourChange("1.36", {"running_wins": False}, "kubernetes issue 135266, pull request 135593"),
)


def behaviours(version: str) -> Behaviours:
    """The behaviours of a Kubernetes minor version such as ``"1.33"``; raises Unsupported for others."""
    if version not in VERSIONS:
        raise Unsupported(f"kube-proxy of Kubernetes {version}; known: {', '.join(VERSIONS)}", token=version)
    values: dict[str, bool] = {}
    for change in CHANGES:
        if VERSIONS.index(version) < VERSIONS.index(change.since):
            values.update(change.values)
    return attrs.evolve(CURRENT, **values)
