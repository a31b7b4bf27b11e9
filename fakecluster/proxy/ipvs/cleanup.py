"""Removing what ipvs mode leaves on a node: when nftables mode starts, and for `kube-proxy --cleanup`.

Source: Kubernetes pkg/proxy/ipvs/proxier.go (CleanupLeftovers).
"""

from __future__ import annotations

import contextlib

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import TOOL, delete_chains, delete_jump
from fakecluster.proxy.ipvs.chains import FILTER_CHAINS, JUMPS, NAT_CHAINS
from fakecluster.proxy.ipvs.node import DEVICE
from fakecluster.proxy.ipvs.sets import TYPES, set_name
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES


def clean_up(kernel: NodeKernel) -> None:
    """All virtual servers, whoever made them; the dummy device; jumps, chains and sets of both families."""
    kernel.run(["ipvsadm", "-C"])
    with contextlib.suppress(CommandError):  # not there
        kernel.run(["ip", "link", "del", DEVICE])
    for family in FAMILIES:
        for jump in JUMPS:
            delete_jump(kernel, TOOL[family], jump)
        delete_chains(kernel, TOOL[family], "nat", NAT_CHAINS.__contains__)
        delete_chains(kernel, TOOL[family], "filter", FILTER_CHAINS.__contains__)
    for family in FAMILIES:
        for name in TYPES:
            with contextlib.suppress(CommandError):  # not there, or a rule of someone else's uses it
                kernel.run(["ipset", "destroy", set_name(name, family)])
