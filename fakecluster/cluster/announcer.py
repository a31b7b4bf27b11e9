"""How a load balancer's address reaches the cluster from outside: one node announces it, as in MetalLB's layer 2 mode.

For each address the announcing node is the first (by a hash of node and address) of the Ready nodes; with
`externalTrafficPolicy: Local`, of those with a ready endpoint of the Service. The outside has a route to it; what the
packet meets there is kube-proxy's business. External IPs are routed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fakecluster.cni.nodes import OUTSIDE, family_of
from fakecluster.controllers.conditions import is_true
from fakecluster.sim import Clock

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.cni import Runtime

JsonObject = dict[str, Any]
TARGET = "load-balancer-announcer"
SLICES = "endpointslices.discovery.k8s.io"
RESOURCES = frozenset(("services", "nodes", SLICES))
_BITS = {4: 32, 6: 128}


class Announcer:
    """Keeps the routes of the outside towards load balancer addresses and external IPs."""

    def __init__(self, api: ApiServer, clock: Clock, runtime: Runtime) -> None:
        self._api, self._runtime = api, runtime
        #: address -> node that announces it
        self.announced: dict[str, str] = {}
        self._addresses: dict[tuple[str, str], tuple[str, ...]] = {}
        self._inbox = api.watch(TARGET, RESOURCES)
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, runtime: Runtime) -> Announcer:
        copy = Announcer.__new__(Announcer)
        copy._api, copy._runtime = api, runtime
        copy.announced, copy._addresses = self.announced.copy(), self._addresses.copy()
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: object) -> None:
        """Take in what has changed and announce the Services that it concerns anew."""
        dirty: dict[tuple[str, str], None] = {}
        for event in self._inbox.take():
            meta = event.object["metadata"]
            if event.resource == "services":
                dirty[meta["namespace"], meta["name"]] = None
            elif event.resource == SLICES:
                key = (meta["namespace"], (meta.get("labels") or {}).get("kubernetes.io/service-name", ""))
                if key in self._addresses:
                    dirty[key] = None
            else:
                dirty |= dict.fromkeys(self._addresses)
        for key in dirty:
            self._announce(key)

    def _announce(self, key: tuple[str, str]) -> None:
        service = self._api.store.get("services", *key)
        addresses = tuple(external_addresses(service)) if service else ()
        for gone in set(self._addresses.pop(key, ())) - set(addresses):
            self._withdraw(gone)
        if not addresses or service is None:
            return
        self._addresses[key] = addresses
        nodes = self._eligible(service)
        for address in addresses:
            if nodes:
                self._route(address, min(nodes, key=lambda node: sha256(f"{node}#{address}".encode()).digest()))
            else:
                self._withdraw(address)

    def _eligible(self, service: JsonObject) -> list[str]:
        ready = [node["metadata"]["name"] for node in self._api.store.list("nodes") if is_true(node, "Ready")]
        known = [name for name in ready if name in self._runtime.nodes]
        if service["spec"].get("externalTrafficPolicy") != "Local":
            return known
        meta = service["metadata"]
        local = {
            endpoint.get("nodeName")
            for entry in self._api.store.list(SLICES, meta["namespace"])
            if (entry["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == meta["name"]
            for endpoint in entry.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
        }
        return [name for name in known if name in local]

    def _route(self, address: str, node: str) -> None:
        if self.announced.get(address) == node:
            return
        family = family_of(address)
        plan = self._runtime.plan
        if family not in plan.families:
            return
        hop = self._runtime.nodes[node].ips[plan.families.index(family)]
        outside = self._runtime.network.namespaces[OUTSIDE]
        outside.run(f"ip -{family} route replace {address}/{_BITS[family]} via {hop} dev eth0")
        self.announced[address] = node

    def _withdraw(self, address: str) -> None:
        if self.announced.pop(address, None) is not None:
            family = family_of(address)
            outside = self._runtime.network.namespaces[OUTSIDE]
            outside.run(f"ip -{family} route del {address}/{_BITS[family]}")


def external_addresses(service: JsonObject) -> Iterator[str]:
    """The addresses of a Service that live outside: of its load balancer, and its external IPs."""
    for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        if entry.get("ip"):
            yield entry["ip"]
    yield from service["spec"].get("externalIPs") or ()
