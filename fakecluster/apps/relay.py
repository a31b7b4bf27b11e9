"""The relay of userspace mode: kube-proxy's own process accepts a connection and opens another one to an endpoint.

    client ──► proxy port on the node (RelayFront) ══► the node's own connection to the endpoint (RelayBack)

A listening socket accepts one connection at a time and dials for it; those that come meanwhile wait. A dial that fails
or takes too long is tried again with the next endpoint, four times in all. The end of either direction closes both
connections. A UDP client keeps its backend socket until nothing has passed for the idle time-out.
Source: Kubernetes 1.25 pkg/proxy/userspace/proxysocket.go and roundrobin.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import attrs

from fakecluster.errors import CommandError
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.packet import TCP, UDP
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.sim.clock import NS_PER_S
from fakecluster.trace import RELAY

#: How long each attempt to connect to an endpoint may take.
DIAL_TIMEOUTS_S = (0.25, 0.5, 1.0, 2.0)
_NUMBERS = {"TCP": TCP, "UDP": UDP}

#: (address as a number, port)
Peer = tuple[int, int]
ConnectionKey = tuple[int, int, int, int, int]


@attrs.frozen
class Balancer:
    """Round robin over endpoints, with the endpoint that each client got last when there is session affinity.

    `affinity_s` 0: none. `sticky`: client address -> (endpoint, when it was last used in virtual ns).
    """

    endpoints: tuple[Peer, ...] = ()
    affinity_s: int = 0
    next_index: int = 0
    sticky: Mapping[int, tuple[Peer, int]] = attrs.field(factory=dict)

    def take(self, client: int, now_ns: int, *, anew: bool) -> tuple[Peer | None, Balancer]:
        """The endpoint for a client, and the balancer after that; `anew` disregards affinity."""
        if not self.endpoints:
            return None, self
        known = self.sticky.get(client) if self.affinity_s and not anew else None
        if known is not None and now_ns - known[1] < self.affinity_s * NS_PER_S:
            return known[0], self._remembering(client, known[0], now_ns)
        endpoint = self.endpoints[self.next_index]
        after = attrs.evolve(self, next_index=(self.next_index + 1) % len(self.endpoints))
        return endpoint, after._remembering(client, endpoint, now_ns)

    def _remembering(self, client: int, endpoint: Peer, now_ns: int) -> Balancer:
        if not self.affinity_s:
            return self
        return attrs.evolve(self, sticky={**self.sticky, client: (endpoint, now_ns)})

    def serving(self, endpoints: tuple[Peer, ...], affinity_s: int) -> Balancer:
        """From the first of these endpoints on; clients of endpoints that are gone are forgotten."""
        sticky = {client: found for client, found in self.sticky.items() if found[0] in endpoints}
        return Balancer(endpoints, affinity_s, 0, sticky)


@attrs.frozen
class Front:
    """What a listening socket knows: kept in its context, replaced and never changed, so that forks can share it."""

    idle_s: float
    balancer: Balancer = Balancer()
    #: the accepted connection that is being dialled for, and those that wait for their turn
    serving: ConnectionKey | None = None
    waiting: tuple[ConnectionKey, ...] = ()
    #: UDP client -> port of its backend socket
    clients: Mapping[Peer, int] = attrs.field(factory=dict)


def timer_target(netns: Netns) -> str:
    """The clock target of a node's relay: dial and idle time-outs."""
    return f"kube-proxy-relay@{netns.name}"


def _listener(netns: Netns, proto: int, port: int) -> Socket | None:
    for sock in netns.sockets.bound.get((proto, port), ()):
        if isinstance(sock.context.get("relay"), Front):
            return sock
    return None


def _update(listener: Socket, **fields: object) -> None:
    listener.context["relay"] = attrs.evolve(listener.context["relay"], **fields)


def _choose(listener: Socket, client: int, *, anew: bool) -> Peer | None:
    balancer: Balancer = listener.context["relay"].balancer
    endpoint, after = balancer.take(client, listener.netns.clock.now_ns, anew=anew)
    _update(listener, balancer=after)
    return endpoint


