"""IPVS, the kernel's load balancer: virtual services, schedulers, connections, and packets on their way."""

from fakecluster.kernel.ipvs.control import Ipvs, IpvsError

__all__ = ["Ipvs", "IpvsError"]
