"""The documented first steps of each Python client, in process and without a socket."""

import asyncio
import threading

import pytest

from fakecluster import Cluster


def later(work: object) -> threading.Timer:
    timer = threading.Timer(0.1, work)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_the_official_client_lists_creates_patches_and_deletes(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes.client")
    core = client.CoreV1Api(shop.clients.kubernetes())
    assert [pod.metadata.name for pod in core.list_namespaced_pod("default").items] == [
        "client",
        "web-1",
        "web-2",
        "web-3",
    ]
    core.create_namespaced_config_map("default", client.V1ConfigMap(metadata={"name": "c"}, data={"a": "b"}))
    assert core.patch_namespaced_config_map("c", "default", {"data": {"a": "c"}}).data == {"a": "c"}
    core.delete_namespaced_config_map("c", "default")
    with pytest.raises(client.ApiException) as gone:
        core.read_namespaced_config_map("c", "default")
    assert (gone.value.status, gone.value.reason) == (404, "Not Found")
    assert '"message":"configmaps \\"c\\" not found"' in gone.value.body


def test_the_official_client_watches_what_happens_in_another_thread(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes.client")
    watch = pytest.importorskip("kubernetes.watch")
    core = client.CoreV1Api(shop.clients.kubernetes())
    version = core.list_namespaced_pod("default").metadata.resource_version
    timer = later(lambda: shop.delete("pods", "web-1"))
    seen = []
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", resource_version=version, timeout_seconds=5):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "MODIFIED":
            break
    timer.join()
    assert seen == [("MODIFIED", "web-1")]


def test_the_official_client_makes_a_deployment_whose_service_answers_packets(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes.client")
    api = shop.clients.kubernetes()
    labels = {"app": "new"}
    container = client.V1Container(name="c", image="shop/web:1", ports=[client.V1ContainerPort(container_port=8080)])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=2, selector={"matchLabels": labels}, template=template)
    client.AppsV1Api(api).create_namespaced_deployment(
        "default", client.V1Deployment(metadata={"name": "new"}, spec=spec)
    )
    port = client.V1ServicePort(port=80, target_port=8080)
    service = client.V1Service(metadata={"name": "new"}, spec=client.V1ServiceSpec(selector=labels, ports=[port]))
    client.CoreV1Api(api).create_namespaced_service("default", service)
    assert client.AppsV1Api(api).read_namespaced_deployment("new", "default").status.ready_replicas == 2
    answer = shop.pod("client").connect("new", 80).request(b"hi")
    assert answer.body == b"hi" and answer.server.startswith("new-")


def test_httpx_reads_and_streams(shop: Cluster) -> None:
    pytest.importorskip("httpx")
    with shop.clients.httpx() as http:
        assert http.get("/version").json()["minor"] == "36"
        assert http.get("/api/v1/namespaces/default/services/none").status_code == 404
        with http.stream("GET", "/api/v1/namespaces/default/services?watch=1&timeoutSeconds=0") as stream:
            lines = list(stream.iter_lines())
    assert [line[:17] for line in lines] == ['{"type":"ADDED","', '{"type":"ADDED","']


def test_httpx_async_leaves_the_loop_alone_while_it_watches(shop: Cluster) -> None:
    pytest.importorskip("httpx")

    async def run() -> list[str]:
        async with shop.clients.httpx_async() as http:
            version = (await http.get("/api/v1/pods")).json()["metadata"]["resourceVersion"]
            url = f"/api/v1/pods?watch=1&timeoutSeconds=5&resourceVersion={version}"
            async with http.stream("GET", url) as stream:
                asyncio.get_running_loop().call_later(0.05, lambda: shop.delete("pods", "web-2"))
                async for line in stream.aiter_lines():
                    return [line[:20]]
        return []

    assert asyncio.run(run()) == ['{"type":"MODIFIED","']


def test_kubernetes_asyncio_lists(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes_asyncio.client")

    async def run() -> list[str]:
        async with shop.clients.kubernetes_asyncio() as api:
            found = await client.CoreV1Api(api).list_namespaced_service("default")
            return [service.metadata.name for service in found.items]

    assert asyncio.run(run()) == ["kubernetes", "web"]


def test_kubernetes_asyncio_watches(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes_asyncio.client")
    watch = pytest.importorskip("kubernetes_asyncio.watch")

    async def run() -> list[str]:
        async with shop.clients.kubernetes_asyncio() as api, watch.Watch() as watching:
            stream = watching.stream(client.CoreV1Api(api).list_namespaced_service, "default", timeout_seconds=0)
            return [event["object"].metadata.name async for event in stream]

    assert asyncio.run(run()) == ["kubernetes", "web"]


def test_kubernetes_asyncio_creates_patches_and_deletes(shop: Cluster) -> None:
    client = pytest.importorskip("kubernetes_asyncio.client")

    async def run() -> tuple[dict[str, str], int]:
        async with shop.clients.kubernetes_asyncio() as api:
            core = client.CoreV1Api(api)
            body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="c"), data={"a": "b"})
            await core.create_namespaced_config_map("default", body)
            patched = await core.patch_namespaced_config_map("c", "default", {"data": {"a": "c"}})
            await core.delete_namespaced_config_map("c", "default")
            try:
                await core.read_namespaced_config_map("c", "default")
            except client.ApiException as gone:
                return patched.data, gone.status
        return {}, 0

    assert asyncio.run(run()) == ({"a": "c"}, 404)


def test_lightkube_reads_creates_applies_patches_watches_and_deletes(shop: Cluster) -> None:
    pytest.importorskip("lightkube")
    from lightkube import ApiError
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap, Pod

    client = shop.clients.lightkube(field_manager="test")
    assert sorted(pod.metadata.name for pod in client.list(Pod)) == ["client", "web-1", "web-2", "web-3"]
    client.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default"), data={"a": "b"}))
    assert shop.api.get("configmaps", "c", "default")["data"] == {"a": "b"}
    assert client.patch(ConfigMap, "c", {"data": {"a": "c"}}).data == {"a": "c"}
    applied = ConfigMap(metadata=ObjectMeta(name="d", namespace="default"), data={"k": "v"})
    applied.apiVersion, applied.kind = "v1", "ConfigMap"
    assert client.apply(applied).metadata.managedFields[0].manager == "test"
    seen = []
    for change, found in client.watch(ConfigMap, fields={"metadata.name": "c"}):
        seen.append((change, found.metadata.name))
        if change == "DELETED":
            break
        client.delete(ConfigMap, "c")
    assert seen == [("ADDED", "c"), ("DELETED", "c")]
    with pytest.raises(ApiError) as gone:
        client.get(ConfigMap, "c")
    assert (gone.value.status.code, gone.value.status.reason) == (404, "NotFound")


def test_kr8s_lists(shop: Cluster) -> None:
    pytest.importorskip("kr8s")

    async def run() -> list[str]:
        api = await shop.clients.kr8s()
        return [pod.name async for pod in api.get("pods", namespace="default")]

    assert asyncio.run(run()) == ["client", "web-1", "web-2", "web-3"]


def test_kr8s_creates_patches_waits_watches_and_deletes(shop: Cluster) -> None:
    pytest.importorskip("kr8s")

    async def run() -> list[object]:
        from kr8s.asyncio.objects import ConfigMap, Pod

        api = await shop.clients.kr8s()
        raw = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
        made = await ConfigMap({**raw, "metadata": {"name": "c", "namespace": "default"}}, api=api)
        await made.create()
        await made.patch({"data": {"a": "c"}})
        found: list[object] = [made.raw["data"]["a"], await made.exists()]
        pod = await Pod.get("web-1", namespace="default", api=api)
        await pod.wait("condition=Ready", timeout=5)
        found.append(await pod.ready())
        async for change, one in api.watch("configmaps", namespace="default"):
            if one.name == "c":
                found.append(change)
                break
        await made.delete()
        found.append(await made.exists())
        return found

    assert asyncio.run(run()) == ["c", True, True, "ADDED", False]
