"""Removing nftables mode's tables: when another mode starts on the node, and for `kube-proxy --cleanup`.

Source: Kubernetes pkg/proxy/nftables/proxier.go (CleanupLeftovers).
"""

from __future__ import annotations

from fakecluster.proxy.nftables.fixed import FAMILY_WORD, TABLE
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES


def clean_up(kernel: NodeKernel) -> None:
    """Delete the tables of both families; adding them first makes it no error when they are not there."""
    for family in FAMILIES:
        table = f"{FAMILY_WORD[family]} {TABLE}"
        kernel.run(["nft", "-f", "-"], f"add table {table}\ndelete table {table}\n")
