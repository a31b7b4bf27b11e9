"""What IPVS does against floods (update_defense_level, ip_vs_todrop, ip_vs_random_dropentry).

net.ipv4.vs.drop_packet 3 refuses one in so many new connections; drop_entry 3 looks every second at a thirty-second of
the table and drops what is half open or idle. The values 1 and 2 wait for memory to run out, which it does not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakecluster.kernel.ipvs import protocols
from fakecluster.kernel.packet import SCTP, TCP

if TYPE_CHECKING:
    from fakecluster.kernel.ipvs.connection import Connection
    from fakecluster.kernel.ipvs.control import Ipvs

NS_PER_S = 1_000_000_000
ALWAYS = 3
PERIOD_NS = NS_PER_S
#: One in so many entries is looked at each second.
SHARE = 32
#: An entry that was quiet for less is left alone.
QUIET_NS = 60 * NS_PER_S
#: Of entries with so few packets from the client, one in as many is dropped; busier ones stay.
MOST_PACKETS = 8
_HALF_OPEN = {TCP: (protocols.SYN_RECV, protocols.SYNACK), SCTP: (1, 2)}
_OPEN = {TCP: protocols.ESTABLISHED, SCTP: protocols.SCTP_ESTABLISHED}


class Defence:
    """The counters of both defences, and whether the second one ticks."""

    def __init__(self) -> None:
        self.packets_left = 0
        self.entries_left = [0] * (MOST_PACKETS + 1)
        self.ticking = False

    def refuses(self, ipvs: Ipvs) -> bool:
        """Whether a new connection must be dropped (ip_vs_todrop)."""
        if ipvs.setting("drop_packet") != ALWAYS:
            return False
        self.packets_left -= 1
        if self.packets_left > 0:
            return False
        self.packets_left = ipvs.setting("am_droprate")
        return True

    def watch(self, ipvs: Ipvs) -> None:
        """Begin to look at the table every second, if drop_entry says so."""
        if not self.ticking and ipvs.setting("drop_entry") == ALWAYS:
            self._schedule(ipvs)

    def _schedule(self, ipvs: Ipvs) -> None:
        self.ticking = True
        passed = ipvs.clock.now_ns % PERIOD_NS
        ipvs.clock.schedule(ipvs.target, "defence", delay_s=(PERIOD_NS - passed) / NS_PER_S)

    def tick(self, ipvs: Ipvs) -> None:
        """Look at some entries, drop what may go, and come back while there are any."""
        self.ticking = False
        if ipvs.setting("drop_entry") != ALWAYS:
            return
        now = ipvs.clock.now_ns
        for connection in ipvs.connections:
            if connection.live and not connection.controlled and self._is_candidate(connection):
                if ipvs.netns.choices.pick([1, SHARE - 1], "drop_entry looks at an entry"):
                    continue
                if self._may_go(connection, now):
                    ipvs.connections.delete(connection, now)
        if len(ipvs.connections):
            self._schedule(ipvs)

    def _is_candidate(self, connection: Connection) -> bool:
        if connection.template:
            return not connection.assured
        protocol = connection.protocol
        if protocol not in _OPEN:
            return True
        return connection.state == _OPEN[protocol] or connection.state in _HALF_OPEN[protocol]

    def _may_go(self, connection: Connection, now_ns: int) -> bool:
        """Half-open ones and unproven templates at once; others when quiet, in proportion (todrop_entry)."""
        half_open = connection.state in _HALF_OPEN.get(connection.protocol, ())
        if connection.template or half_open:
            return True
        packets = connection.packets
        if now_ns - (connection.expires_ns - connection.timeout_ns) < QUIET_NS or not 0 < packets <= MOST_PACKETS:
            return False
        self.entries_left[packets] -= 1
        if self.entries_left[packets] > 0:
            return False
        self.entries_left[packets] = packets
        return True

    def fork(self) -> Defence:
        copy = Defence()
        copy.packets_left, copy.ticking = self.packets_left, self.ticking
        copy.entries_left = self.entries_left.copy()
        return copy