@attrs.frozen
class RelayFront:
    """The program of the proxy ports and of the connections that clients made to them."""

    def on_accept(self, connection: TcpConnection) -> None:
        listener = _listener(connection.netns, TCP, connection.port)
        connection.context.update(unsent=b"", ended=False, other=None)
        if listener is None:
            connection.close()
        elif listener.context["relay"].serving is None:
            _serve(listener, connection)
        else:
            _update(listener, waiting=(*listener.context["relay"].waiting, connection.key))

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        back = _other(connection)
        if back is None:
            connection.context["unsent"] += data
        else:
            _pass_on(back, data)

    def on_close(self, connection: TcpConnection) -> None:
        connection.context["ended"] = True
        if connection.context.get("other") is not None:
            _close_both(connection)

    def on_error(self, connection: TcpConnection, error: str) -> None:
        _close_both(connection)

    def on_datagram(self, sock: Socket, data: bytes, source: Peer, target: int) -> None:
        backend = _backend_of(sock, source)
        if backend is not None and backend.peer is not None:
            _keep(backend, sock.context["relay"].idle_s)
            backend.send_to(data, *backend.peer)


@attrs.frozen
class RelayBack:
    """The program of the connections and sockets that lead to endpoints."""

    def on_accept(self, connection: TcpConnection) -> None:
        if "front" in connection.context:
            _connected(connection)

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        front = _other(connection)
        if front is not None:
            _pass_on(front, data)

    def on_close(self, connection: TcpConnection) -> None:
        _close_both(connection)

    def on_error(self, connection: TcpConnection, error: str) -> None:
        if connection.context.get("other") is None:
            if "front" in connection.context:
                _dial_again(connection)
        else:
            _close_both(connection)

    def on_datagram(self, sock: Socket, data: bytes, source: Peer, target: int) -> None:
        listener = _listener(sock.netns, UDP, sock.context["front"])
        if listener is not None and source == sock.peer:
            _keep(sock, listener.context["relay"].idle_s)
            listener.send_to(data, *sock.context["client"])


FRONT, BACK = RelayFront(), RelayBack()


# -- TCP -----------------------------------------------------------------------------------------------------------


def _serve(listener: Socket, connection: TcpConnection) -> None:
    """It is this connection's turn."""
    _update(listener, serving=connection.key)
    _dial(listener, connection, 0)


def _dial(listener: Socket, connection: TcpConnection, attempt: int) -> None:
    """Connect to an endpoint, or to the next as long as a connection cannot even begin."""
    while attempt < len(DIAL_TIMEOUTS_S):
        endpoint = _choose(listener, connection.remote[0], anew=attempt > 0)
        if endpoint is None:
            break
        try:
            back = listener.netns.sockets.connect(*endpoint, family=listener.family, program=BACK)
        except SendError:
            attempt += 1
            continue
        back.name = RELAY
        back.context.update(front=connection.key, listener=listener.port, attempt=attempt, other=None)
        if back.state == "ESTABLISHED":
            _connected(back)
        elif back.state == "CLOSED":
            attempt += 1
            continue
        else:
            _wake_later(listener.netns, ("dial", back.key, attempt), DIAL_TIMEOUTS_S[attempt])
        return
    _give_up(connection)
    _next(listener)


def _dial_again(back: TcpConnection) -> None:
    """An attempt failed."""
    netns, context = back.netns, back.context
    listener = _listener(netns, TCP, context["listener"])
    front = netns.sockets.connections.get(context["front"])
    if listener is not None and front is not None:
        _dial(listener, front, context["attempt"] + 1)
    elif listener is not None:
        _next(listener)


def _connected(back: TcpConnection) -> None:
    """The endpoint answered: pass on what the client said meanwhile, and turn to the next client."""
    netns = back.netns
    front = netns.sockets.connections.get(back.context["front"])
    listener = _listener(netns, TCP, back.context["listener"])
    if front is None:
        back.close()
    else:
        front.context["other"], back.context["other"] = back.key, front.key
        if front.context["unsent"]:
            _pass_on(back, front.context["unsent"])
            front.context["unsent"] = b""
        if front.context["ended"]:
            _close_both(front)
    if listener is not None:
        _next(listener)


def _next(listener: Socket) -> None:
    front: Front = listener.context["relay"]
    _update(listener, serving=None, waiting=front.waiting[1:])
    if front.waiting:
        connection = listener.netns.sockets.connections.get(front.waiting[0])
        if connection is None:
            _next(listener)
        else:
            _serve(listener, connection)


def _give_up(connection: TcpConnection) -> None:
    """Close without an endpoint; what was not read makes it a reset."""
    if connection.context["unsent"]:
        connection.reset()
    else:
        connection.close()


def _other(connection: TcpConnection) -> TcpConnection | None:
    key: ConnectionKey | None = connection.context.get("other")
    return connection.netns.sockets.connections.get(key) if key is not None else None


def _pass_on(connection: TcpConnection, data: bytes) -> None:
    try:
        connection.send(data)
    except SendError:
        _close_both(connection)


def _close_both(connection: TcpConnection) -> None:
    other = _other(connection)
    for end in (other, connection):
        if end is not None:
            end.close()


