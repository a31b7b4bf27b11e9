"""The connection table (ip_vs_conn.c): entries, templates of persistence, timers, and what happens when they run out.

An entry is found by the client's packets under (client, virtual address), by the server's under (server, client).
Each packet that passes gives it the timeout of its state anew. What was told to expire now goes before the next packet.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from fakecluster.kernel.ipvs.service import MASQUERADE, Destination

NS_PER_S = 1_000_000_000
#: An entry that others depend on is kept for so long at a time.
CONTROLLED_NS = 60 * NS_PER_S
#: Before a packet gave it a state, and an invalid template's port.
FIRST_TIMEOUT_NS, NO_PORT = 3 * NS_PER_S, 0xFFFF
#: (family, protocol, address, port, address, port): client and virtual address, or server and client.
Key = tuple[int, int, int, int, int, int]


class Connection:
    """One entry. `state` indexes its protocol's states; a template's `assured` says that one of its entries was.

    `control` is the template that it was made through, `controlled` counts the entries made through this one; `packets`
    are the client's.
    """

    __slots__ = (
        "address", "assured", "control", "controlled", "destination", "expires_ns", "inactive", "input_only", "key",
        "live", "mark", "method", "one_packet", "packets", "port", "queued_ns", "state", "template", "timeout_ns",
        "tracked",
    )  # fmt: skip

    def __init__(self, key: Key, destination: Destination, port: int, *, mark: int = 0, template: bool = False) -> None:
        self.key, self.destination, self.mark, self.template = key, destination, mark, template
        self.address, self.port, self.method = destination.address, port, destination.method
        self.state = self.controlled = self.packets = 0
        self.timeout_ns = FIRST_TIMEOUT_NS
        self.expires_ns = self.queued_ns = 0
        self.control: Connection | None = None
        self.inactive = True
        self.input_only = destination.method != MASQUERADE  # only the client's packets are seen
        self.one_packet = self.tracked = self.assured = False
        self.live = True

    @property
    def family(self) -> int:
        return self.key[0]

    @property
    def protocol(self) -> int:
        return self.key[1]

    @property
    def client(self) -> tuple[int, int]:
        return self.key[2], self.key[3]

    @property
    def virtual(self) -> tuple[int, int]:
        return self.key[4], self.key[5]

    @property
    def reply_key(self) -> Key:
        """Under what the server's packets find it."""
        family, protocol, client, client_port, virtual, virtual_port = self.key
        if self.method == MASQUERADE:
            return (family, protocol, self.address, self.port, client, client_port)
        return (family, protocol, virtual, virtual_port, client, client_port)

    def fork(self) -> Connection:
        copy = Connection.__new__(Connection)
        for name in Connection.__slots__:
            setattr(copy, name, getattr(self, name))
        return copy

    def __repr__(self) -> str:
        return f"<Connection {self.key} -> {self.destination.endpoint} state={self.state}>"


#: When it may go off, a number that settles the order of equals, whose it is.
_Timer = tuple[int, int, Connection]


