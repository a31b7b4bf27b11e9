"""What nft's reject codes are called where rejects have names: in iptables, and in the kernel's reject module."""

from __future__ import annotations

#: ICMP destination unreachable codes.
ICMP_WORDS = {
    0: "icmp-net-unreachable", 1: "icmp-host-unreachable", 2: "icmp-proto-unreachable", 3: "icmp-port-unreachable",
    9: "icmp-net-prohibited", 10: "icmp-host-prohibited", 13: "icmp-admin-prohibited",
}  # fmt: skip
#: ICMPv6 destination unreachable codes.
ICMPV6_WORDS = {
    0: "icmp6-no-route", 1: "icmp6-adm-prohibited", 3: "icmp6-addr-unreachable", 4: "icmp6-port-unreachable",
    5: "icmp6-policy-fail", 6: "icmp6-reject-route",
}  # fmt: skip
#: icmpx code, which is nft's own (nf_tables.h) -> ICMP code, ICMPv6 code
ICMPX_CODES = {0: (0, 0), 1: (3, 4), 2: (1, 3), 3: (13, 1)}
