"""What runs in a container of CoreDNS: a DNS server on UDP and TCP that asks upstreams by packets of its own.

    query ──► DnsProgram ──► DnsServer ──► response
                               │ Waiting (forward)
                               ▼
              UpstreamProgram: a socket to the upstream, a timer; its answer is remembered and the query starts again

Only plain data is kept while an upstream is waited for (`Transaction`), so that a copy of the cluster can go on alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs
import dns.rcode

from fakecluster.apps import echo
from fakecluster.discovery import wire
from fakecluster.discovery.chain import Upstreams, Waiting
from fakecluster.discovery.faults import DnsFault, wronged
from fakecluster.discovery.forward import READ_TIMEOUT_S, TOTAL_TIMEOUT_S, is_file, server_address
from fakecluster.discovery.records import Answer, Question
from fakecluster.discovery.resolvconf import ResolvConf
from fakecluster.discovery.server import DnsServer
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import UDP
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim.clock import NS_PER_S

#: The clock target of the time-outs of upstreams.
TARGET = "coredns-upstreams"
DNS_PORT = 53
SERVFAIL = Answer("SERVFAIL", authoritative=False)
#: (address as a number, port)
Peer = tuple[int, int]


@attrs.frozen
class Asker:
    """Where a response goes: the client, and the address and port that it asked."""

    remote: Peer
    local: Peer
    family: int
    tcp: bool


@attrs.frozen
class Transaction:
    """One query that waits for an upstream: what was asked, what is known so far, since when, and who is asked next."""

    query: bytes
    asker: Asker
    known: Mapping[tuple[str, str, Upstreams], Answer] = attrs.field(factory=dict)
    question: Question | None = None
    upstreams: Upstreams | None = None
    message: bytes = b""
    waiting_ns: int = 0
    asked_ns: int = 0
    #: servers in a row that refused at once
    refusals: int = 0
    servers: tuple[tuple[str, int], ...] = ()
    #: the socket to the upstream: (family, port) of UDP, a connection's key of TCP
    udp: tuple[int, int] | None = None
    tcp: tuple[int, int, int, int, int] | None = None
    received: bytes = b""


@attrs.define(eq=False)
class DnsProcess:
    """One running CoreDNS, in the namespace called `namespace`; `uid` is its Pod's, `config_map` has its Corefile."""

    uid: str
    namespace: str
    config_map: str
    resolv_conf: ResolvConf
    server: DnsServer
    #: what all processes of the cluster write to
    log: list[str] = attrs.field(factory=list, repr=False)
    transactions: dict[int, Transaction] = attrs.field(factory=dict)
    #: what it gets wrong
    faults: tuple[DnsFault, ...] = ()
    _last: int = 0
    _rounds: int = 0

    def fork(self, server: DnsServer, log: list[str]) -> DnsProcess:
        return attrs.evolve(self, server=server, log=log, transactions=self.transactions.copy())

    # --- answering

    def receive(self, netns: Netns, query: bytes, asker: Asker) -> None:
        """A query has come in."""
        if self.faults:
            is_wrong, response = wronged(self.faults, query, self.server.choices)
            if is_wrong:
                if response is not None:
                    respond(netns, asker, response)
                return
        self._answer(netns, Transaction(query, asker))

    def _answer(self, netns: Netns, transaction: Transaction) -> None:
        asker = transaction.asker
        try:
            response = self.server.answer(
                transaction.query, source=text_of(asker.remote[0]), tcp=asker.tcp, known=transaction.known
            )
        except Waiting as waiting:
            self._ask(netns, self._waiting(transaction, waiting))
            return
        if response is not None:
            if self.server.logs:
                self.log.append(f"{self.namespace}: [INFO] {log_line(transaction, response)}")
            respond(netns, asker, response)

    def _waiting(self, transaction: Transaction, waiting: Waiting) -> Transaction:
        question = waiting.question
        message = wire.make_query(
            question.name, question.type, message_id=self.server.choices.draw(65536, "DNS message id")
        )
        return attrs.evolve(
            transaction,
            question=question,
            upstreams=waiting.upstreams,
            message=message,
            waiting_ns=self.server.clock.now_ns,
            refusals=0,
            servers=self._ordered(waiting.upstreams),
        )

    def _ordered(self, upstreams: Upstreams) -> tuple[tuple[str, int], ...]:
        """The servers to try, each once, as the policy orders them."""
        found: list[tuple[str, int]] = []
        for text in upstreams.to:
            if is_file(text):
                found += [(server, DNS_PORT) for server in self.resolv_conf.nameservers]
            elif (address := server_address(text)) is not None:
                found.append(address)
        if len(found) > 1 and upstreams.policy == "random":
            first = self.server.choices.pick([1] * len(found), "upstream")
            found.insert(0, found.pop(first))
        elif found and upstreams.policy == "round_robin":
            self._rounds += 1
            start = self._rounds % len(found)
            found = found[start:] + found[:start]
        return tuple(found)

    # --- asking upstreams

    def _ask(self, netns: Netns, transaction: Transaction) -> None:
        """Ask the next server, round and round until the time is over, or until none takes the question at all."""
        now_ns, servers = netns.clock.now_ns, transaction.servers
        over = now_ns - transaction.waiting_ns >= TOTAL_TIMEOUT_S * NS_PER_S or transaction.refusals >= len(servers)
        self._last += 1
        number = self._last
        for _ in () if over else servers:
            address, port = servers[0]
            servers = (*servers[1:], servers[0])
            asked = attrs.evolve(transaction, servers=servers, asked_ns=now_ns, received=b"")
            self.transactions[number] = asked
            if self._send(netns, number, asked, address, port):
                netns.clock.schedule(TARGET, (self.uid, number), delay_s=READ_TIMEOUT_S)
                return
        self.transactions.pop(number, None)
        self._learn(netns, transaction, SERVFAIL)

    def _send(self, netns: Netns, number: int, transaction: Transaction, address: str, port: int) -> bool:
        parsed = ip_address(address)
        forced = transaction.upstreams.protocol if transaction.upstreams else ""
        protocol = forced or ("tcp" if transaction.asker.tcp else "udp")
        program = UpstreamProgram(self, number)
        try:
            if protocol == "udp":
                sock = netns.sockets.bind("udp", 0, program, family=parsed.version, name="coredns upstream")
                self.transactions[number] = attrs.evolve(transaction, udp=(parsed.version, sock.port), tcp=None)
                sock.send_to(transaction.message, int(parsed), port)
            else:
                connection = netns.sockets.connect(int(parsed), port, family=parsed.version, program=program)
                connection.name = "coredns upstream"
                self.transactions[number] = attrs.evolve(transaction, udp=None, tcp=connection.key)
                if connection.state == "CLOSED":
                    return False
        except SendError:
            self._close(netns, number)
            return False
        return True

    def _close(self, netns: Netns, number: int) -> Transaction | None:
        """Forget a transaction and give its socket back."""
        transaction = self.transactions.pop(number, None)
        if transaction is not None and transaction.udp is not None:
            family, port = transaction.udp
            for sock in list(netns.sockets.bound.get((UDP, port), ())):
                if sock.family == family:
                    sock.close()
        if transaction is not None and transaction.tcp is not None:
            connection = netns.sockets.connections.get(transaction.tcp)
            if connection is not None:
                connection.close()
        return transaction

    def heard(self, netns: Netns, number: int, message: bytes) -> None:
        """An upstream has said something; what does not answer the question is disregarded."""
        transaction = self.transactions.get(number)
        if transaction is None or message[:2] != transaction.message[:2]:
            return
        try:
            answer = wire.parse_response(message)
        except ValueError:
            return
        self._close(netns, number)
        self._learn(netns, transaction, answer)

    def failed(self, netns: Netns, number: int) -> None:
        """An upstream did not answer in time, or refused the connection: the next one is asked."""
        transaction = self._close(netns, number)
        if transaction is not None:
            at_once = transaction.asked_ns == netns.clock.now_ns
            self._ask(netns, attrs.evolve(transaction, refusals=transaction.refusals + 1 if at_once else 0))

    def _learn(self, netns: Netns, transaction: Transaction, answer: Answer) -> None:
        if transaction.question is not None and transaction.upstreams is not None:
            key = Waiting(transaction.question, transaction.upstreams).key
            self._answer(netns, attrs.evolve(transaction, known={**transaction.known, key: answer}))


