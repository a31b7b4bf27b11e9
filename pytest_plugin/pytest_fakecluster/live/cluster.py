"""A real cluster in the place of a simulated one: a namespace of its own for each test, removed at the end."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakecluster import Cluster
from fakecluster.api.manifests import read
from pytest_fakecluster.live.handles import LivePod, LiveService, family, missing, not_portable
from pytest_fakecluster.live.kubectl import Kubectl, LiveApi, LiveError

#: How long Pods may take to become ready: images are pulled.
SETTLE_S = 180.0
POLL_S = 0.5


class LiveCluster:
    """The portable part of `fakecluster.Cluster`: apply, delete, settle, `api.get` and `api.list`, Pods and Services.

    Whatever else a test asks for skips it, saying what it was.
    """

    def __init__(self, kubeconfig: Path, *, settle_s: float = SETTLE_S, **arguments: Any) -> None:
        outer = Kubectl(kubeconfig)
        check(outer, arguments)
        namespace = f"fakecluster-{uuid.uuid4().hex[:8]}"
        outer.ask("create", "namespace", namespace)
        self.kubectl = Kubectl(kubeconfig, namespace)
        self.api = self.seen = LiveApi(self.kubectl)
        self._settle_s, self._closed = settle_s, False
        self._namespaced = set(outer.ask("api-resources", "--namespaced=true", "--no-headers").decode().split())

    def close(self) -> None:
        """Remove the namespace with all that is in it; kubectl does not wait for the end."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(LiveError):
            self.kubectl.ask("delete", "namespace", self.kubectl.namespace, "--wait=false")

    # --- manifests

    def apply(
        self, source: str | Path | Mapping[str, Any] | list[Any], *, namespace: str = "default", settle: bool = True
    ) -> None:
        """Apply manifests as `kubectl apply --server-side`, and wait until their Pods are ready. Raises LiveError."""
        objects = [manifest.object for manifest in read(source)]
        for obj in objects:
            self._check_place(obj)
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
        self.kubectl.ask("apply", "--server-side", "-f", "-", stdin=stdin)
        if settle:
            self.settle()

    def _check_place(self, obj: Mapping[str, Any]) -> None:
        kind, meta = obj.get("kind", ""), obj.get("metadata") or {}
        if kind not in self._namespaced:
            not_portable(f"{kind} objects, which all tests of the cluster share")
        if meta.get("namespace") not in (None, "default"):
            not_portable(f"the namespace {meta['namespace']}: each test has one of its own in the place of default")
        if isinstance(meta, dict):
            meta.pop("namespace", None)

    def delete(self, resource: str, name: str, namespace: str = "default", *, settle: bool = True) -> None:
        """Delete an object, and wait until it is gone. Raises LiveError."""
        if namespace != "default":
            not_portable(f"the namespace {namespace}")
        self.kubectl.ask("delete", resource, name)
        if settle:
            self.settle()

    # --- time

    def settle(self) -> None:
        """Wait until every Pod of the test is ready or done and every Deployment has what it wants. Raises LiveError."""
        end = time.monotonic() + self._settle_s
        while waiting := self._waiting():
            if time.monotonic() > end:
                raise LiveError(f"not settled after {self._settle_s:g} s: {', '.join(waiting)}")
            time.sleep(POLL_S)

    def _waiting(self) -> list[str]:
        found = []
        for pod in self.api.list("pods", "default"):
            status = pod.get("status") or {}
            ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
            if "deletionTimestamp" in pod["metadata"] or (status.get("phase") != "Succeeded" and not ready):
                found.append(f"pod/{pod['metadata']['name']} ({status.get('phase', 'Pending')})")
        for one in self.api.list("deployments.apps", "default"):
            wanted, status = one["spec"].get("replicas", 1), one.get("status") or {}
            if status.get("updatedReplicas", 0) != wanted or status.get("availableReplicas", 0) != wanted:
                found.append(f"deployment/{one['metadata']['name']}")
        return found

    # --- what is in it

    def pod(self, name: str, namespace: str = "default") -> LivePod:
        return LivePod(self, name, namespace)

    def service(self, name: str, namespace: str = "default") -> LiveService:
        return LiveService(self, name, namespace)

    @property
    def pods(self) -> list[LivePod]:
        return [LivePod(self, pod["metadata"]["name"]) for pod in self.api.list("pods", "default")]

    @property
    def services(self) -> list[LiveService]:
        return [LiveService(self, one["metadata"]["name"]) for one in self.api.list("services", "default")]

    def __getattr__(self, name: str) -> Any:
        return missing(Cluster, "Cluster", name)

    def __repr__(self) -> str:
        return f"LiveCluster({str(self.kubectl.kubeconfig)!r}, namespace={self.kubectl.namespace!r})"


def check(kubectl: Kubectl, arguments: Mapping[str, Any]) -> None:
    """Skip what the real cluster is not: too few nodes, another proxy mode or IP family, settings of a simulation."""
    for name, value in arguments.items():
        handler = CHECKS.get(name)
        if handler is None:
            not_portable(f"Cluster({name}={value!r})")
        handler(kubectl, value)


def _nodes(kubectl: Kubectl, wanted: Any) -> None:
    if not isinstance(wanted, int):
        not_portable("nodes that are named or labelled by the test")
    found = len(kubectl.json("get", "nodes")["items"])
    if found < wanted:
        not_portable(f"{wanted} nodes; the cluster has {found}")


def _proxy(kubectl: Kubectl, wanted: Any) -> None:
    found = kubectl.run("get", "configmap", "kube-proxy", "-n", "kube-system", "-o", "jsonpath={.data}")
    mode = next((word for word in ("nftables", "ipvs") if f"mode: {word}".encode() in found.stdout), "iptables")
    if mode != wanted:
        not_portable(f"proxy mode {wanted}; the cluster's kube-proxy runs in mode {mode}")


def _families(kubectl: Kubectl, wanted: Any) -> None:
    addresses = kubectl.json("get", "service", "kubernetes", "-n", "default")["spec"].get("clusterIPs") or []
    found = [family(address) for address in addresses]
    if wanted not in ("dual" if len(found) > 1 else "", *found):
        not_portable(f"IP family {wanted}; the cluster has {', '.join(found)}")


def _ignored(kubectl: Kubectl, wanted: Any) -> None:
    """Chance is the real cluster's own."""


CHECKS = {"nodes": _nodes, "proxy": _proxy, "ip_family": _families, "seed": _ignored}
