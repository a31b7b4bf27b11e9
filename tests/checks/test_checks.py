"""The ready-made checks find what is wrong with manifests, and nothing where all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fakecluster import Cluster, checks
from fakecluster.cli.main import app

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


def pod(name: str, labels: dict[str, str], **container: Any) -> JsonObject:
    main = {"name": "main", "image": "example.com/x:1", "ports": [{"containerPort": 80}], **container}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "a", "containers": [main]}}


def changed(objects: list[JsonObject], **spec: Any) -> list[JsonObject]:
    """The objects with fields of the last one's spec set."""
    return [*objects[:-1], {**objects[-1], "spec": {**objects[-1]["spec"], **spec}}]


CAREFUL: JsonObject = {
    "readinessProbe": {"tcpSocket": {"port": 80}}, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
}  # fmt: skip
WEB = workload("web", **CAREFUL)
NO_ONE = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}]}
POLICY = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": NO_ONE}
#: check -> a bad manifest, whether that is an error, and a part of what is said of it
BAD: dict[str, tuple[list[JsonObject], bool, str]] = {
    "selectors": ([*WEB, service("other", {"app": "wep"})], True, "the selector app=wep matches no Pod; Pod web-"),
    "reachable": ([pod("web", {"app": "web"}, ports=[{"containerPort": 81}]), WEB[1]], True, "refused with probability 1"),
    "balanced": ([pod("web", {"app": "web"}, ports=[]), *WEB], True, "answers with probability"),
    "hairpin": ([pod("web", {"app": "web"}, ports=[]), WEB[1]], True, "connecting through its own Service: refused"),
    "modes-agree": (
        [pod("web", {"app": "web"}), *changed(WEB[1:], type="NodePort", internalTrafficPolicy="Local")],
        False,
        "ipvs mode uses all endpoints where internalTrafficPolicy Local finds none",
    ),
    "rollout": (workload("web"), True, "a rolling update of deployment web fails connections in"),
    "policies": ([*WEB, POLICY], False, "can never match: its peers select no Pod"),
}


@pytest.mark.parametrize("check", BAD)
def test_the_command_tells_bad_manifests_in_a_table_and_by_its_exit_status(check: str, tmp_path: Path) -> None:
    objects, is_error, words = BAD[check]
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump_all(objects))
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--only", check], env={"COLUMNS": "1000"})
    assert result.exit_code == int(is_error), result.output
    assert words in result.output and f"{'error' if is_error else 'warning'} " in result.output


def test_the_command_finds_nothing_in_good_manifests(tmp_path: Path) -> None:
    affine = changed(WEB, type="NodePort", externalTrafficPolicy="Local", sessionAffinity="ClientIP")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump_all(affine))
    result = CliRunner().invoke(app, ["check", str(tmp_path)], env={"COLUMNS": "1000"})
    assert result.exit_code == 0, result.output
    assert f"{len(checks.CHECKS)} checks: 0 errors, 0 warnings" in result.output


def test_a_pod_that_no_service_selects_is_warned_of() -> None:
    (found,) = findings(*WEB, pod("lonely", {"app": "lonely"}), only="selectors")
    assert found == "warning: pod/default/lonely: offers port 80 and no Service selects it [selectors]"
