"""Removing userspace mode's rules when another mode starts on the node.

Source: Kubernetes 1.25 pkg/proxy/userspace/proxier.go (CleanupLeftovers).
"""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.proxy.chains import TOOL, chains_in, delete_chains, delete_jump
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.userspace.portals import CHAINS, FIRST_JUMPS, LAST_JUMPS, PORTALS_CONTAINER
from fakecluster.proxy.view import FAMILIES


def clean_up(kernel: NodeKernel) -> Iterator[str]:
    """Unhook and delete the chains where the mode has been; yields complaints."""
    for family in FAMILIES:
        tool = TOOL[family]
        if PORTALS_CONTAINER not in chains_in(kernel, tool, "nat"):
            continue
        for jump in (*FIRST_JUMPS, *LAST_JUMPS):
            delete_jump(kernel, tool, jump)
        for table, chains in CHAINS.items():
            yield from delete_chains(kernel, tool, table, chains.__contains__)
