"""kube-proxy's ipvs mode."""

from fakecluster.proxy.ipvs.cleanup import clean_up
from fakecluster.proxy.ipvs.node import check_usable
from fakecluster.proxy.ipvs.writer import IpvsWriter, ipvs_writer

__all__ = ["IpvsWriter", "check_usable", "clean_up", "ipvs_writer"]
