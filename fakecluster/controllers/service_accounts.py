"""What every namespace gets: the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt`.

Sources: pkg/controller/serviceaccount/serviceaccounts_controller.go, pkg/controller/certificates/rootcacertpublisher.
Both are made again when they are deleted; the ConfigMap is put right when it is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.publishing import Json
from fakecluster.controllers.syncing import is_namespace_terminating
from fakecluster.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Choices, Clock

DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
#: Failed namespaces are tried again after 5 ms, 10 ms, ...: client-go's default rate limiter.
FIRST_RETRY_S, LONGEST_RETRY_S = 0.005, 1000.0


@attrs.frozen
class Provision:
    """One object that every active namespace has: `fields` are what it must say beside its name."""

    target: str
    resource: str
    name: str
    fields: Json

    def wanted(self, current: Json | None) -> Json | None:
        """The object to write, or None where the current one will do."""
        if current is None:
            return {**self.fields, "metadata": {"name": self.name, **self.fields.get("metadata", {})}}
        annotations = {
            **(current["metadata"].get("annotations") or {}),
            **(self.fields.get("metadata", {}).get("annotations") or {}),
        }
        metadata = {**current["metadata"], **({"annotations": annotations} if annotations else {})}
        fixed = {**current, **self.fields, "metadata": metadata}
        return None if fixed == current else fixed


def service_account() -> Provision:
    """The account that Pods run under when they name none."""
    return Provision("serviceaccount-controller", "serviceaccounts", "default", {})


def root_ca(certificate: str) -> Provision:
    """The certificate (PEM) by which Pods know the API server."""
    metadata = {"annotations": {"kubernetes.io/description": DESCRIPTION}}
    fields: Json = {"metadata": metadata, "data": {"ca.crt": certificate}}
    return Provision("root-ca-certificate-publisher-controller", "configmaps", "kube-root-ca.crt", fields)


class ProvisionController:
    """Keeps one Provision in every namespace; bound to the clock under the Provision's target."""

    def __init__(self, provision: Provision, api: ApiServer, clock: Clock) -> None:
        self._provision = provision
        user = f"system:serviceaccount:kube-system:{provision.target}"
        self.client = Client(api, user=user, agent="kube-controller-manager")
        self._queue = WorkQueue(clock, provision.target, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._inbox = api.watch(provision.target, {"namespaces", provision.resource})
        clock.bind(provision.target, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> ProvisionController:
        copy = ProvisionController.__new__(ProvisionController)
        copy._provision = self._provision
        copy.client = Client(api, user=self.client.user, agent=self.client.agent)
        copy._queue = self._queue.fork(clock)
        copy._inbox = api.inbox(self._provision.target)
        clock.bind(self._provision.target, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn of namespaces and of changes to the objects, or provide for one namespace."""
        for event in self._inbox.take():
            if event.resource == "namespaces":
                self._queue.add(("", event.object["metadata"]["name"]))
            elif self._concerns(event):
                self._queue.add(("", event.object["metadata"]["namespace"]))
        due = self._queue.take(payload)
        if due is not None:
            self._sync(due[1])

    def _concerns(self, event: WatchEvent) -> bool:
        return event.type != "ADDED" and event.object["metadata"]["name"] == self._provision.name

    def _sync(self, namespace: str) -> None:
        store = self.client.server.store
        found = store.get("namespaces", "", namespace)
        if found is None or (found.get("status") or {}).get("phase") == "Terminating":
            return
        provision = self._provision
        current = store.get(provision.resource, namespace, provision.name)
        wanted = provision.wanted(current)
        if wanted is None:
            return
        write: Callable[[], Json] = (
            (lambda: self.client.create(provision.resource, wanted, namespace))
            if current is None
            else (lambda: self.client.update(provision.resource, wanted))
        )
        try:
            write()
        except ApiError as error:
            if not is_namespace_terminating(error):
                self._queue.failed(("", namespace))
        else:
            self._queue.done(("", namespace))
