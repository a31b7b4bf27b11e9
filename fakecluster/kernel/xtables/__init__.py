"""iptables in the kernel: tables on hooks, compiled rules, the walk of packets through them."""

from fakecluster.kernel.xtables.state import Xtables

__all__ = ["Xtables"]
