"""Plant a bug in how something recovers: plans of faults must find it and shrink to the one fault that shows it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from fakecluster import Cluster
from fakecluster import strategies as kube
from fakecluster.api.store import Inbox
from fakecluster.checks import recovers
from fakecluster.cluster.faults import Fault, FaultPlan
from fakecluster.controllers.kubelet.kubelet import HANDLERS
from fakecluster.controllers.workqueue import WorkQueue
from fakecluster.sim import Clock

SEARCH = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
SLICES_USER = "system:serviceaccount:kube-system:endpointslice-controller"
KINDS = ("hold", "crash", "restart", "cut-watch", "reboot", "crash-pod", "fail-api", "partition")
TARGETS = {
    "hold": ["kube-proxy@a", "kubelet@b", "endpointslice-controller"],
    "crash": ["kube-proxy@b", "scheduler"],
    "cut-watch": ["kube-proxy@a", "kubelet@b"],
    "restart": ["kube-proxy@a", "deployment-controller"],
    "reboot": ["b"],
    "fail-api": ["system:node:b", SLICES_USER],
    "partition": ["a", "b"],
    "crash-pod": ["web-1"],
}


@attrs.frozen
class Bug:
    """What is replaced (an object's attribute, or a dict's entry) by what, and the least plan that shows it."""

    owner: Any
    name: str
    wrong: Any
    least: Fault


def _release(clock: Clock, target: str) -> None:
    clock._parked.pop(target, None)


def _mend(inbox: Inbox) -> None:
    inbox._missed = None


BUGS = {
    "what waited for a held component is lost": Bug(Clock, "release", _release, Fault("hold", "kube-proxy@a")),
    "a watch that was cut is not listed again": Bug(Inbox, "mend", _mend, Fault("cut-watch", "kube-proxy@a")),
    "a kubelet does not restart what a reboot ended": Bug(
        HANDLERS, "exited", lambda *payload: None, Fault("reboot", "b")
    ),
    "a status that was not taken is not said again": Bug(
        HANDLERS, "publish", lambda *payload: None, Fault("fail-api", "system:node:b")
    ),
    "a key that failed is not tried again": Bug(
        WorkQueue, "failed", lambda queue, key: None, Fault("fail-api", SLICES_USER)
    ),
}


def shop() -> Cluster:
    """A client's node a, and a Service with a Pod on node b."""
    cluster = Cluster(nodes=2, dns=False)
    cluster.apply([_pod("web-1"), _service()])
    return cluster


def _pod(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}
    spec = {"nodeName": "b", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec}


def _service() -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def one_pod_comes(cluster: Cluster) -> None:
    cluster.apply(_pod("web-2"))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_recovery_bug_is_found_and_shrunk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = BUGS[name]
    cluster = shop()
    if isinstance(bug.owner, dict):
        monkeypatch.setitem(bug.owner, bug.name, bug.wrong)
    else:
        monkeypatch.setattr(bug.owner, bug.name, bug.wrong)
    plans = kube.fault_plans(cluster, kinds=KINDS, targets=TARGETS, within_s=4, longest_s=4)
    found = find(plans, lambda plan: bool(recovers(cluster, plan, meanwhile=one_pod_comes, rest_s=60)), settings=SEARCH)
    (fault,) = found.faults
    assert (fault.kind, fault.target) == (bug.least.kind, bug.least.target)
    assert (fault.at_s, fault.for_s) in ((0, 1), (0, 2), (1, 1)), fault


#: Of which every plan has a copy.
SHOP = shop()


@settings(SEARCH, max_examples=12, phases=(Phase.generate,))
@given(plan=kube.fault_plans(SHOP, within_s=10, longest_s=20))
def test_without_a_bug_the_cluster_recovers_from_every_plan(plan: FaultPlan) -> None:
    assert recovers(SHOP, plan, meanwhile=one_pod_comes) == []
