"""Whatever happens to workloads, in the end there are the Pods that were asked for last."""

from hypothesis import given, settings
from hypothesis import strategies as st
from workshop import Workshop, container, workload

from fakecluster.controllers.pods import is_ready

STEPS = st.one_of(
    st.tuples(st.just("scale"), st.integers(0, 6)),
    st.tuples(st.just("version"), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("kill"), st.integers(0, 9)),
    st.tuples(st.just("exit"), st.integers(0, 9)),
    st.tuples(st.just("steps"), st.integers(1, 12)),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)


def play(shop: Workshop, resource: str, what: str, value: object) -> None:
    """One step of a story; what it leads to is left for later."""
    pods = shop.pods
    if what == "scale":
        shop.client.patch(resource, "web", {"spec": {"replicas": value}}, "default")
    elif what == "version":
        patch = {"spec": {"template": {"metadata": {"labels": {"version": value}}}}}
        shop.client.patch(resource, "web", patch, "default")
    elif what == "pause" and resource == "deployments.apps":
        shop.client.patch(resource, "web", {"spec": {"paused": value}}, "default")
    elif what == "kill" and pods:
        shop.client.delete("pods", pods[int(str(value)) % len(pods)]["metadata"]["name"], "default")
    elif what == "exit" and pods:
        pod = pods[int(str(value)) % len(pods)]
        if node := pod["spec"].get("nodeName"):
            shop.clock.schedule(f"kubelet@{node}", ("exited", pod["metadata"]["uid"], "main", 1))
    elif what == "steps":
        for _ in range(int(str(value))):
            shop.clock.step()
    elif what == "wait":
        shop.clock.advance(float(str(value)))


def tell(kind: str, resource: str, story: list[tuple[str, object]]) -> Workshop:
    shop = Workshop("a", "b")
    shop.client.create(resource, workload(kind, "web", replicas=2), "default")
    for what, value in story:
        play(shop, resource, what, value)
    play(shop, resource, "pause", False)
    shop.clock.advance(1000)
    return shop


def check(shop: Workshop, resource: str) -> None:
    spec = shop.client.get(resource, "web", "default")["spec"]
    wanted = spec["template"]["metadata"]["labels"].get("version")
    assert [one["status"]["phase"] for one in shop.pods] == ["Running"] * spec["replicas"]
    assert {one["metadata"]["labels"].get("version") for one in shop.pods} <= {wanted}
    assert all("deletionTimestamp" not in one["metadata"] for one in shop.pods)
    status = shop.client.get(resource, "web", "default")["status"]
    assert status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == spec["replicas"]


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_a_deployment_ends_with_its_pods(story):
    shop = tell("Deployment", "deployments.apps", story)
    check(shop, "deployments.apps")
    left = shop.runtime.log.count
    started = sum(left(f"sandbox {name}") for name in {line.split()[1] for line in shop.runtime.log})
    assert started - sum(line.startswith("remove ") for line in shop.runtime.log) == len(shop.pods)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_a_stateful_set_ends_with_its_pods(story):
    shop = tell("StatefulSet", "statefulsets.apps", story)
    check(shop, "statefulsets.apps")
    replicas = shop.client.get("statefulsets.apps", "web", "default")["spec"]["replicas"]
    assert sorted(shop.phases()) == [f"web-{number}" for number in range(replicas)]


@settings(max_examples=15, deadline=None)
@given(st.lists(STEPS, max_size=6), st.lists(STEPS, max_size=6))
def test_a_fork_goes_on_as_its_origin_would(before, after):
    shop = Workshop("a", "b")
    shop.client.create("deployments.apps", workload("Deployment", "web", replicas=2), "default")
    for what, value in before:
        play(shop, "deployments.apps", what, value)
    copy = shop.fork()
    for one in (copy, shop):
        for what, value in after:
            play(one, "deployments.apps", what, value)
        one.clock.advance(1000)
    assert copy.pods == shop.pods
    assert copy.runtime.log == shop.runtime.log


def ready_pods(shop: Workshop) -> int:
    return sum(is_ready(one) for one in shop.pods if "deletionTimestamp" not in one["metadata"])


def asked_for(shop: Workshop) -> int:
    """The Pods that all ReplicaSets together are asked for."""
    return sum(one["spec"]["replicas"] for one in shop.client.list("replicasets.apps", "default"))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_a_rolling_update_never_leaves_its_bounds(replicas, surge, unavailable, probed):
    if not surge and not unavailable:
        unavailable = 1
    shop = Workshop("a", "b")
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    probe = {"readinessProbe": {"httpGet": {"port": 80}}} if probed else {}
    spec = {"containers": [container(**probe)]}
    shop.create(workload("Deployment", "web", replicas=replicas, strategy=rolling, pod_spec=spec))
    play(shop, "deployments.apps", "version", "2")
    while shop.clock.step() is not None:
        assert ready_pods(shop) >= replicas - unavailable
        assert asked_for(shop) <= replicas + surge
    check(shop, "deployments.apps")
