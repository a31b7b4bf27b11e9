"""The kube-proxies of a cluster: one process a node, fed by a watch, started when its node's first list is in."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.apps.relay import Relays
from fakecluster.errors import CommandError
from fakecluster.kernel.effects import SendError
from fakecluster.kernel.netns import Netns
from fakecluster.kernel.sockets import Socket
from fakecluster.kernel.tcp_socket import TcpConnection
from fakecluster.proxy.config import KubeProxyConfiguration
from fakecluster.proxy.process import RESOURCES, KubeProxy
from fakecluster.sim import Clock

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer

JsonObject = dict[str, Any]
#: kube-proxies are woken when the controllers have nothing left to do at this moment: one sync for all their changes,
#: and not one for each, which is what minSyncPeriod does on real nodes.
AFTER_CONTROLLERS = 1


def target(node: str) -> str:
    """The clock target at which a node's kube-proxy takes in what it watches."""
    return f"kube-proxy@{node}"


class ProxyComponent:
    """One node's kube-proxy with its watch and its HTTP ports."""

    def __init__(
        self,
        node: str,
        api: ApiServer,
        clock: Clock,
        netns: Netns,
        config: KubeProxyConfiguration,
        *,
        kubernetes: str,
    ) -> None:
        self.node, self._api, self._clock = node, api, clock
        self._netns, self._config, self._kubernetes = netns, config, kubernetes
        self._open()

    def _open(self) -> None:
        """A new process and its watch."""
        netns = self._netns
        self.process = KubeProxy(
            self.node,
            self._config,
            netns,
            self._clock,
            ports=HttpPorts(netns, self),
            relays=Relays(netns),
            choices=netns.choices,
            kubernetes=self._kubernetes,
        )
        self._started = False
        self._inbox = self._api.watch(target(self.node), RESOURCES, priority=AFTER_CONTROLLERS)
        self._clock.bind(target(self.node), self.handle)

    def handle(self, payload: object) -> None:
        """Take in what has changed; the first time, start. A process that ended by itself is started again."""
        for event in self._inbox.take():
            self.process.on_object(event.resource, event.object, deleted=event.type == "DELETED")
        if self.process.exited:
            last_words = self.process.log
            self._close()
            self._open()
            self.process.take_over(last_words)
        elif not self._started:
            self._started = True
            self.process.start()

    @property
    def can_be_copied(self) -> bool:
        """Whether the node's iptables rules are those that every other node of the same settings and zone has now."""
        if not self._started or self._inbox.has_events or target(self.node) in self._clock.held:
            return False
        return self._config.mode == "iptables" and all(one.is_like_everywhere for one in self.process.proxiers.values())

    def catch_up(self, model: ProxyComponent | None = None) -> None:
        """Start and sync now, without waiting for the clock: the node has only just been made.

        With a `model` (see `can_be_copied`) its rules are taken instead of being written again.
        """
        if model is not None:
            for event in self._inbox.take():
                self.process.on_object(event.resource, event.object, deleted=event.type == "DELETED")
            self._netns.take_iptables(model._netns)
            self._started = True
            self.process.start_like(model.process)
            return
        self.handle("watch")
        for proxier in self.process.proxiers.values():
            proxier.runner.stop()
            proxier.sync()

    def stop(self) -> None:
        """End the process; its rules stay."""
        if self._started:
            self.process.stop()
        self._close()

    def _close(self) -> None:
        self._clock.unbind(target(self.node))
        self._api.store.unwatch(target(self.node))

    def fork(self, api: ApiServer, clock: Clock, netns: Netns) -> ProxyComponent:
        copy = ProxyComponent.__new__(ProxyComponent)
        copy.node, copy._api, copy._clock, copy._started = self.node, api, clock, self._started
        copy._netns, copy._config, copy._kubernetes = netns, self._config, self._kubernetes
        ports, relays = HttpPorts(netns, copy), Relays(netns)
        copy.process = self.process.fork(netns, clock, ports=ports, relays=relays, choices=netns.choices)
        copy._inbox = api.inbox(target(self.node))
        clock.bind(target(self.node), copy.handle)
        program = ProxyHttp(copy)
        for sock in netns.sockets:
            if isinstance(sock.program, ProxyHttp):
                sock.program = program
        return copy


_REASONS = {"EADDRINUSE": "address already in use", "EADDRNOTAVAIL": "cannot assign requested address"}


@attrs.frozen(eq=False)
class HttpPorts:
    """Opens kube-proxy's own ports on its node (implements `proxy.program.NodePorts`).

    As in Go an unspecified address of either family means all addresses of both.
    """

    netns: Netns
    component: ProxyComponent

    def listen(self, address: str, port: int, target: str) -> None:
        from ipaddress import ip_address

        parsed = ip_address(address or "0.0.0.0")
        anywhere = parsed.is_unspecified
        try:
            sock = self.netns.sockets.bind(
                "tcp",
                port,
                ProxyHttp(self.component),
                family=6 if anywhere else parsed.version,
                address=int(parsed),
                name=f"kube-proxy (tcp:{port})",
                dual_stack=anywhere,
            )
        except SendError as refused:
            place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            reason = _REASONS.get(refused.args[0], refused.args[0].lower())
            raise CommandError(("listen", place), 1, f"listen tcp {place}: bind: {reason}") from None
        sock.context["bind"] = address

    def close(self, address: str, port: int) -> None:
        for sock in list(self.netns.sockets):
            listening = isinstance(sock.program, ProxyHttp) and not isinstance(sock, TcpConnection)
            if listening and sock.port == port and sock.context.get("bind") == address:
                sock.close()


@attrs.frozen(eq=False)
class ProxyHttp:
    """Answers GET on kube-proxy's ports: /healthz, /livez, /metrics, a Service's health check."""

    component: ProxyComponent

    def on_accept(self, connection: TcpConnection) -> None:
        return None

    def on_data(self, connection: TcpConnection, data: bytes) -> None:
        from ipaddress import IPv4Address, IPv6Address

        words = data.split(b"\r\n", 1)[0].decode("latin-1").split()
        path = words[1] if len(words) > 1 else "/"
        address = IPv4Address(connection.address) if connection.family == 4 else IPv6Address(connection.address)
        answer = self.component.process.http(str(address), connection.port, path)
        if answer is None:
            connection.reset()
            return
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        body = answer.body.encode()
        connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def on_close(self, connection: TcpConnection) -> None:
        connection.close()

    def on_error(self, connection: TcpConnection, error: str) -> None:
        return None

    def on_datagram(self, sock: Socket, data: bytes, source: tuple[int, int], target: int) -> None:
        return None


def configuration(mode: str, pod_cidrs: tuple[str, ...], overrides: Mapping[str, Any]) -> KubeProxyConfiguration:
    """The KubeProxyConfiguration of a cluster's nodes.

    minSyncPeriod is 0 unless it is set, so that a change is in force without time passing. Raises `ManifestError`.
    """
    from fakecluster.proxy.config import API_VERSION, KIND, parse

    document: JsonObject = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "mode": mode,
        "clusterCIDR": ",".join(pod_cidrs),
        **overrides,
    }
    section = {"userspace": "iptables"}.get(mode, mode)
    if section in ("iptables", "ipvs", "nftables"):
        document[section] = {"minSyncPeriod": "0s", **(overrides.get(section) or {})}
    return parse(document)
