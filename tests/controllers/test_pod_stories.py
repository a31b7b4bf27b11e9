"""Whatever happens to Pods on a node, nothing is left behind, and what they report makes sense."""

from hypothesis import given, settings
from hypothesis import strategies as st
from workshop import Workshop, container, pod

PROBE = {"httpGet": {"port": 80}, "periodSeconds": 3, "failureThreshold": 2}
HOOKS = st.sampled_from([None, {"sleep": {"seconds": 4}}, {"sleep": {"seconds": 25}}, {"httpGet": {"port": 80}}])


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict:
    probes = {kind: PROBE for kind in ("readinessProbe", "livenessProbe", "startupProbe") if draw(st.booleans())}
    hook = draw(HOOKS)
    return container(name, **probes, **({"lifecycle": {"preStop": hook}} if hook else {}))


@st.composite
def pods(draw: st.DrawFn) -> dict:
    init = [container("setup")] if draw(st.booleans()) else []
    if draw(st.booleans()):
        init.append({**draw(containers("sidecar")), "restartPolicy": "Always"})
    policy = draw(st.sampled_from(["Always", "OnFailure", "Never"]))
    count = draw(st.integers(1, 2))
    apps = [draw(containers(f"app-{number}")) for number in range(count)]
    return pod("p", containers=apps, restartPolicy=policy, **({"initContainers": init} if init else {}))


STEPS = st.one_of(
    st.tuples(st.just("exit"), st.sampled_from(["setup", "sidecar", "app-0", "app-1"]), st.sampled_from([0, 1])),
    st.tuples(st.just("health"), st.sampled_from(["startup", "readiness", "liveness"]), st.booleans()),
    st.tuples(st.just("delete"), st.just(""), st.sampled_from([0, 3, 30])),
    st.tuples(st.just("wait"), st.just(""), st.integers(0, 40)),
    st.tuples(st.just("steps"), st.just(""), st.integers(1, 5)),
)


def play(shop: Workshop, what: str, which: str, value: int) -> None:
    """One step; on a Pod that is gone most of them do nothing."""
    known = shop.server.store.get("pods", "default", "p")
    if what == "health":
        shop.runtime.healthy[which] = bool(value)
    elif what == "wait":
        shop.clock.advance(value)
    elif what == "steps":
        for _ in range(value):
            shop.clock.step()
    elif known is not None and what == "exit":
        shop.clock.schedule("kubelet@a", ("exited", known["metadata"]["uid"], which, value))
    elif known is not None and what == "delete":
        shop.client.delete("pods", "p", "default", grace_period_s=value)


def check_status(shop: Workshop) -> None:
    known = shop.server.store.get("pods", "default", "p")
    status = (known or {}).get("status") or {}
    if "containerStatuses" not in status:
        return
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    states = [one["state"] for one in status["containerStatuses"]]
    if conditions["Ready"] == "True":
        assert status["phase"] == "Running"
        assert all(
            "running" in one and ready["ready"] for one, ready in zip(states, status["containerStatuses"], strict=True)
        )
    if status["phase"] == "Succeeded":
        assert all(one["terminated"]["exitCode"] == 0 for one in states)
    if status["phase"] in ("Succeeded", "Failed"):
        assert conditions["Ready"] == "False"
        assert not any("running" in one for one in states)
    assert all(one["ready"] <= ("running" in one["state"]) for one in status["containerStatuses"])


def check_log(log: list[str]) -> None:
    """A program runs only between its Pod's sandbox and the end of that, and only once at a time."""
    running: set[str] = set()
    sandboxes = 0
    for line in log:
        what, name = line.split()
        if what == "start":
            assert sandboxes == 1
            running.add(name)
        elif what == "stop":
            running.discard(name)
        else:
            sandboxes += 1 if what == "sandbox" else -1
            assert what == "sandbox" or sandboxes == 0
    assert sandboxes == 0


@settings(max_examples=60, deadline=None)
@given(pods(), st.lists(STEPS, max_size=10))
def test_a_pod_leaves_nothing_behind(spec, story):
    shop = Workshop("a")
    shop.client.create("pods", spec, "default")
    for what, which, value in story:
        play(shop, what, which, value)
        check_status(shop)
    play(shop, "delete", "", 30)
    shop.clock.advance(200)
    host = shop.kubelets["a"]._host
    assert (shop.pods, host.pods, host.usage.pods) == ([], {}, {})
    check_log(shop.runtime.log)


@settings(max_examples=30, deadline=None)
@given(pods(), st.lists(STEPS, max_size=6), st.lists(STEPS, max_size=6))
def test_a_forked_node_runs_its_pod_as_the_origin_does(spec, before, after):
    shop = Workshop("a")
    shop.client.create("pods", spec, "default")
    for step in before:
        play(shop, *step)
    copy = shop.fork()
    for one in (copy, shop):
        for step in after:
            play(one, *step)
        one.clock.advance(100)
    assert copy.pods == shop.pods
    assert copy.runtime.log == shop.runtime.log
