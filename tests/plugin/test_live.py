"""`--fakecluster-live`: the portable tests against another cluster, here a served one, in the place of a real one."""

import shutil
from collections.abc import Iterator

import pytest

from fakecluster import Cluster
from fakecluster.http import Served

pytest_plugins = ["pytester"]
TESTS = """
import pytest

SHOP = '''
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "shop/web:1", ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default}
spec: {containers: [{name: c, image: "busybox:stable"}]}
'''


@pytest.mark.fakecluster(nodes=2)
def test_portable(cluster):
    cluster.apply(SHOP)
    client, web = cluster.pod("client"), cluster.service("web")
    assert len(web.ready_pods) == 2
    answer = client.connect("web", 80).request(b"hi")
    assert answer.body == b"hi" and answer.server in {pod.name for pod in web.ready_pods}
    assert client.can_reach(web, 80)
    assert not client.can_reach(web, 81)
    assert client.env["WEB_SERVICE_PORT"] == "80"
    assert client.connect(web.ready_pods[0], 8080).request(b"x").body == b"x"
    cluster.delete("deployments.apps", "web")
    assert web.ready_pods == []


def test_wrong(cluster):
    cluster.apply(SHOP)
    assert cluster.service("web").cluster_ip == "10.0.0.1"


def test_exact_outcomes(cluster):
    cluster.apply(SHOP)
    cluster.pod("client").outcomes("tcp://web:80")


def test_virtual_time(cluster):
    cluster.advance(10)


def test_shared_objects(cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})


def test_typo(cluster):
    cluster.aply(SHOP)


@pytest.mark.fakecluster(nodes=3)
def test_too_many_nodes(cluster):
    pass


@pytest.mark.fakecluster(proxy="ipvs")
def test_another_mode(cluster):
    pass
"""
REASONS = (
    "not portable to a real cluster: Pod.outcomes",
    "not portable to a real cluster: Cluster.advance",
    "not portable to a real cluster: Namespace objects, which all tests of the cluster share",
    "not portable to a real cluster: 3 nodes; the cluster has 2",
    "not portable to a real cluster: proxy mode ipvs; the cluster's kube-proxy runs in mode iptables",
)


@pytest.fixture
def real() -> Iterator[tuple[Cluster, Served]]:
    cluster = Cluster(nodes=2)
    with cluster.serve(clock="accelerated") as api:
        yield cluster, api  # type: ignore[misc]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_portable_tests_run_and_others_are_skipped_with_the_reason(
    pytester: pytest.Pytester, real: tuple[Cluster, Served]
) -> None:
    cluster, api = real
    pytester.makepyfile(TESTS)
    flags = ("-rs", "-p", "no:randomly", f"--fakecluster-live={api.kubeconfig}")
    result = pytester.runpytest_subprocess(*flags)
    result.assert_outcomes(passed=1, failed=2, skipped=5)
    output = " ".join(result.stdout.str().split())
    assert [reason for reason in REASONS if reason not in output] == []
    assert f"fakecluster: live, against the cluster of {api.kubeconfig}" in output
    assert "AttributeError: Cluster has no attribute 'aply'" in output
    cluster.advance(60)
    names = [one["metadata"]["name"] for one in cluster.api.list("namespaces")]
    assert [name for name in names if name.startswith("fakecluster-")] == []


def test_a_kubeconfig_that_does_not_exist_is_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("--fakecluster-live=nowhere")
    assert "--fakecluster-live: there is no kubeconfig nowhere" in result.stderr.str()
