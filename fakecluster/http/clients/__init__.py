"""Python clients connected to a cluster without a socket: `cluster.clients.kubernetes()`, `.httpx()`, ..."""

from fakecluster.http.clients.clients import Clients

__all__ = ["Clients"]