# -- UDP -----------------------------------------------------------------------------------------------------------


def _backend_of(sock: Socket, client: Peer) -> Socket | None:
    """The socket towards the endpoint of a client, made for its first datagram."""
    netns, front = sock.netns, sock.context["relay"]
    port = front.clients.get(client)
    if port is not None:
        return _backend(netns, port)
    endpoint = _choose(sock, client[0], anew=False)
    if endpoint is None:
        return None
    backend = netns.sockets.bind("udp", 0, BACK, family=sock.family, name=RELAY)
    backend.peer = endpoint
    backend.context.update(front=sock.port, client=client, generation=0)
    _update(sock, clients={**sock.context["relay"].clients, client: backend.port})
    return backend


def _backend(netns: Netns, port: int) -> Socket | None:
    return next((s for s in netns.sockets.bound.get((UDP, port), ()) if "client" in s.context), None)


def _keep(backend: Socket, idle_s: float) -> None:
    """Something passed: the idle time begins again."""
    backend.context["generation"] += 1
    _wake_later(backend.netns, ("idle", backend.port, backend.context["generation"]), idle_s)


def _forget_client(backend: Socket) -> None:
    listener = _listener(backend.netns, UDP, backend.context["front"])
    backend.close()
    if listener is not None:
        clients = listener.context["relay"].clients
        _update(listener, clients={c: port for c, port in clients.items() if port != backend.port})


def _wake_later(netns: Netns, payload: tuple[object, ...], delay_s: float) -> None:
    netns.clock.schedule(timer_target(netns), payload, delay_s=delay_s)


# -- what kube-proxy asks for --------------------------------------------------------------------------------------


class Relays:
    """The relaying sockets of one node's kube-proxy (implements `proxy.program.NodeRelays`)."""

    def __init__(self, netns: Netns) -> None:
        self.netns = netns
        netns.clock.bind(timer_target(netns), self.on_timer)

    def open(self, protocol: str, address: str, port: int, *, idle_s: float) -> int:
        """Listen on `port` (0: any) and return it. Raises CommandError when it is in use."""
        sock = self._bind(protocol, address, port, FRONT)
        sock.context["relay"] = Front(idle_s)
        sock.name = f"{RELAY} ({protocol.lower()}:{sock.port})"
        return sock.port

    def claim(self, protocol: str, address: str, port: int) -> None:
        """Hold a port that nobody reads, so that no other process gets it. Raises CommandError when it is in use."""
        self._bind(protocol, address, port, None).name = f"kube-proxy ({protocol.lower()}:{port})"

    def _bind(self, protocol: str, address: str, port: int, program: RelayFront | None) -> Socket:
        parsed = ip_address(address or "0.0.0.0")
        try:
            return self.netns.sockets.bind(protocol.lower(), port, program, family=parsed.version, address=int(parsed))
        except SendError as refused:
            place = f"{address}:{port}"
            reason = refused.args[0].lower()
            raise CommandError(("listen", place), 1, f"listen {protocol.lower()} {place}: bind: {reason}") from None

    def serve(self, protocol: str, port: int, endpoints: tuple[tuple[str, int], ...], *, affinity_s: int) -> None:
        """From now on relay what comes to a port to these endpoints, in this order."""
        listener = _listener(self.netns, _NUMBERS[protocol], port)
        assert listener is not None, f"no relay on {protocol} port {port}"
        peers = tuple((int(ip_address(ip)), number) for ip, number in endpoints)
        _update(listener, balancer=listener.context["relay"].balancer.serving(peers, affinity_s))

    def close(self, protocol: str, port: int) -> None:
        """Stop listening; connections that were relayed live on, UDP clients are forgotten."""
        number = _NUMBERS[protocol]
        for sock in list(self.netns.sockets.bound.get((number, port), ())):
            if sock.name.startswith("kube-proxy"):
                for backend_port in sock.context["relay"].clients.values() if "relay" in sock.context else ():
                    backend = _backend(self.netns, backend_port)
                    if backend is not None:
                        backend.close()
                sock.close()

    def on_timer(self, payload: object) -> None:
        """A dial or an idle client ran out of time."""
        assert isinstance(payload, tuple)
        kind, key, generation = payload
        if kind == "dial":
            back = self.netns.sockets.connections.get(key)
            if back is not None and back.state == "SYN_SENT" and back.context["attempt"] == generation:
                back.close()
                _dial_again(back)
        else:
            backend = _backend(self.netns, key)
            if backend is not None and backend.context["generation"] == generation:
                _forget_client(backend)
