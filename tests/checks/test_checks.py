"""The ready-made checks find what is wrong with manifests, and nothing where all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakecluster import Cluster, checks

ROOT = Path(__file__).resolve().parents[2]
JsonObject = dict[str, Any]


def workload(name: str, **container: Any) -> list[JsonObject]:
    """A Deployment of two Pods and its Service."""
    main = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80, "name": "http"}], **container}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [main]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    return [deployment, service(name, {"app": name})]


def service(name: str, selector: dict[str, str], **port: Any) -> JsonObject:
    spec = {"selector": selector, "ports": [{"port": 80, **port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def findings(*objects: JsonObject, only: str) -> list[str]:
    cluster = Cluster(nodes=2)
    cluster.apply(list(objects))
    return [str(one) for one in checks.run(cluster, [only])]


@pytest.mark.parametrize("proxy", ["iptables", "nftables", "ipvs"])
def test_the_examples_are_sound(proxy: str) -> None:
    cluster = Cluster(nodes=2, proxy=proxy)
    cluster.apply(ROOT / "examples")
    assert checks.run(cluster) == []


def test_a_typo_in_a_selector_is_recognised() -> None:
    (found,) = findings(*workload("blue"), service("other", {"app": "bleu"}), only="selectors")
    assert "svc/default/other: the selector app=bleu matches no Pod; Pod blue-" in found
    assert "has app=blue" in found


def test_a_target_port_that_no_pod_has_is_found() -> None:
    (found,) = findings(*workload("blue"), service("s", {"app": "blue"}, targetPort="web"), only="selectors")
    assert "no Pod has a TCP port named 'web' (there are: http)" in found


def test_services_that_share_pods_are_warned_of() -> None:
    objects = workload("blue")
    objects[0]["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
    (found,) = findings(*objects, service("front", {"tier": "front"}), only="selectors")
    assert found.startswith("warning: svc/default/front: shares the Pods blue-")


def test_a_rollout_without_readiness_and_prestop_refuses_connections() -> None:
    (found,) = findings(*workload("unsafe"), only="rollout")
    assert "a rolling update of deployment unsafe fails connections in" in found


def test_a_rollout_with_readiness_and_prestop_refuses_nobody() -> None:
    careful = {"readinessProbe": {"tcpSocket": {"port": 80}}, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    assert findings(*workload("safe", **careful), only="rollout") == []


def test_unknown_checks_are_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no such check: speed; there are selectors, endpoints"):
        checks.run(Cluster(nodes=1), ["speed"])
