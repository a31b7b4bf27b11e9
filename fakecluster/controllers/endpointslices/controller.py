"""The EndpointSlice controller (pkg/controller/endpointslice/endpointslice_controller.go).

It follows Services, Pods and Nodes, and its own slices: what others change in them is put right a second later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.endpointslices.endpoint import zone_of
from fakecluster.controllers.endpointslices.reconcile import CONTROLLER_NAME, Plan, reconcile
from fakecluster.controllers.endpointslices.topology import Counts, is_overloaded, zone_shares
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.publishing import Json, has_endpoints
from fakecluster.controllers.selection import Selection
from fakecluster.controllers.sliceindex import RESOURCE, SliceIndex
from fakecluster.controllers.syncing import sync_key
from fakecluster.controllers.triggers import TriggerTimes, stamped
from fakecluster.controllers.workqueue import Key, WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Choices, Clock

TARGET = "endpointslice-controller"
#: endpointSliceChangeMinSyncDelay, defaultSyncBackOff, maxSyncBackOff
SLICE_CHANGE_DELAY_S, FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 1.0, 1000.0


class EndpointSliceController:
    """Keeps the EndpointSlices of Services with selectors; bound to the clock as `endpointslice-controller`."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self.client = Client(api, user=f"system:serviceaccount:kube-system:{TARGET}", agent="kube-controller-manager")
        self._events = EventRecorder(self.client, clock, "endpoint-slice-controller")
        self._queue = WorkQueue(clock, TARGET, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._selection = Selection(api.store)
        self._slices = SliceIndex(api.store, CONTROLLER_NAME)
        self._triggers = TriggerTimes()
        self._shares: Mapping[str, float] | None = None
        self._hinted: dict[Key, dict[str, Counts]] = {}  # hints per zone, by address type
        self._inbox = api.watch(TARGET, {"services", "pods", "nodes", RESOURCE})
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> EndpointSliceController:
        copy = EndpointSliceController.__new__(EndpointSliceController)
        copy.client = Client(api, user=self.client.user, agent=self.client.agent)
        copy._events = self._events.fork(copy.client, clock)
        copy._queue = self._queue.fork(clock)
        copy._selection = self._selection.fork(api.store)
        copy._slices = self._slices.fork(api.store)
        copy._triggers = self._triggers.fork()
        copy._shares = self._shares
        copy._hinted = {key: by_type.copy() for key, by_type in self._hinted.items()}
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn what changed and which Services that concerns, or bring one's slices up to date."""
        are_nodes_changed = False
        for event in self._inbox.take():
            if event.resource == "nodes":
                are_nodes_changed = are_nodes_changed or _is_topology_change(event)
            elif event.resource == RESOURCE:
                for key in self._slices.note(event):
                    self._queue.add_later(key, SLICE_CHANGE_DELAY_S)
            else:
                for key in self._selection.note(event):
                    self._queue.add(key)
        if are_nodes_changed:
            self._check_topology()
        due = self._queue.take(payload)
        if due is not None:
            sync_key(self._queue, due, self._sync_service)

    def _check_topology(self) -> None:
        """Zones' shares may have moved: Services whose hints overload a zone by now are looked at again."""
        self._shares = zone_shares(self.client.server.store.list("nodes"))
        for key, by_type in self._hinted.items():
            if any(is_overloaded(by_zone, self._shares) for by_zone in by_type.values()):
                self._queue.add(key)

    def _sync_service(self, key: Key) -> bool:
        """Bring one Service's slices up to date; False when a Pod had to be left out and it must be tried again."""
        service = self.client.server.store.get("services", *key)
        if service is None:
            self._triggers.forget(key)
            self._hinted.pop(key, None)
            return True
        if not has_endpoints(service):
            return True
        pods = self._selection.pods(service)
        time = self._triggers.update(key, service, pods)
        existing = [one for one in self._slices.of(key) if "deletionTimestamp" not in one["metadata"]]
        plan = reconcile(service, pods, self._nodes_of(pods), existing, self._shares)
        self._remember_hints(key, service, plan)
        self._carry_out(plan, time)
        return not plan.without_node

    def _nodes_of(self, pods: list[Json]) -> dict[str, Json]:
        names = {pod["spec"].get("nodeName") or "" for pod in pods}
        store = self.client.server.store
        return {name: node for name in names if name and (node := store.get("nodes", "", name)) is not None}

    def _carry_out(self, plan: Plan, time: str) -> None:
        for one in plan.create:
            self._slices.wrote(self.client.create(RESOURCE, _finished(one, time)))
        for one in plan.update:
            self._slices.wrote(self.client.update(RESOURCE, _finished(one, time)))
        for one in plan.delete:
            self._delete(one)

    def _delete(self, one: Json) -> None:
        self._slices.deleted(one)
        try:
            self.client.delete(RESOURCE, one["metadata"]["name"], one["metadata"]["namespace"])
        except ApiError as error:
            if error.code != 404:
                raise

    def _remember_hints(self, key: Key, service: Json, plan: Plan) -> None:
        known = self._hinted.get(key, {})
        hinted: dict[str, Counts] = {}
        for family, (by_zone, problem) in plan.hinted.items():
            if by_zone is not None:
                hinted[family] = by_zone
                if not known:
                    message = f"Topology Aware Hints has been enabled, addressType: {family}"
                    self._events.normal(service, "TopologyAwareHintsEnabled", message)
            else:
                self._events.warning(service, "TopologyAwareHintsDisabled", f"{problem}, addressType: {family}")
        for family in known if not plan.hinted else ():
            message = f"Topology Aware Hints has been disabled, addressType: {family}"
            self._events.warning(service, "TopologyAwareHintsDisabled", message)
        self._hinted.pop(key, None)
        if hinted:
            self._hinted[key] = hinted


def _finished(one: Json, time: str) -> Json:
    return {**one, "metadata": stamped(one["metadata"], time), "endpoints": one["endpoints"] or None}


def _is_topology_change(event: WatchEvent) -> bool:
    """Whether a Node came, went, or changed its zone, its CPUs or its readiness."""
    previous = event.previous
    return event.type != "MODIFIED" or previous is None or _topology(previous) != _topology(event.object)


def _topology(node: Json) -> tuple[Any, ...]:
    status = node.get("status") or {}
    ready = [one.get("status") for one in status.get("conditions") or () if one.get("type") == "Ready"]
    return zone_of(node), (status.get("allocatable") or {}).get("cpu"), ready
