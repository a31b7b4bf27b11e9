"""Removing nftables mode's tables: when another mode starts on the node, and for `kube-proxy --cleanup`.

Source: Kubernetes pkg/proxy/nftables/proxier.go (CleanupLeftovers).
"""

from __future__ import annotations

from collections.abc import Iterator

from fakecluster.errors import CommandError
from fakecluster.proxy.nftables.fixed import FAMILY_WORD, TABLE
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES


def clean_up(kernel: NodeKernel) -> Iterator[str]:
    """Delete the tables of both families; adding them first makes it no error when they are not there.

    Yields complaints.
    """
    for family in FAMILIES:
        table = f"{FAMILY_WORD[family]} {TABLE}"
        try:
            kernel.run(["nft", "-f", "-"], f"add table {table}\ndelete table {table}\n")
        except CommandError as error:
            yield str(error)
