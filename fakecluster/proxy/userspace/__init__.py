"""kube-proxy's userspace mode, as Kubernetes had it before 1.26."""

from fakecluster.proxy.userspace.cleanup import clean_up
from fakecluster.proxy.userspace.writer import UserspaceWriter, userspace_writer

__all__ = ["UserspaceWriter", "clean_up", "userspace_writer"]
