"""Faults of every kind, and plans of them: on the clock, by a seed, in forks, and refused when they make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.api.client import ApiError
from fakecluster.cluster.faults import Fault, FaultOptions, FaultPlan
from fakecluster.cluster.faults.plan import KINDS
from fakecluster.cluster.faults.schedule import BEGIN, END
from fakecluster.handles import ConnectFailed, ResolveFailed

from .conftest import client_and_web, pod, service

ADDRESS = ("10.96.0.80", 80)


@pytest.fixture
def cluster() -> Cluster:
    """A client on node a, a Service `web` with a Pod on node b."""
    return client_and_web()


def reach(cluster: Cluster) -> bool:
    return bool(cluster.pod("client").can_reach(*ADDRESS))


# --- links


def test_a_corrupted_packet_is_found_by_its_checksum_and_sent_again(cluster: Cluster) -> None:
    connection = cluster.pod("client").connect(*ADDRESS)
    cluster.faults.link("pod/web", corrupt=1)
    with pytest.raises(ConnectFailed, match="no answer"):
        connection.request(b"hello")
    cluster.faults.link("pod/web", corrupt=0)
    cluster.advance(1)  # the retransmission time-out
    assert connection.request(b" again").body.endswith(b"again")


def test_a_reordered_packet_is_overtaken_and_put_back_in_its_place(cluster: Cluster) -> None:
    connection = cluster.pod("client").connect(*ADDRESS)
    cluster.faults.link("pod/web", reorder=1, reorder_s=0.5)
    with pytest.raises(ConnectFailed):
        connection.request(b"first, ")
    cluster.faults.link("pod/web", reorder=0)
    with pytest.raises(ConnectFailed):  # it waits for what came before
        connection.request(b"second")
    cluster.advance(0.6)
    body = connection.request(b"").body
    assert (body[:7], body[-6:]) == (b"first, ", b"second")


# --- components


def test_a_killed_kube_proxy_leaves_its_rules_which_go_stale_until_it_starts_again(cluster: Cluster) -> None:
    cluster.faults.kill("kube-proxy@a")
    cluster.delete("services", "web")
    assert reach(cluster)
    copy = cluster.fork()
    copy.faults.start("kube-proxy@a")
    assert (reach(copy), reach(cluster)) == (False, True)


@pytest.mark.parametrize("component", ["deployment-controller", "endpointslice-controller", "scheduler", "kubelet@b"])
def test_what_a_killed_component_missed_is_done_once_it_is_back(component: str, cluster: Cluster) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("x", port=80)["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    cluster.faults.kill(component)
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "more"}, "spec": spec})
    cluster.advance(5)
    assert len(cluster.service("web").ready_pods) < 3
    cluster.faults.start(component)
    cluster.advance(5)
    assert len(cluster.service("web").ready_pods) == 3
    assert len(cluster.pod("client").outcomes("tcp://10.96.0.80:80").destinations) == 3


def test_killed_dns_is_started_again_by_the_kubelet_later_each_time(cluster: Cluster) -> None:
    cluster.faults.kill("coredns")
    cluster.advance(1)
    assert cluster.pod("client").resolve("web") == ["10.96.0.80"]
    cluster.faults.start("coredns")
    cluster.faults.kill("coredns")
    cluster.advance(1)
    with pytest.raises(ResolveFailed):
        cluster.pod("client").resolve("web")
    cluster.advance(10)
    assert cluster.pod("client").resolve("web") == ["10.96.0.80"]


def test_a_cut_watch_shows_what_it_came_to_and_nothing_in_between(cluster: Cluster) -> None:
    cluster.faults.cut_watch("kube-proxy@a")
    cluster.apply(service("brief", {"app": "web"}, clusterIP="10.96.0.81"))
    cluster.delete("services", "brief")
    cluster.apply(service("new", {"app": "web"}, clusterIP="10.96.0.82"))
    assert not cluster.pod("client").can_reach("10.96.0.82", 80)
    inbox = cluster.parts.server.store.inboxes["kube-proxy@a"]
    cluster.faults.mend_watch("kube-proxy@a")
    names = [event.object["metadata"]["name"] for event in inbox._pending if event.resource == "services"]
    assert names == ["new"]
    cluster.settle()
    assert cluster.pod("client").can_reach("10.96.0.82", 80)


def test_a_component_that_is_shown_an_old_list_acts_on_it_until_the_cache_catches_up(cluster: Cluster) -> None:
    cluster.faults.stale_lists()
    cluster.delete("services", "web")
    assert not reach(cluster)
    cluster.faults.restart("kube-proxy@a")
    assert reach(cluster)  # as kubernetes/kubernetes#59848 has it
    cluster.faults.mend_api()
    cluster.settle()
    assert not reach(cluster)


# --- nodes and Pods


def test_a_node_that_reboots_forgets_its_connections_and_restarts_its_pods(cluster: Cluster) -> None:
    cluster.faults.reboot("b", down_s=5)
    cluster.advance(1)
    (status,) = cluster.pod("web").object["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    assert reach(cluster)


def test_a_node_whose_clock_is_ahead_stamps_its_pods_with_a_time_to_come(cluster: Cluster) -> None:
    cluster.faults.clock_jump("b", 3600)
    cluster.apply(pod("late", node="b"))
    assert cluster.pod("late").object["status"]["startTime"] == "2026-01-01T01:00:00Z"
    assert cluster.fork().parts.kubelets["b"].clock_skew_s == 3600
    cluster.faults.clock_jump("b", -3600)
    cluster.apply(pod("right", node="b"))
    assert cluster.pod("right").object["status"]["startTime"] == "2026-01-01T00:00:00Z"


def test_pods_of_a_slow_node_start_later(cluster: Cluster) -> None:
    cluster.faults.slow_start("b", 20)
    cluster.apply(pod("late", node="b"))
    cluster.advance(19)
    assert not cluster.pod("late").ready
    cluster.advance(1)
    assert cluster.pod("late").ready


def test_a_hung_pod_takes_connections_and_answers_nothing_until_it_goes_on(cluster: Cluster) -> None:
    cluster.faults.hang("web")
    connection = cluster.pod("client").connect(*ADDRESS)
    with pytest.raises(ConnectFailed, match="no answer"):
        connection.request(b"are you there?")
    copy = cluster.fork()
    cluster.faults.resume("web")
    assert connection.request(b"").body == b"are you there?"
    assert not copy.pod("client").can_reach("udp://10.96.0.80:80")


def test_a_hung_pod_fails_its_http_probe_and_passes_its_tcp_probe() -> None:
    cluster = Cluster()
    for kind, name in (({"httpGet": {"port": 80}}, "http"), ({"tcpSocket": {"port": 80}}, "tcp")):
        probe = {"readinessProbe": {**kind, "periodSeconds": 1, "failureThreshold": 1}}
        cluster.apply(pod(name, {"app": "x"}, port=80, **probe))
    cluster.advance(2)
    for name in ("http", "tcp"):
        cluster.faults.hang(name)
    cluster.advance(5)
    assert (cluster.pod("http").ready, cluster.pod("tcp").ready) == (False, True)


# --- the API server


@pytest.mark.parametrize("code", [409, 410, 429, 500, 503, 504])
def test_every_component_gets_its_work_done_once_the_api_server_works_again(code: int, cluster: Cluster) -> None:
    """Half of all writes fail meanwhile, to everybody but the user."""
    users = [f"system:node:{node}" for node in "ab"] + ["system:kube-scheduler"]
    users += [f"system:serviceaccount:kube-system:{name}" for name in CONTROLLERS]
    for user in users:
        cluster.faults.fail_api(code, user=user, probability=0.5)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("x", port=80)["spec"]}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "more"}, "spec": spec})
    cluster.delete("pods", "web")
    cluster.advance(30)
    cluster.faults.mend_api()
    cluster.advance(1200)
    assert len(cluster.service("web").ready_pods) == 3
    assert len(cluster.pod("client").outcomes("tcp://10.96.0.80:80").destinations) == 3
    cluster.delete("deployments.apps", "more")
    cluster.advance(60)
    assert [one.name for one in cluster.pods] == ["client"]


CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "endpointslice-controller", "endpoint-controller",
    "generic-garbage-collector", "node-controller",
)  # fmt: skip


def test_a_client_sees_the_failures_too_with_their_headers(cluster: Cluster) -> None:
    server = cluster.parts.server
    cluster.faults.fail_api(429, verbs={"list"}, resource="pods", user="admin")
    with pytest.raises(ApiError, match="Too many requests"):
        cluster.api.list("pods")
    assert cluster.api.list("services")
    answer = server.request("GET", "/api/v1/namespaces/default/pods")
    assert (answer.status, ("Retry-After", "1") in answer.headers) == (429, True)
    cluster.faults.mend_api()
    assert server.request("GET", "/api/v1/namespaces/default/pods").status == 200


def test_a_slow_server_takes_its_time_and_gives_up_after_a_minute(cluster: Cluster) -> None:
    server = cluster.parts.server
    cluster.faults.slow_api(2)
    before = cluster.clock.now_s
    assert server.request("GET", "/api/v1/namespaces/default/pods").status == 200
    assert cluster.clock.now_s - before == 2
    cluster.apply(service("late", {"app": "web"}, clusterIP="10.96.0.81"))
    assert not cluster.pod("client").can_reach("10.96.0.81", 80)
    cluster.advance(4)  # the endpoints have two ways to go
    assert cluster.pod("client").can_reach("10.96.0.81", 80)
    cluster.faults.slow_api(61)
    assert server.request("GET", "/api/v1/namespaces/default/pods").status == 504


def test_lists_from_the_cache_are_stale_and_lists_of_etcd_are_not(cluster: Cluster) -> None:
    cluster.faults.stale_lists()
    cluster.apply(pod("new", node="a"))
    path = "/api/v1/namespaces/default/pods"

    def listed(query: str) -> set[str]:
        found: Any = cluster.parts.server.request("GET", path, query).value
        return {one["metadata"]["name"] for one in found["items"]}

    assert listed("resourceVersion=0") == {"client", "web"}
    assert listed("") == {"client", "web", "new"}


def test_watches_over_http_end_when_they_are_cut(cluster: Cluster) -> None:
    answer = cluster.parts.server.request("GET", "/api/v1/pods", "watch=1")
    stream: Any = answer.stream
    assert len(stream.take()) == 4  # with two of cluster DNS
    cluster.faults.cut_watches()
    cluster.apply(pod("new", node="a"))
    assert (stream.take(), stream.closed) == ([], True)


def test_faults_and_onlookers_do_not_ask_the_server_that_fails(cluster: Cluster) -> None:
    cluster.faults.fail_api(503, verbs={"get", "list"})
    with pytest.raises(ApiError, match="shutting down"):
        cluster.api.list("pods")
    cluster.faults.crash_pod("web")
    cluster.faults.hang("web")
    cluster.faults.resume("web")
    cluster.faults.restart("coredns")
    cluster.faults.reboot("b", down_s=5)
    cluster.advance(30)
    assert [one.name for one in cluster.service("web").ready_pods] == ["web"]
    assert reach(cluster)
    with pytest.raises(LookupError, match="no Pod 'nobody'; there are client, web"):
        cluster.faults.hang("nobody")


# --- DNS


def test_dns_is_silent_wrong_or_refuses_as_it_is_told(cluster: Cluster) -> None:
    client = cluster.pod("client")
    cluster.faults.dns("192.0.2.9", name="web.default.svc.cluster.local")
    assert client.resolve("web") == ["192.0.2.9"]
    assert client.resolve("kubernetes.default") == ["10.96.0.1"]
    cluster.faults.mend_dns()
    cluster.faults.dns("silent")
    with pytest.raises(ResolveFailed, match="TIMEOUT"):
        client.resolve("web")
    assert cluster.fork().dns.faults == cluster.dns.faults
    cluster.faults.mend_dns()
    cluster.faults.dns("SERVFAIL")
    with pytest.raises(ResolveFailed, match="SERVFAIL"):
        client.resolve("web")
    cluster.faults.mend_dns()
    assert client.resolve("web") == ["10.96.0.80"]


# --- plans


def test_a_plan_begins_and_ends_its_faults_on_the_clock_also_in_a_fork(cluster: Cluster) -> None:
    cluster.faults.run(FaultPlan((Fault("partition", "a", "b", at_s=1, for_s=2), Fault("crash-pod", "web", at_s=5))))
    seen = [reach(cluster)]
    for _ in range(2):
        cluster.advance(1.5)
        seen.append(reach(cluster))
    copy = cluster.fork()
    assert copy.faults.active == (Fault("partition", "a", "b", at_s=1, for_s=2),) or not copy.faults.active
    cluster.advance(4)
    copy.advance(4)
    assert seen == [True, False, True]
    assert cluster.faults.log == copy.faults.log == [
        "1 s begins: partition a - b at 1 s for 2 s",
        "3 s ends: partition a - b at 1 s for 2 s",
        "5 s begins: crash-pod web at 5 s",
    ]  # fmt: skip


def test_every_kind_of_fault_can_begin_and_end_and_leaves_the_cluster_well(cluster: Cluster) -> None:
    targets = {
        "node": "b", "nodes": "a", "component": "kube-proxy@a", "target": "kube-proxy@b", "link": "pod/web",
        "host": "pod/client", "pod": "web", "user": "system:node:b",
    }  # fmt: skip
    at_s = 0.0
    for name, kind in KINDS.items():
        fault = Fault(name, targets.get(kind.subject, ""), "b" if kind.subject == "nodes" else "", at_s=at_s, for_s=5)
        cluster.faults.run(FaultPlan((fault,)))
        cluster.advance(at_s + 2)
        assert (fault in cluster.faults.active) == kind.lasts, fault
        cluster.advance(40)
        assert reach(cluster), fault
    assert (cluster.faults.active, set(BEGIN)) == ((), set(KINDS))
    assert set(END) == {name for name, kind in KINDS.items() if kind.lasts}
    assert not [line for line in cluster.faults.log if "not " in line]


def test_one_seed_makes_one_plan_of_all_kinds() -> None:
    cluster = Cluster(nodes=3)
    options = FaultOptions(seed=7, count=40, within_s=300)
    plan = options.plan(cluster)
    assert plan == FaultOptions(seed=7, count=40, within_s=300).plan(Cluster(nodes=3))
    assert plan != FaultOptions(seed=8, count=40, within_s=300).plan(cluster)
    assert len(plan.faults) == 40
    assert len({fault.kind for fault in plan.faults}) > 10
    only = FaultOptions(kinds=("crash",), targets={"crash": ["kube-proxy@b"]}, count=3)
    assert {fault.target for fault in only.plan(cluster).faults} == {"kube-proxy@b"}


def test_one_seed_draws_every_code_of_the_api_server_and_both_sides_of_a_partition() -> None:
    cluster = Cluster(nodes=2)
    refused = FaultOptions(seed=7, count=60, within_s=9999, longest_s=1, kinds=("fail-api",)).plan(cluster)
    assert {fault.amount for fault in refused.faults} == {409, 410, 429, 500, 503, 504}
    apart = FaultOptions(seed=7, count=30, within_s=9999, longest_s=1, kinds=("partition",)).plan(cluster)
    assert {frozenset((one.target, one.to)) for one in apart.faults} == set(
        map(frozenset, (("a", "b"), ("a", "outside"), ("b", "outside")))
    )


def test_a_pod_that_is_not_there_is_told_in_the_log(cluster: Cluster) -> None:
    cluster.faults.run(FaultPlan((Fault("crash-pod", "nobody"),)))
    cluster.settle()
    assert cluster.faults.log == [
        "0 s crash-pod nobody at 0 s: not done: no Pod 'nobody'; there are client, web, kube-system/coredns-"
        + cluster.faults.log[0].split("coredns-", 1)[1]
    ]
