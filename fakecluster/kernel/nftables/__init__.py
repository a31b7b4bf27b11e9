"""nf_tables: tables, chains, sets and maps of one namespace, loaded by transactions and run for packets."""

from fakecluster.kernel.nftables.ruleset import Nftables

__all__ = ["Nftables"]
