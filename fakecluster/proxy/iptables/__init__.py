"""kube-proxy's iptables mode."""

from fakecluster.proxy.iptables.cleanup import clean_up
from fakecluster.proxy.iptables.writer import IptablesWriter, iptables_writer

__all__ = ["IptablesWriter", "clean_up", "iptables_writer"]
