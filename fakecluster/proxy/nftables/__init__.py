"""kube-proxy's nftables mode."""

from fakecluster.proxy.nftables.cleanup import clean_up
from fakecluster.proxy.nftables.writer import NftablesWriter, nftables_writer

__all__ = ["NftablesWriter", "clean_up", "nftables_writer"]
