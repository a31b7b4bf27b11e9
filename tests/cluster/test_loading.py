"""A dump of one cluster taken in by another."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fakecluster import Cluster
from fakecluster.errors import ManifestError

JsonObject = dict[str, Any]


def dump(cluster: Cluster) -> str:
    """What `kubectl get nodes,deployments,replicasets,pods,services,endpointslices -o yaml` prints."""
    kinds = {
        "nodes": ("v1", "Node"),
        "deployments.apps": ("apps/v1", "Deployment"),
        "replicasets.apps": ("apps/v1", "ReplicaSet"),
        "pods": ("v1", "Pod"),
        "services": ("v1", "Service"),
        "endpointslices.discovery.k8s.io": ("discovery.k8s.io/v1", "EndpointSlice"),
    }
    items = [
        {**obj, "apiVersion": version, "kind": kind}
        for resource, (version, kind) in kinds.items()
        for obj in cluster.api.list(resource)
        if obj["metadata"].get("namespace") != "kube-system"
    ]
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items[::-1]})


@pytest.fixture
def original() -> Cluster:
    cluster = Cluster(nodes=[{"name": "left", "zone": "z1"}, "right"])
    container = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], "type": "NodePort"},
    }
    cluster.apply([deployment, service])
    return cluster


def test_nodes_pods_and_services_are_as_they_were_and_answer(original: Cluster) -> None:
    copy = Cluster(nodes=0)
    copy.load(dump(original))
    copy.advance(30)  # controllers adopt and find nothing to do

    def pods(cluster: Cluster) -> dict[str, tuple[str, str]]:
        return {pod.name: (pod.node.name, pod.ip) for pod in cluster.pods}

    assert pods(copy) == pods(original)
    assert len(pods(copy)) == 3
    assert copy.service("web").cluster_ip == original.service("web").cluster_ip
    assert copy.service("web").node_port() == original.service("web").node_port()
    assert copy.node("left").object["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z1"
    assert copy.node("left").outcomes("tcp://svc/web:80").destinations == set(pods(copy))


def test_controllers_take_over(original: Cluster) -> None:
    copy = Cluster(nodes=0)
    copy.load(dump(original))
    copy.delete("pods", copy.pods[0].name)
    copy.advance(60)
    assert sum(pod.ready for pod in copy.pods) == 3
    copy.delete("deployments.apps", "web")
    copy.advance(120)
    assert copy.pods == []


def test_loading_twice_changes_nothing(original: Cluster) -> None:
    text = dump(original)
    copy = Cluster(nodes=0)
    copy.load(text)
    assert {one.action for one in copy.load(text)} == {"unchanged"}


def test_an_object_that_is_refused_is_named() -> None:
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 0}]}}
    with pytest.raises(ManifestError, match=r"spec\.ports\[0\]\.port: Invalid value: 0"):
        Cluster(nodes=1).load([bad])