def log_line(transaction: Transaction, response: bytes) -> str:
    """What the log plugin says of a query: who asked what, and the code and size of the response."""
    asker = transaction.asker
    place = f"[{text_of(asker.remote[0])}]" if asker.family == 6 else text_of(asker.remote[0])
    number = int.from_bytes(transaction.query[:2])
    asked = wire.parse_query(transaction.query)
    protocol = "tcp" if asker.tcp else "udp"
    what = f"{asked.question.type} IN {asked.question.name}" if isinstance(asked, wire.Query) else "- - ."
    code = dns.rcode.to_text(dns.rcode.Rcode(response[3] & 15))
    query = f'"{what} {protocol} {len(transaction.query)}"'
    return f"{place}:{asker.remote[1]} - {number} {query} {code} {len(response)}"


def respond(netns: Netns, asker: Asker, response: bytes) -> None:
    """Send a response to whoever asked; a client that has gone gets none."""
    if asker.tcp:
        connection = netns.sockets.connections.get((asker.family, *asker.local, *asker.remote))
        if connection is None:
            return
        try:
            connection.send(len(response).to_bytes(2) + response)
        except SendError:
            return
        return
    sock = netns.sockets.lookup(asker.family, UDP, *asker.remote, *asker.local)
    if sock is not None:
        try:
            sock.send_to(response, *asker.remote, source=asker.local[0])
        except SendError:
            return  # no way back


