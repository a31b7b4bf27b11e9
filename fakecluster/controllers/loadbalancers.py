"""Load balancers: every Service of the type gets addresses from a pool, as a cloud's service controller gives them.

Source: k8s.io/cloud-provider/controllers/service/controller.go. A finalizer keeps a deleted Service until its load
balancer is gone. Services with a `loadBalancerClass` are left to others; `ipMode` is KEP-1860's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.publishing import Json
from fakecluster.controllers.workqueue import Key, WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.sim import Choices, Clock

TARGET = "service-lb-controller"
FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
#: minRetryDelay, maxRetryDelay
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PoolError(Exception):
    """No address can be given: the pool has none left, none of that family, or not the one asked for."""


@attrs.frozen
class Pool:
    """The addresses outside that load balancers can have: one network or more."""

    networks: tuple[Network, ...]

    def address(self, family: str, wanted: str, taken: set[str]) -> str:
        """A free address of a family, the lowest unless one is `wanted`; raises PoolError."""
        networks = [network for network in self.networks if f"IPv{network.version}" == family]
        if wanted:
            ip = ipaddress.ip_address(wanted)
            if not any(ip in network for network in networks):
                raise PoolError(f"{wanted} is not in the load balancer pool")
            if str(ip) in taken:
                raise PoolError(f"{wanted} belongs to another load balancer")
            return str(ip)
        hosts = (str(host) for network in networks for host in network.hosts())
        found = next((host for host in hosts if host not in taken), None)
        if found is None:
            raise PoolError(f"the load balancer pool has no free {family} address")
        return found


def pool(text: str) -> Pool:
    """Read networks separated by commas; raises ValueError."""
    return Pool(tuple(ipaddress.ip_network(part.strip()) for part in text.split(",")))


class LoadBalancerController:
    """Gives Services their ingress addresses; bound to the clock as `service-lb-controller`."""

    def __init__(self, api: ApiServer, clock: Clock, addresses: Pool, *, ip_mode: str = "VIP") -> None:
        self.client = Client(api, user="system:cloud-controller-manager", agent="cloud-controller-manager")
        self._events = EventRecorder(self.client, clock, "service-controller")
        self._queue = WorkQueue(clock, TARGET, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._pool, self._ip_mode = addresses, ip_mode
        self._given: dict[Key, tuple[str, ...]] = {}
        self._inbox = api.watch(TARGET, {"services"})
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> LoadBalancerController:
        copy = LoadBalancerController.__new__(LoadBalancerController)
        copy.client = Client(api, user=self.client.user, agent=self.client.agent)
        copy._events = self._events.fork(copy.client, clock)
        copy._queue = self._queue.fork(clock)
        copy._pool, copy._ip_mode = self._pool, self._ip_mode
        copy._given = self._given.copy()
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn which Services changed, or make, keep or take away one's load balancer."""
        for event in self._inbox.take():
            key = event.object["metadata"]["namespace"], event.object["metadata"]["name"]
            if event.type == "DELETED":
                self._given.pop(key, None)
            elif _has_balancer(event.object) or _is_wanted(event.object):
                self._queue.add(key)
        due = self._queue.take(payload)
        if due is not None:
            self._sync(due)

    def _sync(self, key: Key) -> None:
        service = self.client.server.store.get("services", *key)
        if service is None:
            return
        try:
            if _is_wanted(service):
                self._ensure(key, service)
            elif _has_balancer(service):
                self._remove(key, service)
        except PoolError as problem:
            message = f"Error syncing load balancer: failed to ensure load balancer: {problem}"
            self._events.warning(service, "SyncLoadBalancerFailed", message)
            self._queue.failed(key)
        except ApiError:
            self._queue.failed(key)
        else:
            self._queue.done(key)

    def _ensure(self, key: Key, service: Json) -> None:
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if FINALIZER not in (service["metadata"].get("finalizers") or ()):
            finalizers = [*(service["metadata"].get("finalizers") or ()), FINALIZER]
            self.client.patch("services", key[1], {"metadata": {"finalizers": finalizers}}, key[0])
        given = tuple(one["ip"] for one in ingress if "ip" in one)
        if not given:
            self._events.normal(service, "EnsuringLoadBalancer", "Ensuring load balancer")
            given = self._allocate(key, service)
        self._given[key] = given
        wanted = [{"ip": ip, "ipMode": self._ip_mode} for ip in given]
        if not ingress:
            self._write_status(key, wanted)
            self._events.normal(service, "EnsuredLoadBalancer", "Ensured load balancer")

    def _allocate(self, key: Key, service: Json) -> tuple[str, ...]:
        taken = {ip for other, ips in self._given.items() if other != key for ip in ips}
        spec = service["spec"]
        wanted = spec.get("loadBalancerIP") or ""
        found: list[str] = []
        for family in _families(spec, wanted):
            found.append(self._pool.address(family, wanted, taken.union(found)))
        return tuple(found)

    def _remove(self, key: Key, service: Json) -> None:
        self._events.normal(service, "DeletingLoadBalancer", "Deleting load balancer")
        if ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
            self._write_status(key, [])
        self._given.pop(key, None)
        finalizers = [one for one in service["metadata"].get("finalizers") or () if one != FINALIZER]
        self.client.patch("services", key[1], {"metadata": {"finalizers": finalizers or None}}, key[0])
        self._events.normal(service, "DeletedLoadBalancer", "Deleted load balancer")

    def _write_status(self, key: Key, ingress: list[Json]) -> None:
        status = {"status": {"loadBalancer": {"ingress": ingress or None}}}
        self.client.patch("services", key[1], status, key[0], subresource="status")


def _is_wanted(service: Json) -> bool:
    spec, metadata = service["spec"], service["metadata"]
    is_mine = spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")
    return is_mine and not metadata.get("deletionTimestamp")


def _has_balancer(service: Json) -> bool:
    return FINALIZER in (service["metadata"].get("finalizers") or ())


def _families(spec: Json, wanted: str) -> Iterable[str]:
    """The families to give addresses of: that of the address asked for, else the Service's."""
    if wanted:
        return (f"IPv{ipaddress.ip_address(wanted).version}",)
    return spec.get("ipFamilies") or ("IPv4",)
