"""kube-controller-manager: builds the controllers of one cluster and binds each to the clock under its real name.

A controller binds itself when it is made, so that it can be held, released and stepped one by one through its clock
target. The scheduler and the kubelets are processes of their own and are not built here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from fakecluster.controllers import cronjobs, daemonsets, deployments, disruption, jobs, replicasets, statefulsets
from fakecluster.controllers.endpoints import EndpointsController
from fakecluster.controllers.endpointslices import EndpointSliceController
from fakecluster.controllers.garbage import GarbageCollector
from fakecluster.controllers.loadbalancers import LoadBalancerController, pool
from fakecluster.controllers.loop import Duty, Loop
from fakecluster.controllers.mirroring import MirroringController
from fakecluster.controllers.namespaces import NamespaceController
from fakecluster.controllers.nodes import ipam, lifecycle, orphans, ttl
from fakecluster.controllers.nodes.eviction import TaintEviction
from fakecluster.controllers.service_accounts import ProvisionController, root_ca, service_account
from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.client import Client
    from fakecluster.api.server import ApiServer


class Controller(Protocol):
    """A loop bound to one clock target: `handle` drains its inbox and works on what is dirty, asking as `client`."""

    @property
    def client(self) -> Client: ...

    def handle(self, payload: object) -> None: ...

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> Controller:
        """The same controller on a copied cluster, with its own copy of its state, bound to the copied clock."""
        ...


#: TEST-NET-2 and a part of the documentation prefix: addresses that belong to nobody.
LOAD_BALANCER_POOL = "198.51.100.0/24,2001:db8:100::/120"


@attrs.frozen
class Flags:
    """What the real processes take on their command lines."""

    load_balancer_pool: str = LOAD_BALANCER_POOL
    load_balancer_ip_mode: str = "VIP"
    root_ca: str = ""
    cluster_cidrs: tuple[str, ...] = ("10.244.0.0/16",)


def _loop(duty: Duty) -> Callable[[ApiServer, Clock, Choices, Flags], Controller]:
    return lambda api, clock, choices, flags: Loop(duty, api, clock)


#: name of a controller (as in `kube-controller-manager --controllers`) -> how it is made
CONTROLLERS: dict[str, Callable[[ApiServer, Clock, Choices, Flags], Controller]] = {
    "deployment-controller": _loop(deployments.DUTY),
    "replicaset-controller": _loop(replicasets.DUTY),
    "statefulset-controller": _loop(statefulsets.DUTY),
    "daemonset-controller": _loop(daemonsets.DUTY),
    "job-controller": _loop(jobs.DUTY),
    "cronjob-controller": _loop(cronjobs.DUTY),
    "disruption-controller": _loop(disruption.DUTY),
    "node-ipam-controller": lambda api, clock, choices, flags: Loop(ipam.duty(flags.cluster_cidrs), api, clock),
    "node-lifecycle-controller": _loop(lifecycle.DUTY),
    "taint-eviction-controller": lambda api, clock, choices, flags: TaintEviction(api, clock),
    "pod-garbage-collector-controller": _loop(orphans.DUTY),
    "ttl-controller": _loop(ttl.DUTY),
    "garbage-collector-controller": lambda api, clock, choices, flags: GarbageCollector(api, clock),
    "namespace-controller": lambda api, clock, choices, flags: NamespaceController(api, clock),
    "endpoints-controller": lambda api, clock, choices, flags: EndpointsController(api, clock),
    "endpointslice-controller": lambda api, clock, choices, flags: EndpointSliceController(api, clock),
    "endpointslicemirroring-controller": lambda api, clock, choices, flags: MirroringController(api, clock),
    "service-lb-controller": lambda api, clock, choices, flags: LoadBalancerController(
        api, clock, pool(flags.load_balancer_pool), ip_mode=flags.load_balancer_ip_mode
    ),
    "serviceaccount-controller": lambda api, clock, choices, flags: ProvisionController(service_account(), api, clock),
    "root-ca-certificate-publisher-controller": lambda api, clock, choices, flags: ProvisionController(
        root_ca(flags.root_ca), api, clock
    ),
}


class Manager:
    """The controllers of one cluster; `controllers` chooses some of `CONTROLLERS` by name (None: all).

    `load_balancer_pool` is one network or more, separated by commas; `load_balancer_ip_mode` is VIP or Proxy; `root_ca`
    (PEM) is what `kube-root-ca.crt` says; `cluster_cidrs` give Pod ranges to Nodes without one. Raises ValueError for
    a name that is not known.
    """

    def __init__(
        self,
        api: ApiServer,
        clock: Clock,
        choices: Choices,
        *,
        controllers: Collection[str] | None = None,
        load_balancer_pool: str = LOAD_BALANCER_POOL,
        load_balancer_ip_mode: str = "VIP",
        root_ca: str = "",
        cluster_cidrs: Sequence[str] = ("10.244.0.0/16",),
    ) -> None:
        if unknown := set(controllers or ()) - set(CONTROLLERS):
            raise ValueError(f"no such controllers: {', '.join(sorted(unknown))}; there are {', '.join(CONTROLLERS)}")
        self._flags = flags = Flags(load_balancer_pool, load_balancer_ip_mode, root_ca, tuple(cluster_cidrs))
        self.controllers: dict[str, Controller] = {
            name: make(api, clock, choices, flags)
            for name, make in CONTROLLERS.items()
            if controllers is None or name in controllers
        }

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> Manager:
        """The manager of a copied cluster: every controller continues where this one's stands."""
        copy = Manager.__new__(Manager)
        copy._flags = self._flags
        copy.controllers = {name: one.fork(api, clock, choices) for name, one in self.controllers.items()}
        return copy

    def stop(self, name: str, api: ApiServer, clock: Clock) -> None:
        """End a controller: it forgets everything and hears nothing. Raises KeyError when it does not run."""
        del self.controllers[name]
        for target in clock.targets:
            if target == name or target.startswith(f"{name}/"):
                clock.forget(target)
                api.store.unwatch(target)

    def start(self, name: str, api: ApiServer, clock: Clock, choices: Choices) -> None:
        """Start a controller anew: it begins by listing."""
        self.controllers[name] = CONTROLLERS[name](api, clock, choices, self._flags)
