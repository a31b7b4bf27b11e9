"""The API server: one object that holds the state; verbs are functions in modules of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fakecluster.api import kinds_network, resources
from fakecluster.api.faults import Failing
from fakecluster.api.resources import Registry
from fakecluster.api.rest.users import ADMIN, User
from fakecluster.api.store import Inbox, Store
from fakecluster.sim import Choices, Clock

if TYPE_CHECKING:
    from fakecluster.api.rest.response import Response

#: The namespaces that a server makes for itself.
SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")


class ApiServer:
    """A Kubernetes 1.36 API server: `request` answers HTTP, `client.Client` is the way from inside the process."""

    def __init__(
        self,
        clock: Clock,
        choices: Choices,
        *,
        service_cidrs: Sequence[str] = ("10.96.0.0/16",),
        advertise_address: str = "172.18.0.2",
        service_account_admission: bool = False,
    ) -> None:
        self.clock, self.choices = clock, choices
        self.service_cidrs = tuple(service_cidrs)
        self.advertise_address = advertise_address
        self.service_account_admission = service_account_admission
        self.store = Store(clock)
        #: what is wrong with it: requests that fail, and how long an answer takes
        self.failing: tuple[Failing, ...] = ()
        self.slow_s = 0.0
        self.registry: Registry = resources.built_in()
        #: bearer tokens, and what is known of users that a transport names
        self.tokens: dict[str, User] = {}
        self.users: dict[str, User] = {ADMIN.name: ADMIN}
        self.allocators: Any = kinds_network.new_allocators(self.service_cidrs)
        self._start()

    def _start(self) -> None:
        from fakecluster.api.client import Client

        client = Client(self, user="system:apiserver", agent="kube-apiserver")
        for name in SYSTEM_NAMESPACES:
            client.create("namespaces", {"metadata": {"name": name}})
        kinds_network.publish_default(client, self.service_cidrs)
        kinds_network.publish_master(client, self.service_cidrs, self.advertise_address)

    def request(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        user: str = "admin",
    ) -> Response:
        """Answer one HTTP request; `user` is who asks when no bearer token says otherwise."""
        from fakecluster.api.rest import dispatch  # clusters that nobody asks over HTTP need none of it

        return dispatch.answer(self, method, path, query, headers or {}, body, user)

    def watch(self, target: str, resources: Iterable[str], *, priority: int = 0, node: str = "") -> Inbox:
        """Open an inbox for a component; its target is woken through the clock (bind it there), see `Store.watch`."""
        return self.store.watch(target, resources, priority=priority, node=node)

    def inbox(self, target: str) -> Inbox:
        """The inbox of a target; after a fork, the copied one."""
        return self.store.inboxes[target]

    def fork(self, clock: Clock, choices: Choices) -> ApiServer:
        """A server with the same objects whose later changes are its own."""
        copy = object.__new__(ApiServer)
        copy.__dict__.update(self.__dict__)
        copy.clock, copy.choices = clock, choices
        copy.store = self.store.fork(clock)
        copy.allocators = self.allocators.fork()
        copy.tokens, copy.users = self.tokens.copy(), self.users.copy()
        return copy
