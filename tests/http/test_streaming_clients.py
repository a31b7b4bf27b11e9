"""Commands and forwarded ports through the official client, which speaks WebSockets by itself."""

from typing import Any

import pytest

from fakecluster import Cluster
from fakecluster.http import Served


@pytest.fixture
def core(api: Served) -> Any:
    client = pytest.importorskip("kubernetes.client")
    configuration = client.Configuration(host=api.url)
    return client.CoreV1Api(client.ApiClient(configuration))


def test_the_official_client_runs_a_command(core: Any) -> None:
    from kubernetes.stream import stream

    words = ["curl", "-s", "http://web/x"]
    found = stream(
        core.connect_get_namespaced_pod_exec, "client", "default", command=words, stdout=True, stderr=True, stdin=False
    )
    assert found.startswith("GET /x HTTP/1.1")


def test_the_official_client_reads_the_exit_code(core: Any) -> None:
    from kubernetes.stream import stream

    response = stream(
        core.connect_get_namespaced_pod_exec,
        "client",
        "default",
        command=["nslookup", "nowhere"],
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    response.run_forever(timeout=5)
    assert (response.returncode, response.read_stdout()[-9:]) == (1, "NXDOMAIN\n")


def test_the_official_client_writes_to_a_command(core: Any) -> None:
    from kubernetes.stream import stream

    response = stream(
        core.connect_get_namespaced_pod_exec,
        "client",
        "default",
        command=["nc", "web", "80"],
        stdin=True,
        stdout=True,
        _preload_content=False,
    )
    response.write_stdin("bread")
    response.run_forever(timeout=5)
    assert response.read_stdout().endswith("bytes=5\nbread")


def test_the_official_client_forwards_a_port(core: Any) -> None:
    from kubernetes.stream import portforward

    forward = portforward(core.connect_get_namespaced_pod_portforward, "web-2", "default", ports="8080")
    sock = forward.socket(8080)
    sock.sendall(b"hi")
    assert sock.recv(100).startswith(b"server=web-2 client=127.0.0.1:")
    sock.close()
    assert forward.error(8080) is None


def test_the_official_client_hears_of_a_port_that_nobody_listens_on(core: Any) -> None:
    from kubernetes.stream import portforward

    forward = portforward(core.connect_get_namespaced_pod_portforward, "web-2", "default", ports="81")
    sock = forward.socket(81)
    assert sock.recv(100) == b""
    assert forward.error(81).endswith("failed to connect to localhost:81 inside namespace: refused")


@pytest.mark.parametrize(
    ("pod", "options", "words"),
    [
        ("client", {}, "you must specify at least 1 of stdin, stdout, stderr"),
        ("client", {"stdout": True, "container": "x"}, "container x is not valid for pod client"),
        ("none", {"stdout": True}, 'pods \\"none\\" not found'),
        ("done", {"stdout": True}, 'unable to upgrade connection: container not found (\\"c\\")'),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(
    shop: Cluster, core: Any, pod: str, options: dict[str, Any], words: str
) -> None:
    client = pytest.importorskip("kubernetes.client")
    from kubernetes.stream import stream

    ended = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i", "command": ["true"]}]}
    shop.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "done"}, "spec": ended})
    with pytest.raises(client.ApiException) as refused:
        stream(core.connect_get_namespaced_pod_exec, pod, "default", command=["env"], **options)
    assert words in str(refused.value)


def test_kr8s_reads_logs(shop: Cluster) -> None:
    pytest.importorskip("kr8s")
    import asyncio

    shop.pod("client").connect(shop.pod("web-1").ip, 8080).request(b"hello")

    async def run() -> list[str]:
        from kr8s.asyncio.objects import Pod

        pod = await Pod.get("web-1", namespace="default", api=await shop.clients.kr8s())
        return [line async for line in pod.logs()]

    assert [line.partition("tcp ")[2] for line in asyncio.run(run())] == ["5 bytes"]
