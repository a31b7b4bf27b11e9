"""Whatever happens to Services, Pods and slices: once it is quiet, the endpoints are those of a simple model."""

from collections import Counter

from endpoint_objects import SLICES, ControlPlane
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BOTH = ("endpoints-controller", "endpointslice-controller")
APPS = ("web", "db")
PODS = st.sampled_from([f"p{i}" for i in range(3)])
CHANGES = st.one_of(
    st.tuples(st.just("run"), PODS, st.sampled_from(APPS), st.booleans()),
    st.tuples(st.just("ready"), PODS, st.booleans()),
    st.tuples(st.just("label"), PODS, st.sampled_from(APPS)),
    st.tuples(st.just("end"), PODS),
    st.tuples(st.just("terminate"), PODS),
    st.tuples(st.just("select"), st.sampled_from(APPS)),
    st.tuples(st.just("port"), st.integers(1, 3)),
    st.tuples(st.just("tamper")),
    st.tuples(st.just("untidy")),
    st.tuples(st.just("hold"), st.sampled_from(BOTH)),
    st.tuples(st.just("settle")),
)


class Story:
    """A control plane that suffers changes, and what a reader of the manifests would expect of it."""

    def __init__(self):
        self.plane = ControlPlane(*BOTH)
        self.plane.add_node("node-a", "zone-a")
        self.plane.add_service()
        self.pods = {}  # name -> [app, ready, terminating]
        self.app, self.port, self.ips = "web", 8080, 0

    def run(self, name, app, ready):
        if name not in self.pods:
            self.ips += 1
            self.plane.run_pod(name, f"10.244.0.{self.ips}", ready=ready, labels={"app": app})
            self.pods[name] = [app, ready, False]

    def ready(self, name, ready):
        if name in self.pods:
            self.plane.set_ready(name, ready)
            self.pods[name][1] = ready

    def label(self, name, app):
        if name in self.pods:
            self.plane.client.patch("pods", name, {"metadata": {"labels": {"app": app}}}, "shop")
            self.pods[name][0] = app

    def end(self, name):
        if self.pods.pop(name, None):
            self.plane.client.delete("pods", name, "shop", grace_period_s=0)

    def terminate(self, name):
        if name in self.pods and not self.pods[name][2]:
            self.plane.client.delete("pods", name, "shop")
            self.pods[name][2] = True

    def select(self, app):
        self.plane.client.patch("services", "web", {"spec": {"selector": {"app": app}}}, "shop")
        self.app = app

    def port_number(self, number):
        port = {"name": f"n{number}", "port": 80, "targetPort": number}
        self.plane.client.patch("services", "web", {"spec": {"ports": [port]}}, "shop")
        self.port = number

    def tamper(self):
        for one in self.plane.slices():
            self.plane.client.patch(
                SLICES, one["metadata"]["name"], {"endpoints": [{"addresses": ["9.9.9.9"]}]}, "shop"
            )

    def untidy(self):
        for one in self.plane.slices():
            self.plane.client.delete(SLICES, one["metadata"]["name"], "shop")
        if self.plane.get("endpoints", "web"):
            self.plane.client.delete("endpoints", "web", "shop")

    def hold(self, controller):
        self.plane.clock.hold(controller)

    def settle(self):
        self.plane.settle()

    def rest(self):
        for controller in BOTH:
            self.plane.clock.release(controller)
        self.plane.settle(10.0)

    @property
    def members(self):
        return {name: state[1:] for name, state in self.pods.items() if state[0] == self.app}


STEPS = {
    name: getattr(Story, {"port": "port_number"}.get(name, name))
    for name in ("run", "ready", "label", "end", "terminate", "select", "port", "tamper", "untidy", "hold", "settle")
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(CHANGES, max_size=25))
def test_slices_and_endpoints_say_what_the_objects_say(changes):
    story = Story()
    for name, *arguments in changes:
        STEPS[name](story, *arguments)
    story.rest()
    found = [
        (e["targetRef"]["name"], e["conditions"]["serving"], e["conditions"]["terminating"])
        for one in story.plane.slices()
        for e in one["endpoints"] or ()
    ]
    assert Counter(found) == Counter((name, *state) for name, state in story.members.items())
    ports = {port["port"] for one in story.plane.slices() for port in one["ports"] or ()}
    assert ports == ({story.port} if story.members else set())
    subsets = story.plane.get("endpoints", "web").get("subsets", [])
    for field, wanted in (("addresses", True), ("notReadyAddresses", False)):
        names = [one["targetRef"]["name"] for subset in subsets for one in subset.get(field, ())]
        expected = [name for name, (ready, going) in story.members.items() if ready is wanted and not going]
        assert sorted(names) == sorted(expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.lists(CHANGES, max_size=10), after=st.lists(CHANGES, max_size=10))
def test_a_fork_ends_as_its_origin_does(before, after):
    story = Story()
    for name, *arguments in before:
        STEPS[name](story, *arguments)
    copy = object.__new__(Story)
    copy.__dict__ = {
        **story.__dict__,
        "plane": story.plane.fork(),
        "pods": {n: s.copy() for n, s in story.pods.items()},
    }
    ends = []
    for one in (story, copy):
        for name, *arguments in after:
            STEPS[name](one, *arguments)
        one.rest()
        ends.append((one.plane.slices(), one.plane.client.list("endpoints", "shop")))
    assert ends[0] == ends[1]
