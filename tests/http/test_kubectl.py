"""The installed kubectl against one served cluster: every verb that people use, the streaming ones over both encodings."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakecluster import Cluster
from fakecluster.http import Served

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: c, image: "shop/web:1", ports: [{containerPort: 8080}]}]}
"""
#: Without these, kubectl 1.31 and later use WebSockets.
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


class Kubectl:
    """kubectl with a home of its own."""

    def __init__(self, api: Served, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig), "HOME": str(folder)}

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["kubectl", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            cwd=self.folder,
            env={**self.environment, **environment},
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def cluster_of_module() -> Cluster:
    cluster = Cluster(nodes=2)
    cluster.apply("examples/shop.yaml")
    return cluster


@pytest.fixture(scope="module")
def kubectl(cluster_of_module: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with cluster_of_module.serve(clock="accelerated") as api:
        yield Kubectl(api, tmp_path_factory.mktemp("home"))  # type: ignore[arg-type]


def test_a_deployment_from_apply_to_delete(kubectl: Kubectl) -> None:
    (kubectl.folder / "shop.yaml").write_text(DEPLOYMENT)
    assert kubectl("apply", "-f", "shop.yaml")[:2] == (0, "deployment.apps/shop created\n")
    assert kubectl("rollout", "status", "deploy/shop", "--timeout=20s")[1].endswith("successfully rolled out\n")
    assert kubectl("wait", "--for=condition=Available", "deploy/shop", "--timeout=20s")[0] == 0
    assert kubectl("apply", "-f", "shop.yaml")[1] == "deployment.apps/shop unchanged\n"
    (kubectl.folder / "shop.yaml").write_text(DEPLOYMENT.replace("shop/web:1", "shop/web:2"))
    code, difference, _ = kubectl("diff", "-f", "shop.yaml")
    assert code == 1 and "+      - image: shop/web:2" in difference
    assert kubectl("scale", "deploy/shop", "--replicas=3")[1] == "deployment.apps/shop scaled\n"
    assert kubectl("get", "deploy", "shop", "-o", "jsonpath={.spec.replicas}")[1] == "3"
    assert "Replicas:               3 desired" in kubectl("describe", "deploy", "shop")[1]
    assert kubectl("delete", "-f", "shop.yaml", "--timeout=20s")[1].startswith('deployment.apps "shop" deleted')


CASES: dict[tuple[str, ...], tuple[int, str, str]] = {
    ("get", "pod", "web-1", "-o", "name"): (0, "pod/web-1\n", ""),
    ("get", "--raw", "/openapi/v2"): (0, '{"swagger":"2.0",', ""),
    ("explain", "service.spec.ports.port"): (0, "KIND:       Service\nVERSION:    v1\n\nFIELD: port <integer>", ""),
    ("auth", "can-i", "delete", "pods"): (0, "yes\n", ""),
    ("auth", "can-i", "get", "pods", "--as=bob"): (1, "no\n", ""),
    ("logs", "web-1", "-c", "none"): (1, "", "error: container none is not valid for pod web-1\n"),
    ("exec", "client", "--", "cat", "/etc/hostname"): (0, "client\n", ""),
    ("exec", "client", "--", "nslookup", "web"): (0, "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:", ""),
    ("exec", "client", "--", "false"): (1, "", "command terminated with exit code 1\n"),
    ("exec", "client", "--", "sh"): (1, "", 'error: exec: "sh": executable file not found in $PATH'),
    ("exec", "none", "--", "env"): (1, "", 'error: pods "none" not found'),
    ("cp", "client:/etc/hosts", "hosts"): (1, "", 'error: exec: "tar": executable file not found in $PATH'),
}


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_what_kubectl_prints(kubectl: Kubectl, words: tuple[str, ...]) -> None:
    code, out, error = kubectl(*words)
    expected_code, begin, complaint = CASES[words]
    assert (code, out[: len(begin)]) == (expected_code, begin), error
    assert error.replace("Error from server (NotFound)", "error").startswith(complaint)


@pytest.mark.parametrize("environment", [{}, SPDY], ids=["websockets", "spdy"])
def test_exec_carries_input_and_output(kubectl: Kubectl, environment: dict[str, str]) -> None:
    code, out, _ = kubectl("exec", "-i", "client", "--", "nc", "web", "80", stdin="bread", **environment)
    assert (code, out[:11], out[-13:]) == (0, "server=web-", "bytes=5\nbread")


@pytest.mark.parametrize("environment", [{}, SPDY], ids=["websockets", "spdy"])
@pytest.mark.parametrize(("target", "port"), [("pod/web-1", 8080), ("service/web", 80)])
def test_port_forward_carries_bytes_into_the_pod(
    kubectl: Kubectl, target: str, port: int, environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        ["kubectl", "port-forward", target, f":{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**kubectl.environment, **environment},
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first.startswith("Forwarding from 127.0.0.1:") and first.endswith(" -> 8080\n")
        local = int(first.split(":")[1].split()[0])
        for size in (3, 200_000):
            with socket.create_connection(("127.0.0.1", local), timeout=10) as sock:
                sock.sendall(b"x" * size)
                got = b""
                while got.count(b"x") < size:
                    got += sock.recv(65536)
                assert got.startswith(b"server=web-1 client=127.0.0.1:")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_run_shows_what_a_command_printed_and_removes_its_pod(kubectl: Kubectl) -> None:
    words = ("--rm", "-i", "--restart=Never", "--image=busybox", "--", "wget", "-qO-", "web/cake")
    code, out, error = kubectl("run", "once", *words)
    assert code == 0 and "GET /cake HTTP/1.1" in out, error
    assert kubectl("get", "pod", "once")[0] == 1


def test_debug_shows_the_rules_of_a_node(kubectl: Kubectl) -> None:
    words = ("--image=busybox", "--", "chroot", "/host", "iptables-save", "-t", "nat")
    code, out, error = kubectl("debug", "node/a", "-i", *words)
    assert code == 0 and "-A KUBE-SERVICES -d 10.96.0.10/32" in out, error


def test_debug_runs_a_command_beside_a_pods_program(kubectl: Kubectl) -> None:
    words = ("--image=busybox", "--container=beside", "--", "curl", "-s", "localhost:8080/cake")
    code, out, error = kubectl("debug", "web-1", "-i", *words)
    assert code == 0 and "GET /cake HTTP/1.1" in out, error


def test_attach_shows_what_is_printed_until_the_program_ends(kubectl: Kubectl, cluster_of_module: Cluster) -> None:
    process = subprocess.Popen(
        ["kubectl", "attach", "web-3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=kubectl.environment,
    )
    assert process.stdout is not None
    web = cluster_of_module.pod("web-3")
    while not cluster_of_module.parts.server.store.revision or not attached(cluster_of_module):
        assert process.poll() is None
    cluster_of_module.pod("client").connect(web.ip, 8080).request(b"hello")
    line = process.stdout.readline()
    while "tcp 5 bytes" not in line:
        assert line
        line = process.stdout.readline()
    web.exit(0)
    cluster_of_module.settle()
    assert process.wait(10) == 0


def attached(cluster: Cluster) -> bool:
    """Whether somebody waits for what a program prints."""
    guard = cluster.guard
    return bool(getattr(guard, "ears", ()))
