"""Graceful termination: a TCP real server that has connections gets weight 0, and goes when it has none any more.

UDP and SCTP real servers go at once: `expire_nodest_conn` lets the next packet of such a flow be scheduled anew. The
list is looked through every minute. Source: Kubernetes pkg/proxy/ipvs/graceful_termination.go.
"""

from __future__ import annotations

from fakecluster.proxy.ipvs.servers import RealServer, ServerKey, VirtualServers, delete_real, set_weight

CHECK_INTERVAL_S = 60.0
_GRACEFUL_PROTOCOLS = ("TCP",)


class Terminations:
    """The real servers of one family that are being drained."""

    def __init__(self) -> None:
        self._leaving: dict[tuple[ServerKey, str], None] = {}

    def __contains__(self, server: tuple[ServerKey, str]) -> bool:
        return server in self._leaving

    def remove(self, key: ServerKey, real: str, state: RealServer) -> str:
        """The request that starts to take a real server away."""
        if not _has_to_wait(key, state):
            return delete_real(key, real)
        self._leaving[key, real] = None
        return set_weight(key, real, 0)

    def forget(self, key: ServerKey, real: str) -> None:
        """It is wanted again."""
        del self._leaving[key, real]

    def check(self, servers: VirtualServers) -> list[str]:
        """Requests that delete those whose connections have ended; `servers` is what the kernel has now."""
        requests = []
        for key, real in list(self._leaving):
            server = servers.get(key)
            state = server.real_servers.get(real) if server else None
            if state is not None and _has_to_wait(key, state):
                continue
            del self._leaving[key, real]
            if state is not None:
                requests.append(delete_real(key, real))
        return requests

    def __bool__(self) -> bool:
        return bool(self._leaving)

    def fork(self) -> Terminations:
        copy = Terminations()
        copy._leaving = self._leaving.copy()
        return copy


def _has_to_wait(key: ServerKey, state: RealServer) -> bool:
    return key.protocol in _GRACEFUL_PROTOCOLS and state.connections > 0
