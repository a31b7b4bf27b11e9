"""The only way from kube-proxy to its node: commands as text, and ports that its process listens on.

kube-proxy never touches the kernel model: it runs the tools it would run on a real node, with the same arguments and
the same standard input, and reads what they print. What the real one does over netlink (conntrack, nfacct, addresses)
is written as the command-line tool that asks for the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from fakecluster.errors import Unsupported


@attrs.frozen
class Command:
    """One tool run on the node, with its standard input."""

    argv: tuple[str, ...]
    stdin: str = ""

    def __str__(self) -> str:
        lines = self.stdin.count("\n")
        return " ".join(self.argv) + (f" ({lines} lines)" if lines else "")


class NodeKernel(Protocol):
    """A node as kube-proxy sees it: a place to run commands. A network namespace is one; so is a real node."""

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        """Run one command and return what it prints; raises `CommandError` when it fails, in the tool's own words."""
        ...


class NodePorts(Protocol):
    """Where kube-proxy's process opens listening ports on its node (health checks, metrics)."""

    def listen(self, address: str, port: int, target: str) -> None:
        """Open TCP `port` on `address` ("" = all addresses); requests go to `target`. Raises CommandError if in use."""
        ...

    def close(self, address: str, port: int) -> None: ...


class NoPorts:
    """Listens nowhere: a node where nobody asks kube-proxy for its health."""

    def listen(self, address: str, port: int, target: str) -> None:
        return None

    def close(self, address: str, port: int) -> None:
        return None


class NodeRelays(Protocol):
    """Where userspace mode's process relays connections on its node."""

    def open(self, protocol: str, address: str, port: int, *, idle_s: float) -> int:
        """Listen for TCP or UDP on `port` (0: any) and return the port. Raises CommandError when it is in use."""
        ...

    def claim(self, protocol: str, address: str, port: int) -> None:
        """Hold a port without reading from it. Raises CommandError when it is in use."""
        ...

    def serve(self, protocol: str, port: int, endpoints: tuple[tuple[str, int], ...], *, affinity_s: int) -> None:
        """From now on relay to these endpoints in turn; `affinity_s` 0: no session affinity."""
        ...

    def close(self, protocol: str, port: int) -> None: ...


class NoRelays:
    """Nowhere to relay: a node whose kube-proxy only writes rules."""

    def open(self, protocol: str, address: str, port: int, *, idle_s: float) -> int:
        raise Unsupported("kube-proxy mode userspace on a node without a place for its relay", token="userspace")

    def claim(self, protocol: str, address: str, port: int) -> None:
        return None

    def serve(self, protocol: str, port: int, endpoints: tuple[tuple[str, int], ...], *, affinity_s: int) -> None:
        return None

    def close(self, protocol: str, port: int) -> None:
        return None


class Recorder:
    """Passes commands on and keeps them, in order: what kube-proxy did to the node."""

    def __init__(self, kernel: NodeKernel) -> None:
        self.kernel = kernel
        self.commands: list[Command] = []

    def run(self, command: Sequence[str], stdin: str = "") -> str:
        self.commands.append(Command(tuple(command), stdin))
        return self.kernel.run(command, stdin)