class ConnectionTable:
    """All entries of a namespace. `on_expire` is told of each that goes, after it left the table."""

    def __init__(self, on_expire: Callable[[Connection], None]) -> None:
        self.on_expire = on_expire
        self.by_client: dict[Key, Connection] = {}
        self.by_server: dict[Key, list[Connection]] = {}
        self.templates: dict[Key, Connection] = {}
        self.live: dict[Connection, None] = {}
        self._timers: list[_Timer] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self.live)

    def __iter__(self) -> Iterator[Connection]:
        """Every entry, oldest first (the kernel's order is that of a hash with a random seed)."""
        return iter(list(self.live))

    # --- entries come and go

    def insert(self, connection: Connection) -> None:
        """Make an entry findable; a newer one under the same key hides it."""
        self.live[connection] = None
        if connection.template:
            self.templates[connection.key] = connection
        else:
            self.by_client[connection.key] = connection
            self.by_server.setdefault(connection.reply_key, []).insert(0, connection)

    def from_server(self, key: Key) -> Connection | None:
        """The newest entry that a server's packet belongs to."""
        found = self.by_server.get(key)
        return found[0] if found else None

    def invalidate(self, template: Connection) -> None:
        """Let a template run out unused: nobody finds it any more (ip_vs_check_template)."""
        if self.templates.get(template.key) is template:
            del self.templates[template.key]
        family, protocol, client, _, virtual, _ = template.key
        template.key, template.port = (family, protocol, client, 0, virtual, NO_PORT), NO_PORT

    def remove(self, connection: Connection) -> None:
        self.live.pop(connection, None)
        connection.live = False
        index = self.templates if connection.template else self.by_client
        if index.get(connection.key) is connection:
            del index[connection.key]
        if not connection.template:
            same = self.by_server.get(connection.reply_key, [])
            if connection in same:
                same.remove(connection)
                if not same:
                    del self.by_server[connection.reply_key]

    # --- timers

    @property
    def due_ns(self) -> int | None:
        """When the next timer may go off."""
        return self._timers[0][0] if self._timers else None

    def renew(self, connection: Connection, now_ns: int) -> None:
        """A packet has passed: the entry's timeout begins again (ip_vs_conn_put)."""
        expires = connection.expires_ns = now_ns + connection.timeout_ns
        if not connection.queued_ns or expires < connection.queued_ns:
            self._queue(connection, expires)

    def expire_now(self, connection: Connection, now_ns: int) -> None:
        """Let an entry go before the next packet (ip_vs_conn_expire_now)."""
        connection.expires_ns = now_ns
        self._queue(connection, now_ns)

    def _queue(self, connection: Connection, when_ns: int) -> None:
        self._sequence += 1
        connection.queued_ns = when_ns
        heapq.heappush(self._timers, (when_ns, self._sequence, connection))

    def run(self, now_ns: int) -> None:
        """Let everything expire that is due."""
        timers = self._timers
        while timers and timers[0][0] <= now_ns:
            when_ns, _, connection = heapq.heappop(timers)
            if not connection.live or connection.queued_ns != when_ns:
                continue
            if connection.expires_ns > now_ns:
                self._queue(connection, connection.expires_ns)
            else:
                connection.queued_ns = 0
                self.expire(connection, max(connection.expires_ns, 0))

    def expire(self, connection: Connection, now_ns: int) -> None:
        """The timer went off (ip_vs_conn_expire): gone, unless others were made through it."""
        if connection.controlled:
            connection.timeout_ns = CONTROLLED_NS
            self.renew(connection, now_ns)
            return
        self.remove(connection)
        control = connection.control
        if control is not None:
            connection.control = None
            control.controlled -= 1
            unwanted = not control.template or not control.assured
            if not connection.timeout_ns and not control.controlled and unwanted:
                control.timeout_ns = 0
                self.expire_now(control, now_ns)
        self.on_expire(connection)

    def delete(self, connection: Connection, now_ns: int) -> None:
        """Take an entry out at once, and with it a template that nothing else needs (ip_vs_conn_del)."""
        if connection.control is not None:
            connection.timeout_ns = 0
        self.expire(connection, now_ns)

    def fork(self, on_expire: Callable[[Connection], None]) -> ConnectionTable:
        copy = ConnectionTable(on_expire)
        twins = {connection: connection.fork() for connection in self.live}
        for twin in twins.values():
            if twin.control is not None:
                twin.control = twins[twin.control]
        copy.live = dict.fromkeys(twins.values())
        copy.by_client = {key: twins[connection] for key, connection in self.by_client.items()}
        copy.templates = {key: twins[connection] for key, connection in self.templates.items()}
        copy.by_server = {key: [twins[c] for c in found] for key, found in self.by_server.items()}
        copy._timers = [(when_ns, number, twins[c]) for when_ns, number, c in self._timers if c in twins]
        heapq.heapify(copy._timers)
        copy._sequence = self._sequence
        return copy