@attrs.frozen(eq=False)
class DnsProgram:
    """Takes queries over UDP and TCP; answers HTTP on its other ports (health, ready, metrics)."""

    process: DnsProcess

    def on_accept(self, connection: TcpConnection) -> None:
        connection.context["received"] = b""

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        if connection.port != DNS_PORT:
            connection.send(echo.answer("coredns", echo.peer_text(connection.remote), data))
            return
        messages, rest = framed(connection.context.get("received", b"") + data)
        connection.context["received"] = rest
        family, local = connection.family, (connection.address, connection.port)
        for message in messages:
            self.process.receive(connection.netns, message, Asker(connection.remote, local, family, tcp=True))

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()

    def on_error(self, connection: TcpConnection, error: str) -> None:
        return None

    def on_datagram(self, sock: Socket, data: bytes, source: Peer, target: int) -> None:
        family = 4 if target < 1 << 32 else 6
        self.process.receive(sock.netns, data, Asker(source, (target, sock.port), family, tcp=False))


@attrs.frozen(eq=False)
class UpstreamProgram:
    """Behind the socket of one transaction's upstream."""

    process: DnsProcess
    number: int

    def on_accept(self, connection: TcpConnection) -> None:
        transaction = self.process.transactions.get(self.number)
        if transaction is not None:
            connection.send(len(transaction.message).to_bytes(2) + transaction.message)

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        transaction = self.process.transactions.get(self.number)
        if transaction is None:
            return
        messages, rest = framed(transaction.received + data)
        self.process.transactions[self.number] = attrs.evolve(transaction, received=rest)
        for message in messages:
            self.process.heard(connection.netns, self.number, message)

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()
        self.process.failed(connection.netns, self.number)

    def on_error(self, connection: TcpConnection, error: str) -> None:
        self.process.failed(connection.netns, self.number)

    def on_datagram(self, sock: Socket, data: bytes, source: Peer, target: int) -> None:
        self.process.heard(sock.netns, self.number, data)


def framed(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages of a TCP stream (RFC 1035 4.2.2: two bytes of length first), and what is left over."""
    messages = []
    while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2]):
        end = 2 + int.from_bytes(data[:2])
        messages.append(data[2:end])
        data = data[end:]
    return messages, data


@lru_cache(maxsize=4096)
def text_of(address: int) -> str:
    return str(IPv4Address(address) if address < 1 << 32 else IPv6Address(address))
