from __future__ import annotations

from typing import Any

import pytest

from fakecluster.api.kinds_workload.images import pull_policy
from fakecluster.api.kinds_workload.pod_defaults import default_pod, default_template

Json = dict[str, Any]


def pod(**spec: Any) -> Json:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}], **spec}}


def test_a_bare_pod_gets_the_servers_defaults() -> None:
    subject = pod()
    default_pod(subject)
    assert subject["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i:1",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


def test_a_template_gets_no_service_links_requests_or_host_ports() -> None:
    template = {"spec": pod(hostNetwork=True)["spec"]}
    container = template["spec"]["containers"][0]
    container["ports"] = [{"containerPort": 80}]
    container["resources"] = {"limits": {"cpu": "1"}}
    default_template(template)
    assert "enableServiceLinks" not in template["spec"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"] == {"limits": {"cpu": "1"}}


def test_limits_are_requested_where_nothing_else_is() -> None:
    subject = pod()
    subject["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    default_pod(subject)
    assert subject["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}


def test_on_the_hosts_network_ports_are_host_ports() -> None:
    subject = pod(hostNetwork=True)
    subject["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    default_pod(subject)
    assert subject["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("img", "Always"),
        ("img:latest", "Always"),
        ("img:1", "IfNotPresent"),
        ("reg:5000/img", "Always"),
        ("reg:5000/img:2", "IfNotPresent"),
        ("img@sha256:abc", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_the_tag_decides_the_pull_policy(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


@pytest.mark.parametrize(
    ("status", "address", "addresses"),
    [
        ({"podIPs": [{"ip": "10.0.0.7"}]}, "10.0.0.7", ["10.0.0.7"]),
        ({"podIP": "10.0.0.8", "podIPs": [{"ip": "10.0.0.9"}]}, "10.0.0.8", ["10.0.0.8"]),
        ({"podIP": "10.0.0.8"}, "10.0.0.8", ["10.0.0.8"]),
        ({"podIP": "fd00::1", "podIPs": [{"ip": "fd00::1"}, {"ip": "10.0.0.1"}]}, "fd00::1", ["fd00::1", "10.0.0.1"]),
    ],
)
def test_pod_ip_and_pod_ips_say_the_same(status: Json, address: str, addresses: list[str]) -> None:
    subject = {**pod(), "status": status}
    default_pod(subject)
    assert subject["status"] == {"podIP": address, "podIPs": [{"ip": ip} for ip in addresses]}


def test_probes_volumes_and_references_are_completed() -> None:
    subject = pod(volumes=[{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}], serviceAccountName="sa")
    container = subject["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"port": 80}}
    container["livenessProbe"] = {"grpc": {"port": 1}}
    container["env"] = [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    default_pod(subject)
    times = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert container["readinessProbe"] == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, **times}
    assert container["livenessProbe"] == {"grpc": {"port": 1, "service": ""}, **times}
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert subject["spec"]["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
    ]
    assert subject["spec"]["serviceAccount"] == "sa"
