"""Faults and plans that make no sense: each is refused, with what there is instead, and nothing of it happens."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.api.client import ApiError
from fakecluster.checks import recovers
from fakecluster.cluster.faults import Fault, FaultOptions, FaultPlan

from .conftest import client_and_web


@pytest.fixture
def cluster() -> Cluster:
    """A client on node a, a Service `web` with a Pod on node b."""
    return client_and_web()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "earthquake"}, "no fault is called 'earthquake'; there are hold, crash, restart"),
        ({"kind": "hold", "target": "scheduler", "at_s": -1}, "at_s=-1: time does not run backwards"),
        ({"kind": "hold", "target": "scheduler", "for_s": -1}, "for_s=-1: time does not run backwards"),
        ({"kind": "hold", "target": "scheduler", "amount": 1}, "hold has no amount"),
        ({"kind": "loss", "amount": 2}, "expected a probability from 0 to 1"),
        ({"kind": "delay", "amount": -2}, "expected seconds of 0 or more"),
        ({"kind": "partition", "target": "a"}, "`to` is the other side of a partition; say it"),
        ({"kind": "hold", "target": "scheduler", "at_s": nan}, "at_s=nan: expected a finite number"),
        ({"kind": "hold", "target": "scheduler", "at_s": inf}, "at_s=inf: expected a finite number"),
        ({"kind": "hold", "target": "scheduler", "for_s": nan}, "for_s=nan: expected a number"),
        ({"kind": "delay", "amount": inf}, "amount=inf: expected a finite number"),
        ({"kind": "loss", "amount": nan}, "amount=nan: expected a finite number"),
        ({"kind": "fail-api", "amount": 503.5}, "amount=503.5: expected a whole number"),
        ({"kind": "conntrack-limit", "target": "a", "amount": 0}, "amount=0: expected count of 1 or more"),
        ({"kind": "ephemeral-ports", "target": "node/a", "amount": 1e6}, "expected count of 1 to 28232"),
        ({"kind": "slow-api", "target": "a"}, "slow-api strikes nothing in particular; leave out the target 'a'"),
        ({"kind": "crash-node", "target": "a", "to": "b"}, "`to` is the other side of a partition"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fault(**fault)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Fault("hold", "scheduler"), Fault("crash", "scheduler", at_s=5)),
        (Fault("crash-node", "a", for_s=inf), Fault("reboot", "a", at_s=500)),
        (Fault("crash-node", "a"), Fault("restart", "kube-proxy@a", at_s=1)),
        (Fault("partition", "a", "b"), Fault("one-way-partition", "b", "a", at_s=9)),
        (Fault("loss", amount=0.1), Fault("loss", amount=0.2)),
        (Fault("stale-lists"), Fault("stale-lists", at_s=1)),
    ],
)
def test_plans_that_contradict_themselves_are_refused(one: Fault, other: Fault) -> None:
    with pytest.raises(ValueError, match="contradict each other: "):
        FaultPlan((one, other))
    FaultPlan((one if one.for_s != inf else Fault("reboot", "b"), Fault(other.kind, other.target, other.to, at_s=600)))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("crash", "kube-proxy@z"), r"no component 'kube-proxy@z'; there are kube-proxy@a, .*scheduler"),
        (Fault("hold", "dentist"), r"no component 'dentist'; there are .*kube-proxy@a"),
        (Fault("reboot", "z"), "no node 'z'; there are a, b"),
        (Fault("partition", "a", "z"), "no node 'z'; there are a, b"),
        (Fault("partition", "", "a"), "no node ''; there are a, b, outside"),
        (Fault("loss", "cable"), "no link 'cable'; there are node-network"),
        (Fault("fail-api", amount=404), "code=404: expected one of 409, 410, 429"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_as_a_whole(fault: Fault, words: str, cluster: Cluster) -> None:
    with pytest.raises((LookupError, ValueError), match=words):
        cluster.faults.run(FaultPlan((Fault("crash-pod", "web"), fault)))
    cluster.settle()
    assert cluster.faults.log == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ["flood"]}, "no fault is called flood; there are hold"),
        ({"kinds": "flood"}, "no fault is called flood; there are hold"),
        ({"count": -1}, "count=-1"),
        ({"count": 2.5}, "count=2.5: expected a whole number"),
        ({"within_s": inf}, "within_s=inf: expected a finite number"),
        ({"longest_s": nan}, "longest_s=nan: expected a finite number"),
        ({"seed": nan}, "seed=nan: expected a finite number"),
        ({"targets": {"crash": "scheduler"}}, "targets of crash: expected a list of names"),
        ({"kinds": ["hold"], "targets": {"crash": ["scheduler"]}}, "targets has crash, which kinds=.* leaves out"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FaultOptions(**options)


@pytest.mark.parametrize(
    ("call", "arguments", "words"),
    [
        ("kill", ("kube-proxy@z",), "no component 'kube-proxy@z'; there are kube-proxy@a"),
        ("start", ("kube-proxy@a",), "kube-proxy@a runs; down are none"),
        ("hang", ("nobody",), "no Pod 'nobody'; there are client, web"),
        ("slow_start", ("a", -1), "seconds=-1"),
        ("slow_api", (-1,), "seconds=-1"),
        ("reboot", ("a",), ""),
        ("slow_api", (nan,), "seconds=nan: expected a finite number"),
        ("clock_jump", ("a", inf), "seconds=inf: expected a finite number"),
        ("conntrack_limit", ("a", 1.5), "entries=1.5: expected a whole number"),
        ("ephemeral_ports", ("pod/client", nan), "count=nan: expected a finite number"),
        ("fail_api", (418,), "code=418: expected one of 409"),
        ("dns", ("maybe",), "'maybe': expected silent, NXDOMAIN"),
        ("cut_watch", ("nobody",), "nothing called 'nobody' watches; there are .*kube-proxy@a"),
    ],
)
def test_wrong_calls_are_answered_with_what_there_is(
    cluster: Cluster, call: str, arguments: tuple[Any, ...], words: str
) -> None:
    if not words:
        with pytest.raises(ValueError, match="down_s=-1"):
            cluster.faults.reboot(*arguments, down_s=-1)
        return
    with pytest.raises((LookupError, ValueError), match=words):
        getattr(cluster.faults, call)(*arguments)


def test_options_for_which_a_cluster_has_nothing_are_refused() -> None:
    with pytest.raises(LookupError, match="this cluster has nothing for crash-pod, dns-silent"):
        FaultOptions(kinds=("crash-pod", "dns-silent")).plan(Cluster(dns=False))
    cluster = Cluster(dns=False)
    with pytest.raises(LookupError, match="this cluster was made without DNS"):
        cluster.faults.run(FaultPlan((Fault("dns-silent"),)))


def test_what_is_no_plan_is_refused_by_name(cluster: Cluster) -> None:
    with pytest.raises(TypeError, match="'crash': expected a FaultPlan or FaultOptions"):
        cluster.faults.run("crash")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="3: expected a Fault"):
        FaultPlan((Fault("crash-pod", "web"), 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="amount='x': expected a number, not str"):
        Fault("delay", amount="x")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match=r"no resource 'podz'; there are .*pods"):
        cluster.faults.fail_api(503, resource="podz")
    cluster.faults.fail_api(503, resource="deployments", verbs="list")
    with pytest.raises(ApiError, match="shutting down"):
        cluster.api.list("deployments.apps")


def test_users_who_may_ask_the_server_are_known(cluster: Cluster) -> None:
    words = r"no user 'system:node:z'; there are admin, system:anonymous, system:node:a, system:node:b, system:kube-scheduler, "
    with pytest.raises(LookupError, match=words):
        cluster.faults.fail_api(503, user="system:node:z")
    subjects = [{"kind": "User", "name": "jane"}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "viewers"},
               "subjects": subjects, "roleRef": role}  # fmt: skip
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    cluster.apply([binding, account])
    for user in ("jane", "system:serviceaccount:default:robot", "system:serviceaccount:kube-system:deployment-controller"):
        cluster.faults.fail_api(503, user=user)


def test_recovery_from_what_does_not_end_is_no_question(cluster: Cluster) -> None:
    plan = FaultPlan((Fault("crash-pod", "web"), Fault("hold", "scheduler", for_s=inf)))
    with pytest.raises(ValueError, match="nothing recovers from what does not end: hold scheduler at 0 s for good"):
        recovers(cluster, plan)
    assert recovers(cluster, FaultOptions(seed=1, count=1, kinds=("hold",), within_s=2, longest_s=5)) == []
