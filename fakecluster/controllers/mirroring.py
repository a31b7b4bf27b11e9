"""The EndpointSlice mirroring controller: hand-made Endpoints of Services without selectors become EndpointSlices.

Source: pkg/controller/endpointslicemirroring. Endpoints are not mirrored when their label `skip-mirror` says so, when
leader election uses them, or while there is no Service of their name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakecluster.api.client import ApiError, Client
from fakecluster.controllers.endpoints import LEADER
from fakecluster.controllers.events import EventRecorder
from fakecluster.controllers.mirrored_slices import CONTROLLER_NAME, MAX_ADDRESSES, Plan, mirror
from fakecluster.controllers.publishing import Json
from fakecluster.controllers.sliceindex import RESOURCE, SliceIndex
from fakecluster.controllers.syncing import sync_key
from fakecluster.controllers.workqueue import Key, WorkQueue

if TYPE_CHECKING:
    from fakecluster.api.server import ApiServer
    from fakecluster.api.store import WatchEvent
    from fakecluster.sim import Choices, Clock

TARGET = "endpointslicemirroring-controller"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
#: defaultSyncBackOff, maxSyncBackOff
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 100.0


class MirroringController:
    """Keeps mirror slices; bound to the clock as `endpointslicemirroring-controller`."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self.client = Client(api, user=f"system:serviceaccount:kube-system:{TARGET}", agent="kube-controller-manager")
        self._events = EventRecorder(self.client, clock, "endpoint-slice-mirroring-controller")
        self._queue = WorkQueue(clock, TARGET, first_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)
        self._slices = SliceIndex(api.store, CONTROLLER_NAME)
        self._inbox = api.watch(TARGET, {"services", "endpoints", RESOURCE})
        clock.bind(TARGET, self.handle)

    def fork(self, api: ApiServer, clock: Clock, choices: Choices) -> MirroringController:
        copy = MirroringController.__new__(MirroringController)
        copy.client = Client(api, user=self.client.user, agent=self.client.agent)
        copy._events = self._events.fork(copy.client, clock)
        copy._queue = self._queue.fork(clock)
        copy._slices = self._slices.fork(api.store)
        copy._inbox = api.inbox(TARGET)
        clock.bind(TARGET, copy.handle)
        return copy

    def handle(self, payload: Any) -> None:
        """Learn what changed and which Endpoints that concerns, or mirror some."""
        for event in self._inbox.take():
            keys = self._slices.note(event) if event.resource == RESOURCE else NOTICES[event.resource](event)
            for key in keys:
                self._queue.add(key)
        due = self._queue.take(payload)
        if due is not None:
            sync_key(self._queue, due, self._sync_endpoints)

    def _sync_endpoints(self, key: Key) -> None:
        store = self.client.server.store
        endpoints, service = store.get("endpoints", *key), store.get("services", *key)
        existing = self._slices.of(key)
        if endpoints is None or service is None or not is_mirrored(endpoints) or service["spec"].get("selector"):
            self._carry_out(Plan(delete=existing))
            return
        plan = mirror(endpoints, existing)
        if plan.skipped:
            message = (
                f"A max of {MAX_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. "
                f"{plan.skipped} addresses were skipped"
            )
            self._events.warning(endpoints, "TooManyAddressesToMirror", message)
        self._carry_out(plan)

    def _carry_out(self, plan: Plan) -> None:
        for one in plan.create:  # not remembered: the news of a creation overtakes the answer, so it is looked at again
            self.client.create(RESOURCE, one)
        for one in plan.update:
            self._slices.wrote(self.client.update(RESOURCE, one))
        for one in plan.delete:
            self._slices.deleted(one)
            try:
                self.client.delete(RESOURCE, one["metadata"]["name"], one["metadata"]["namespace"])
            except ApiError as error:
                if error.code != 404:
                    raise


def is_mirrored(endpoints: Json) -> bool:
    """Whether Endpoints are meant to be mirrored, by their own labels and annotations."""
    metadata = endpoints["metadata"]
    if (metadata.get("labels") or {}).get(SKIP_MIRROR) == "true":
        return False
    return LEADER not in (metadata.get("annotations") or {})


def _notice_service(event: WatchEvent) -> list[Key]:
    """Services count when they come or go without a selector, or get or lose theirs."""
    states = [one for one in (event.previous, event.object) if one is not None]
    has_selector = {bool(one["spec"].get("selector")) for one in states}
    concerns = len(has_selector) == 2 if event.type == "MODIFIED" else has_selector == {False}
    return [_key(event.object)] if concerns else []


def _notice_endpoints(event: WatchEvent) -> list[Key]:
    states = (one for one in (event.previous, event.object) if one is not None)
    return [_key(event.object)] if any(is_mirrored(one) for one in states) else []


def _key(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


NOTICES = {"services": _notice_service, "endpoints": _notice_endpoints}
