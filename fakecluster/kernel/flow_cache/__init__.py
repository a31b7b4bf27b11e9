"""Packets of flows that are known: forwarded from memory, without meeting rule after rule again.

    packet ─► header sound? ─► flow known? ─► conntrack content? ─► count, rewrite, transmit
                     └─ no ───────┴─ no ───────────┴─ no ─► the long way (ip_input), which may remember the flow

What opens a connection belongs to no flow yet, but may be like what opened others: see `opening` and `kin`.

As Open vSwitch's megaflows and the kernel's own nf_flowtable do, but without being noticed: a known flow's packet is
counted by every rule that the long way would have counted it in, keeps its connection alive and in its window, and
leaves with the same bytes. What a flow's entry rests on is in its key (interface, addresses, ports, protocol, type of
service), is compared with every packet (the connection's status and mark, the neighbour, the MTU, TTL, checksums) or
ends all entries when it changes (`changed`): commands, sysctls, hooks, routes, rules, addresses, devices, and sets that
packets change. Everything else keeps a walk from being remembered (see `trail`).

A packet goes the long way when anything about it is unusual: fragments, options, other TCP flags than ACK and PSH, a
segment outside the window, a bad checksum, no room in the MTU; and when it is to be traced.
"""

from fakecluster.kernel.flow_cache.cache import FlowCache

__all__ = ["FlowCache"]
