"""The endpoints controller: one Endpoints object per Service with a selector.

Source: pkg/controller/endpoint/endpoints_controller.go. It follows Services and Pods; of its own Endpoints it notices
only that they were deleted, so that hand edits stay until the next change of the Service or of its Pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.publishing import HEADLESS_LABEL, Json, has_cluster_ip, has_endpoints
from fakecluster.controllers.selection import Selection
from fakecluster.controllers.subsets import MAX_ADDRESSES, subsets_for, truncated
from fakecluster.controllers.syncing import is_namespace_terminating, sync_key
from fakecluster.controllers.triggers import TriggerTimes, stamped
from fakecluster.controllers.workqueue import Key, WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.sim import Choices, Clock

TARGET = "endpoints-controller"
AGENT = "endpoint-controller"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
LEADER = "control-plane.alpha.kubernetes.io/leader"
#: Failed Services are tried again after 5 ms, 10 ms, ...: client-go's default rate limiter.
FIRST_RETRY_S, LONGEST_RETRY_S = 0.005, 1000.0


class EndpointsController:
    """Keeps Endpoints; bound to the clock as `endpoints-controller`."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self.client = Client(api, user=f"system:serviceaccount:kube-system:{AGENT}", agent="kube-controller-manager")
        self._events = EventRecorder(self.client, clock, AGENT)
        self._queue = WorkQueue(clock, TARGET, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._selection = Selection(api.store)
        self._triggers = TriggerTimes()
        self._queue_leftovers(api)
        self._inbox = api.watch(TARGET, {"services", "pods", "endpoints"})
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> EndpointsController:
        copy = EndpointsController.__new__(EndpointsController)
        copy.client = Client(api, user=self.client.user, agent=self.client.agent)
        copy._events = self._events.fork(copy.client, clock)
        copy._queue = self._queue.fork(clock)
        copy._selection = self._selection.fork(api.store)
        copy._triggers = self._triggers.fork()
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn what changed and which Services that concerns, or bring one's Endpoints up to date."""
        for event in self._inbox.take():
            if event.resource != "endpoints":
                for key in self._selection.note(event):
                    self._queue.add(key)
            elif event.type == "DELETED":
                self._queue.add((event.object["metadata"]["namespace"], event.object["metadata"]["name"]))
        due = self._queue.take(payload)
        if due is not None:
            sync_key(self._queue, due, self._sync_service)

    def _queue_leftovers(self, api: ApiServer) -> None:
        """Endpoints that are there at the start without a Service are deleted, leader election's excepted."""
        for endpoints in api.store.list("endpoints"):
            if LEADER not in (endpoints["metadata"].get("annotations") or {}):
                self._queue.add((endpoints["metadata"]["namespace"], endpoints["metadata"]["name"]))

    def _sync_service(self, key: Key) -> None:
        store = self.client.server.store
        service, current = store.get("services", *key), store.get("endpoints", *key)
        if service is None:
            if current is not None:
                self.client.delete("endpoints", key[1], key[0])
            self._triggers.forget(key)
            return
        if not has_endpoints(service):
            return
        pods = self._selection.pods(service)
        time = self._triggers.update(key, service, pods)
        subsets = subsets_for(service, pods)
        if current is None:
            self._write(service, new_endpoints(service), subsets, time)
        elif not is_current(current, service, subsets):
            self._write(service, current, subsets, time)

    def _write(self, service: Json, current: Json, subsets: list[Json], time: str) -> None:
        wanted = endpoints_for(service, current, subsets, time)
        is_new = "uid" not in current["metadata"]
        try:
            if is_new:
                self.client.create("endpoints", wanted)
            else:
                self.client.update("endpoints", wanted)
        except ApiError as error:
            if not is_namespace_terminating(error):
                self._report(service, wanted, error, is_new=is_new)
            raise

    def _report(self, service: Json, wanted: Json, error: ApiError, *, is_new: bool) -> None:
        name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        involved = {**wanted, "metadata": {"uid": "", **wanted["metadata"]}}
        if is_new:
            message = f"Failed to create endpoint for service {name}: {error.message}"
            self._events.warning(involved, "FailedToCreateEndpoint", message)
        else:
            message = f"Failed to update endpoint {name}: {error.message}"
            self._events.warning(involved, "FailedToUpdateEndpoint", message)


def new_endpoints(service: Json) -> Json:
    """An Endpoints object to be created for a Service."""
    metadata = service["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
    }


def is_current(current: Json, service: Json, subsets: list[Json]) -> bool:
    """Whether existing Endpoints already say what they should; cut ones are written again each time."""
    metadata = current["metadata"]
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HEADLESS_LABEL}
    is_capacity_right = OVER_CAPACITY not in (metadata.get("annotations") or {}) and _size(current) <= MAX_ADDRESSES
    return (
        is_capacity_right
        and labels == {**(service["metadata"].get("labels") or {}), MANAGED_BY: AGENT}
        and _bare(current.get("subsets") or ()) == subsets
    )


def endpoints_for(service: Json, current: Json, subsets: list[Json], time: str) -> Json:
    """The Endpoints object to write; it keeps annotations of others and takes the Service's labels."""
    cut = truncated(subsets)
    metadata = stamped(current["metadata"], time)
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name != OVER_CAPACITY
    } | ({OVER_CAPACITY: "truncated"} if cut is not None else {})
    own = {key: value for key, value in (service["metadata"].get("labels") or {}).items() if key != HEADLESS_LABEL}
    headless = {} if has_cluster_ip(service) else {HEADLESS_LABEL: ""}
    bare = {name: value for name, value in metadata.items() if name != "annotations"}
    wanted = {name: value for name, value in current.items() if name != "subsets"}
    wanted["metadata"] = {
        **bare,
        "labels": {**own, **headless, MANAGED_BY: AGENT},
        **({"annotations": annotations} if annotations else {}),
    }
    return {**wanted, "subsets": subsets if cut is None else cut}


def _size(endpoints: Json) -> int:
    subsets = endpoints.get("subsets") or ()
    return sum(len(one.get("addresses") or ()) + len(one.get("notReadyAddresses") or ()) for one in subsets)


def _bare(subsets: Any) -> list[Json]:
    """Subsets without the Pods' resourceVersions, which do not count when they are compared."""
    return [{name: _bare_list(value) for name, value in subset.items() if value} for subset in subsets]


def _bare_list(entries: list[Json]) -> list[Json]:
    return [
        {**entry, "targetRef": {name: value for name, value in entry["targetRef"].items() if name != "resourceVersion"}}
        if "resourceVersion" in (entry.get("targetRef") or ())
        else entry
        for entry in entries
    ]
