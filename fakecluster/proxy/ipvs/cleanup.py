"""Removing what ipvs mode leaves on a node: when nftables mode starts, and for `kube-proxy --cleanup`.

Source: Kubernetes pkg/proxy/ipvs/proxier.go (CleanupLeftovers).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from fakecluster.errors import CommandError
from fakecluster.proxy.chains import TOOL, WAIT, chains_in, delete_jump
from fakecluster.proxy.ipvs.chains import FILTER_CHAINS, JUMPS, NAT_CHAINS
from fakecluster.proxy.ipvs.node import DEVICE
from fakecluster.proxy.ipvs.sets import TYPES, set_name
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES


def clean_up(kernel: NodeKernel) -> Iterator[str]:
    """Remove all virtual servers, whoever made them; the dummy device; jumps and chains; the sets of IPv4.

    Chains go one by one, as far as nothing else uses them; the sets of IPv6 stay, as the real one leaves them.
    Yields complaints.
    """
    try:
        kernel.run(["ipvsadm", "-C"])
    except CommandError as error:  # a kernel without IPVS
        yield str(error)
    with contextlib.suppress(CommandError):  # not there
        kernel.run(["ip", "link", "del", DEVICE])
    for family in FAMILIES:
        for jump in JUMPS:
            delete_jump(kernel, TOOL[family], jump)
        for table, chains in (("nat", NAT_CHAINS), ("filter", FILTER_CHAINS)):
            yield from _delete_chains(kernel, TOOL[family], table, chains)
    for name in TYPES:
        with contextlib.suppress(CommandError):  # not there, or a rule of someone else's uses it
            kernel.run(["ipset", "destroy", set_name(name, "IPv4")])


def _delete_chains(kernel: NodeKernel, tool: str, table: str, chains: Iterable[str]) -> Iterator[str]:
    """All are emptied before any is deleted, so that they no longer lead to each other."""
    existing = chains_in(kernel, tool, table)
    doomed = [chain for chain in chains if chain in existing]
    for option in ("-F", "-X"):
        for chain in doomed:
            try:
                kernel.run([tool, *WAIT, "-t", table, option, chain])
            except CommandError as error:
                yield str(error)
