"""What a kubelet asks of its node: sandboxes (network namespaces), programs in them, and probes as real packets.

The counterpart of the container runtime interface (CRI) and of the CNI plugin behind it, cut down to what the network
can see. Answers that take time come back as clock events to the kubelet's target: `("probe", pod_uid, container, kind,
ok, message)` and, when a program ends by itself, `("exited", pod_uid, container, exit_code)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PodRuntime(Protocol):
    """One cluster's nodes as its kubelets see them; implemented by the layer that owns the network namespaces."""

    def create_sandbox(self, node: str, pod: dict[str, Any]) -> list[str]:
        """Make the Pod's network namespace; returns its IPs, primary family first (hostNetwork: the node's IPs)."""
        ...

    def start_container(
        self, node: str, pod: dict[str, Any], container: dict[str, Any], env: Mapping[str, str]
    ) -> None:
        """Start the container's program: from now on it listens on what it serves."""
        ...

    def stop_container(self, node: str, pod: dict[str, Any], container: str) -> None:
        """End the container's program; its sockets close."""
        ...

    def remove_sandbox(self, node: str, pod: dict[str, Any]) -> None:
        """Take the Pod's network namespace away and give its addresses back."""
        ...

    def probe(
        self, node: str, pod: dict[str, Any], container: str, kind: str, probe: dict[str, Any], timeout_s: float
    ) -> None:
        """Send one probe (`kind`: startup, readiness, liveness) from the node; the answer comes as a clock event."""
        ...
