"""Removing iptables mode's rules: when another mode starts on the node, and for `kube-proxy --cleanup`.

KUBE-FIREWALL stays: it is the kubelet's too.
Source: Kubernetes pkg/proxy/iptables/cleanup.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fakecluster.proxy.chains import TOOL, delete_chains, delete_jump
from fakecluster.proxy.iptables.chains import CANARY, FILTER_CHAINS, JUMPS, NAT_CHAINS
from fakecluster.proxy.names import is_service_chain
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES

#: Chains of fixed name to delete, by table.
_FIXED_CHAINS = {"nat": (*NAT_CHAINS, CANARY), "filter": (*FILTER_CHAINS, CANARY), "mangle": (CANARY,)}


def clean_up(kernel: NodeKernel) -> Iterator[str]:
    """Unhook and delete the chains of both families, as far as nothing else uses them; yields complaints."""
    for family in FAMILIES:
        tool = TOOL[family]
        for jump in JUMPS:
            delete_jump(kernel, tool, jump)
        for table in _FIXED_CHAINS:
            yield from delete_chains(kernel, tool, table, partial(_is_ours, table))


def _is_ours(table: str, chain: str) -> bool:
    return chain in _FIXED_CHAINS[table] or (table == "nat" and is_service_chain(chain))
