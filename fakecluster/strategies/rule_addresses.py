"""The few addresses and ports that drawn rule sets speak of, so that packets with the same ones meet their rules.

By family (4, 6): Pods behind a node, hosts beyond it, virtual IPs of Services, the node's own addresses.
"""

from __future__ import annotations

PODS = {4: ("10.244.0.2", "10.244.0.3"), 6: ("fd00:10:244::2", "fd00:10:244::3")}
OUTSIDE = {4: ("203.0.113.7", "192.168.1.20"), 6: ("2001:db8::7", "fd00:1::1")}
VIPS = {4: ("10.96.0.1", "10.96.0.2"), 6: ("fd00:96::1", "fd00:96::2")}
OWN = {4: ("192.168.1.10", "10.244.0.1"), 6: ("fd00:1::10", "fd00:10:244::1")}
PORTS = (53, 80, 443, 8080, 30080)
SOURCE_PORTS = (1000, 4000, 4001)
