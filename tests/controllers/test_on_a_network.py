"""Kubelets on nodes with a network: what needs real programs and real packets."""

from workshop import container, workload

from fakecluster import Cluster
from fakecluster.controllers.conditions import is_true


def test_init_containers_end_so_that_the_app_starts():
    cluster = Cluster(nodes=1)
    cluster.apply(workload("Deployment", "web", replicas=1, pod_spec={"initContainers": [container("setup")]}))
    (pod,) = cluster.parts.client.list("pods", "default")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert is_true(pod, "Ready")


def test_a_job_whose_program_serves_nothing_completes():
    cluster = Cluster(nodes=1)
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    spec = {"completions": 2, "template": template}
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mail"}, "spec": spec})
    job = cluster.parts.client.get("jobs.batch", "mail", "default")
    assert job["status"]["succeeded"] == 2
    assert is_true(job, "Complete")


def test_a_readiness_probe_is_a_connection_that_can_be_refused():
    cluster = Cluster(nodes=1)
    probe = {"tcpSocket": {"port": 8080, "host": "10.244.0.250"}, "periodSeconds": 5}
    cluster.apply(workload("Deployment", "web", replicas=1, pod_spec={"containers": [container(readinessProbe=probe)]}))
    cluster.advance(30)
    (pod,) = cluster.parts.client.list("pods", "default")
    assert pod["status"]["phase"] == "Running"
    assert not is_true(pod, "Ready")
    events = cluster.parts.client.list("events", "default")
    assert any(event["reason"] == "Unhealthy" for event in events)
