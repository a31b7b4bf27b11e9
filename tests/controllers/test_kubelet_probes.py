"""Probes of a kubelet: when a container counts as ready, started and alive."""

from workshop import HTTP, Workshop, conditions, container, pod, state

from fakecluster.controllers.conditions import condition


def test_a_pod_is_ready_only_once_its_readiness_probe_passed():
    shop = Workshop("a")
    shop.runtime.healthy["readiness"] = False
    shop.create(pod("p", containers=[container(readinessProbe=HTTP)]))
    assert shop.phases() == {"p": "Running"}
    ready = condition(shop.pod("p"), "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [main]"
    shop.runtime.healthy["readiness"] = True
    shop.clock.advance(9)
    assert conditions(shop, "p")["Ready"] == "False"
    shop.clock.advance(1)
    assert conditions(shop, "p")["Ready"] == "True"


def test_a_ready_pod_becomes_unready_after_as_many_failures_as_the_threshold():
    shop = Workshop("a")
    probe = {**HTTP, "periodSeconds": 5, "failureThreshold": 2}
    shop.create(pod("p", containers=[container(readinessProbe=probe)]))
    shop.runtime.healthy["readiness"] = False
    shop.clock.advance(5)
    assert conditions(shop, "p")["Ready"] == "True"
    shop.clock.advance(5)
    assert conditions(shop, "p")["Ready"] == "False"
    assert shop.events("Pod")[-1] == "Unhealthy: Readiness probe failed: no answer"


def test_the_first_probe_waits_for_its_initial_delay():
    shop = Workshop("a")
    shop.create(pod("p", containers=[container(readinessProbe={**HTTP, "initialDelaySeconds": 7})]))
    shop.clock.advance(6)
    assert conditions(shop, "p")["Ready"] == "False"
    shop.clock.advance(1)
    assert conditions(shop, "p")["Ready"] == "True"


def test_the_other_probes_wait_for_the_startup_probe():
    shop = Workshop("a")
    shop.runtime.healthy = {"startup": False, "liveness": False}
    probes = {"startupProbe": {**HTTP, "failureThreshold": 30}, "livenessProbe": HTTP, "readinessProbe": HTTP}
    shop.create(pod("p", containers=[container(**probes)]))
    shop.clock.advance(60)
    assert (state(shop, "p")["started"], state(shop, "p")["restartCount"]) == (False, 0)
    shop.runtime.healthy = {}
    shop.clock.advance(10)
    assert (state(shop, "p")["started"], conditions(shop, "p")["Ready"]) == (True, "True")


def test_a_container_that_fails_its_liveness_probe_is_restarted():
    shop = Workshop("a")
    shop.create(pod("p", containers=[container(livenessProbe=HTTP)]))
    shop.runtime.healthy["liveness"] = False
    shop.clock.advance(29)
    assert state(shop, "p")["restartCount"] == 0
    shop.clock.advance(1)
    assert state(shop, "p")["restartCount"] == 1
    assert shop.runtime.log == ["sandbox p", "start main", "stop main", "start main"]
    assert "Killing: Container main failed liveness probe, will be restarted" in shop.events("Pod")
