"""Removing iptables mode's rules: when another mode starts on the node, and for `kube-proxy --cleanup`.

KUBE-FIREWALL stays: it is the kubelet's too.
Source: Kubernetes pkg/proxy/iptables/cleanup.go.
"""

from __future__ import annotations

import contextlib

from fakecluster.errors import CommandError
from fakecluster.proxy.iptables.chains import CANARY, FILTER_CHAINS, JUMPS, NAT_CHAINS, chain_lines
from fakecluster.proxy.iptables.writer import TOOL, WAIT
from fakecluster.proxy.names import is_service_chain
from fakecluster.proxy.program import NodeKernel
from fakecluster.proxy.view import FAMILIES, Family

#: Chains of fixed name to delete, by table.
_FIXED_CHAINS = {"nat": (*NAT_CHAINS, CANARY), "filter": (*FILTER_CHAINS, CANARY), "mangle": (CANARY,)}


def clean_up(kernel: NodeKernel) -> None:
    """Unhook and delete the chains of both families; what is not there is no error."""
    for family in FAMILIES:
        _clean_up_family(kernel, family)


def _clean_up_family(kernel: NodeKernel, family: Family) -> None:
    tool = TOOL[family]
    for jump in JUMPS:
        with contextlib.suppress(CommandError):  # not there
            kernel.run([tool, *WAIT, "-t", jump.table, "-D", jump.source, *jump.rule])
    for table, chains in _FIXED_CHAINS.items():
        _delete_chains(kernel, tool, table, chains)


def _delete_chains(kernel: NodeKernel, tool: str, table: str, fixed: tuple[str, ...]) -> None:
    dump = kernel.run([f"{tool}-save", "-t", table])
    existing = [line[1:].partition(" ")[0] for line in dump.splitlines() if line.startswith(":")]
    doomed = [chain for chain in fixed if chain in existing]
    if table == "nat":
        doomed += [chain for chain in existing if is_service_chain(chain)]
    if not doomed:
        return
    deletions = "".join(f"-X {chain}\n" for chain in doomed)
    text = f"*{table}\n{chain_lines(doomed)}{deletions}COMMIT\n"
    kernel.run([f"{tool}-restore", *WAIT, "--noflush", "--counters"], text)
