"""Running Pods on a node: phases, conditions, probes, restarts, termination."""

import pytest
from workshop import HTTP, Workshop, conditions, container, pod, state

from fakecluster.controllers.conditions import condition


def test_a_pod_runs_and_reports_everything_that_others_read():
    shop = Workshop("a")
    shop.create(pod("p"))
    status = shop.pod("p")["status"]
    assert status["phase"] == "Running"
    assert (status["podIP"], status["podIPs"]) == ("10.244.0.2", [{"ip": "10.244.0.2"}])
    assert (status["hostIP"], status["hostIPs"]) == ("172.18.0.3", [{"ip": "172.18.0.3"}])
    assert status["startTime"] == "2026-01-01T00:00:00Z"
    assert [one["type"] for one in status["conditions"]] == [
        "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
    ]  # fmt: skip
    assert set(conditions(shop, "p").values()) == {"True"}
    main = state(shop, "p")
    assert main["state"] == {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    assert (main["ready"], main["started"], main["restartCount"]) == (True, True, 0)
    assert main["image"] == "docker.io/library/app:1"
    assert main["containerID"].startswith("containerd://")


def test_a_container_learns_its_environment_from_services_config_maps_and_fields():
    shop = Workshop("a")
    service = {"clusterIP": "10.96.0.50", "ports": [{"port": 80}]}
    shop.create({"kind": "Service", "metadata": {"name": "web"}, "spec": service})
    shop.create({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"color": "blue"}})
    env = [
        {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "color"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    shop.create(pod("p", containers=[container(env=env)]))
    found = shop.runtime.environments["main"]
    assert (found["WEB_SERVICE_HOST"], found["COLOR"], found["IP"]) == ("10.96.0.50", "blue", "10.244.0.2")


def test_a_missing_config_map_keeps_the_container_waiting_until_it_is_there():
    shop = Workshop("a")
    env = [{"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "color"}}}]
    shop.create(pod("p", containers=[container(env=env)]))
    waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "conf" not found'}
    assert state(shop, "p")["state"] == {"waiting": waiting}
    assert shop.phases() == {"p": "Pending"}
    shop.create({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"color": "blue"}})
    shop.clock.advance(10)
    assert shop.phases() == {"p": "Running"}


def test_init_containers_run_one_after_the_other_before_the_rest():
    shop = Workshop("a")
    shop.create(pod("p", initContainers=[container("first"), container("second")]))
    assert shop.runtime.log == ["sandbox p", "start first"]
    assert conditions(shop, "p")["Initialized"] == "False"
    shop.exit("p", 0, "first")
    shop.exit("p", 0, "second")
    assert shop.runtime.log == ["sandbox p", "start first", "start second", "start main"]
    assert set(conditions(shop, "p").values()) == {"True"}


def test_an_init_container_that_fails_is_tried_again():
    shop = Workshop("a")
    shop.create(pod("p", initContainers=[container("first")]))
    shop.exit("p", 1, "first")
    assert shop.runtime.log == ["sandbox p", "start first", "start first"]
    assert shop.phases() == {"p": "Pending"}


def test_an_init_container_that_fails_ends_a_pod_that_never_restarts():
    shop = Workshop("a")
    shop.create(pod("p", restartPolicy="Never", initContainers=[container("first")]))
    shop.exit("p", 1, "first")
    assert shop.phases() == {"p": "Failed"}
    assert "start main" not in shop.runtime.log


def test_a_sidecar_starts_before_and_stops_after_the_app():
    shop = Workshop("a")
    shop.create(pod("p", initContainers=[container("proxy", restartPolicy="Always")]))
    assert shop.runtime.log == ["sandbox p", "start proxy", "start main"]
    shop.client.delete("pods", "p", "default")
    shop.clock.settle()
    assert shop.runtime.log[3:] == ["stop main", "stop proxy", "remove p"]


def test_restarts_pause_longer_each_time():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.exit("p", 1)
    assert (state(shop, "p")["restartCount"], "running" in state(shop, "p")["state"]) == (1, True)
    for restart, pause_s, words in ((2, 10, "10s"), (3, 20, "20s"), (4, 40, "40s"), (5, 80, "1m20s")):
        shop.exit("p", 1)
        waiting = state(shop, "p")["state"]["waiting"]
        uid = shop.pod("p")["metadata"]["uid"]
        assert waiting["reason"] == "CrashLoopBackOff"
        assert waiting["message"] == f"back-off {words} restarting failed container=main pod=p_default({uid})"
        assert state(shop, "p")["lastState"]["terminated"]["exitCode"] == 1
        shop.clock.advance(pause_s)
        assert (state(shop, "p")["restartCount"], "running" in state(shop, "p")["state"]) == (restart, True)


def test_a_container_that_ran_long_enough_starts_with_a_short_pause_again():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.exit("p", 1)
    shop.exit("p", 1)
    shop.clock.advance(10)
    shop.clock.advance(601)
    shop.exit("p", 1)
    assert "running" in state(shop, "p")["state"]


@pytest.mark.parametrize(
    ("policy", "code", "phase", "starts"),
    [
        ("Always", 0, "Running", 2),
        ("OnFailure", 0, "Succeeded", 1),
        ("OnFailure", 3, "Running", 2),
        ("Never", 0, "Succeeded", 1),
        ("Never", 3, "Failed", 1),
    ],
)
def test_what_follows_when_a_program_ends_depends_on_the_restart_policy(policy, code, phase, starts):
    shop = Workshop("a")
    shop.create(pod("p", restartPolicy=policy))
    shop.exit("p", code)
    assert shop.phases() == {"p": phase}
    assert shop.runtime.log.count("start main") == starts


def test_a_pod_that_is_over_is_completed_not_ready_and_has_no_sandbox():
    shop = Workshop("a")
    shop.create(pod("p", restartPolicy="Never"))
    shop.exit("p", 0)
    ready = condition(shop.pod("p"), "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "PodCompleted")
    assert conditions(shop, "p")["PodReadyToStartContainers"] == "False"
    assert shop.runtime.log[-1] == "remove p"
    assert state(shop, "p")["state"]["terminated"]["reason"] == "Completed"


def test_a_deleted_pod_is_stopped_reported_and_gone():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.client.delete("pods", "p", "default")
    shop.clock.settle()
    assert shop.pods == []
    assert shop.runtime.log == ["sandbox p", "start main", "stop main", "remove p"]
    assert "Killing: Stopping container main" in shop.events("Pod")


def test_a_sleeping_pre_stop_hook_keeps_the_pod_serving_while_it_goes():
    shop = Workshop("a")
    lifecycle = {"preStop": {"sleep": {"seconds": 5}}}
    shop.create(pod("p", containers=[container(lifecycle=lifecycle, readinessProbe=HTTP)]))
    shop.client.delete("pods", "p", "default")
    shop.clock.advance(4)
    assert "deletionTimestamp" in shop.pod("p")["metadata"]
    assert conditions(shop, "p")["Ready"] == "True"
    assert "stop main" not in shop.runtime.log
    shop.clock.advance(1)
    assert shop.pods == []


def test_a_pre_stop_hook_longer_than_the_grace_period_is_cut_off():
    shop = Workshop("a")
    lifecycle = {"preStop": {"sleep": {"seconds": 20}}}
    shop.create(pod("p", terminationGracePeriodSeconds=20, containers=[container(lifecycle=lifecycle)]))
    shop.client.delete("pods", "p", "default", grace_period_s=3)
    shop.clock.advance(4.9)
    assert shop.phases() == {"p": "Running"}
    shop.clock.advance(0.1)
    assert shop.pods == []


def test_a_pre_stop_request_is_answered_before_the_program_ends():
    shop = Workshop("a")
    shop.create(pod("p", containers=[container(lifecycle={"preStop": HTTP})]))
    shop.client.delete("pods", "p", "default")
    assert shop.runtime.log == ["sandbox p", "start main"]
    shop.clock.settle()
    assert shop.pods == []


def test_a_second_deletion_can_shorten_the_grace_period():
    shop = Workshop("a")
    lifecycle = {"preStop": {"sleep": {"seconds": 25}}}
    shop.create(pod("p", containers=[container(lifecycle=lifecycle)]))
    shop.client.delete("pods", "p", "default")
    shop.clock.advance(1)
    shop.client.delete("pods", "p", "default", grace_period_s=2)
    shop.clock.advance(1.9)
    assert shop.phases() == {"p": "Running"}
    shop.clock.advance(0.1)
    assert shop.pods == []


def test_a_pod_deleted_by_force_is_stopped_at_once():
    shop = Workshop("a")
    shop.create(pod("p", containers=[container(lifecycle={"preStop": {"sleep": {"seconds": 25}}})]))
    shop.client.delete("pods", "p", "default", grace_period_s=0)
    shop.clock.settle()
    assert shop.runtime.log == ["sandbox p", "start main", "stop main", "remove p"]


def test_a_readiness_gate_must_be_true_as_well():
    shop = Workshop("a")
    shop.create(pod("p", readinessGates=[{"conditionType": "x.io/lb"}]))
    ready = condition(shop.pod("p"), "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
    known = shop.pod("p")
    gates = [*known["status"]["conditions"], {"type": "x.io/lb", "status": "True"}]
    shop.client.update_status("pods", {**known, "status": {**known["status"], "conditions": gates}})
    shop.clock.settle()
    assert conditions(shop, "p")["Ready"] == "True"


def test_a_pod_past_its_active_deadline_fails():
    shop = Workshop("a")
    shop.create(pod("p", activeDeadlineSeconds=30))
    shop.clock.advance(30)
    status = shop.pod("p")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_sent_past_the_scheduler_to_the_wrong_node_is_refused():
    shop = Workshop("a")
    shop.create(pod("p", nodeName="a", nodeSelector={"disk": "ssd"}))
    status = shop.pod("p")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "NodeAffinity")
    assert status["message"] == "Pod was rejected: Predicate NodeAffinity failed"
    assert shop.runtime.log == []


def test_a_changed_image_restarts_its_container():
    shop = Workshop("a")
    shop.create(pod("p"))
    shop.client.patch("pods", "p", {"spec": {"containers": [{**container(), "image": "app:2"}]}}, "default")
    shop.clock.settle()
    assert (state(shop, "p")["image"], state(shop, "p")["restartCount"]) == ("docker.io/library/app:2", 1)


def test_starting_takes_as_long_as_it_is_told_to():
    shop = Workshop()
    shop.add_node("a")
    shop.kubelets["a"].start_delay_s = 3
    shop.create(pod("p"))
    assert state(shop, "p")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert shop.phases() == {"p": "Pending"}
    shop.clock.advance(3)
    assert shop.phases() == {"p": "Running"}


def test_a_fork_runs_its_pods_on_its_own():
    shop = Workshop("a")
    shop.create(pod("p", containers=[container(livenessProbe=HTTP)]))
    copy = shop.fork()
    copy.runtime.healthy["liveness"] = False
    copy.clock.advance(30)
    shop.clock.advance(30)
    assert (state(copy, "p")["restartCount"], state(shop, "p")["restartCount"]) == (1, 0)


def test_what_a_describe_shows_of_a_pods_start():
    shop = Workshop("a")
    shop.create(pod("p"))
    assert shop.events("Pod") == [
        "Scheduled: Successfully assigned default/p to a",
        'Pulled: Container image "app:1" already present on machine and can be accessed by the pod',
        "Created: Container created",
        "Started: Container started",
    ]


def test_a_pod_that_comes_with_its_statuses_goes_on_where_it_was():
    shop = Workshop("a")
    shop.client.create("pods", pod("p", nodeName="a", containers=[container(livenessProbe=HTTP)]), "default")
    running = {
        "name": "main",
        "state": {"running": {"startedAt": "2025-12-31T12:00:00Z"}},
        "lastState": {},
        "ready": True,
        "started": True,
        "restartCount": 4,
        "image": "docker.io/library/app:1",
        "imageID": "docker.io/library/app@sha256:abc",
        "containerID": "containerd://abc",
    }
    known = {"phase": "Running", "startTime": "2025-12-31T11:59:00Z", "containerStatuses": [running]}
    shop.client.patch("pods", "p", {"status": known}, "default", subresource="status")
    shop.clock.settle()
    assert state(shop, "p")["containerID"] == "containerd://abc"
    assert (state(shop, "p")["restartCount"], state(shop, "p")["state"]) == (4, running["state"])
    assert shop.pod("p")["status"]["startTime"] == "2025-12-31T11:59:00Z"
    assert shop.runtime.log == ["sandbox p", "start main"]
    shop.runtime.healthy["liveness"] = False
    shop.clock.advance(30)
    assert state(shop, "p")["restartCount"] == 5
    assert state(shop, "p")["containerID"] != "containerd://abc"


def test_containers_that_are_over_first_are_reported_while_the_others_go():
    shop = Workshop("a")
    slow = container("slow", lifecycle={"preStop": {"sleep": {"seconds": 5}}})
    shop.create(pod("p", containers=[container("fast"), slow]))
    shop.client.delete("pods", "p", "default")
    shop.clock.advance(1)
    assert state(shop, "p", "fast")["state"]["terminated"]["exitCode"] == 143
    assert "running" in state(shop, "p", "slow")["state"]
    assert conditions(shop, "p")["Ready"] == "False"


def test_a_node_takes_pods_past_the_scheduler_only_as_long_as_they_fit():
    shop = Workshop("a")
    half = [container(resources={"requests": {"cpu": "2500m"}})]
    shop.create(pod("first", nodeName="a", containers=half, restartPolicy="Never"))
    shop.create(pod("second", nodeName="a", containers=half))
    status = shop.pod("second")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfcpu")
    assert status["message"] == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 2500, used: 2500, capacity: 4000"
    )
    shop.exit("first", 0)
    shop.create(pod("third", nodeName="a", containers=half))
    assert shop.phases() == {"first": "Succeeded", "second": "Failed", "third": "Running"}
