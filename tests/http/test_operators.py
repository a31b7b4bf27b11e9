"""Operators run against the served cluster as they are; what they make answers packets."""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from http_connection import Connection

from fakecluster import Cluster
from fakecluster.http import Served

GROUP, PLURAL = "example.com", "shops"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": PLURAL, "singular": "shop", "kind": "Shop", "listKind": "ShopList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def shop_object(name: str, replicas: int) -> dict[str, Any]:
    spec = {"replicas": replicas}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Shop",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def deployment_of(name: str, replicas: int) -> dict[str, Any]:
    labels = {"shop": name}
    container = {"name": "web", "image": "shop/web:1", "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service_of(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"shop": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def wait_until(holds: Callable[[], bool], timeout_s: float = 15.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def endpoints(cluster: Cluster, name: str) -> int:
    slices = cluster.api.list(
        "endpointslices.discovery.k8s.io", "default", label_selector=f"kubernetes.io/service-name={name}"
    )
    return sum(len(one["endpoints"]) for one in slices)


def test_a_kopf_operator_makes_a_deployment_and_a_service_that_answers(
    shop: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kopf = pytest.importorskip("kopf")
    client = pytest.importorskip("kubernetes.client")
    shop.apply(DEFINITION)
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
    def login(**options: Any) -> Any:
        return kopf.login_with_kubeconfig(**options)

    @kopf.on.create(GROUP, "v1", PLURAL, id="create", registry=registry)  # type: ignore[untyped-decorator]
    def create(spec: Any, name: str, namespace: str, **options: Any) -> dict[str, str]:
        api = shop.clients.kubernetes()
        client.AppsV1Api(api).create_namespaced_deployment(namespace, deployment_of(name, spec["replicas"]))
        client.CoreV1Api(api).create_namespaced_service(namespace, service_of(name))
        return {"made": name}

    stop, ready = threading.Event(), threading.Event()
    with shop.serve(clock="real") as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
        options = {
            "registry": registry,
            "standalone": True,
            "namespaces": ["default"],
            "stop_flag": stop,
            "ready_flag": ready,
        }
        operator = threading.Thread(target=kopf.run, kwargs=options, daemon=True)
        operator.start()
        try:
            assert ready.wait(10)
            shop.apply(shop_object("bakery", 2))
            wait_until(lambda: endpoints(shop, "bakery") == 2)
            answer = shop.pod("client").connect("bakery", 80).request(b"bread")
            stored = lambda: shop.api.get(f"{PLURAL}.{GROUP}", "bakery", "default")  # noqa: E731
            wait_until(lambda: stored().get("status", {}).get("create") == {"made": "bakery"})
        finally:
            stop.set()
            operator.join(15)
    assert answer.body == b"bread" and answer.server.startswith("bakery-")


def test_a_controller_loop_sees_every_event_once_through_reconnects_and_410(api: Served, shop: Cluster) -> None:
    """List, watch for a moment, watch on from the last version; after 410 list anew."""
    shop.apply(DEFINITION)
    path = f"/apis/{GROUP}/v1/namespaces/default/{PLURAL}"
    connection = Connection(api)  # type: ignore[arg-type]
    state: dict[str, int] = {}
    events: list[tuple[str, str, str]] = []
    expired = 0

    def relist() -> str:
        found = connection.json("GET", path)
        state.clear()
        state.update({item["metadata"]["name"]: item["spec"]["replicas"] for item in found["items"]})
        return str(found["metadata"]["resourceVersion"])

    version = relist()
    for turn in range(4):
        shop.apply(shop_object(f"s{turn}", turn))
        shop.apply(shop_object("changing", turn))
        if turn == 2:
            store = shop.parts.server.store
            store.compact(store.revision)
        with connection.ask("GET", f"{path}?watch=1&timeoutSeconds=0&resourceVersion={version}") as response:
            lines = [json.loads(line) for line in response.read().splitlines()]
        for line in lines:
            if line["type"] == "ERROR":
                assert line["object"]["code"] == 410
                expired += 1
                version = relist()
                break
            meta = line["object"]["metadata"]
            version = meta["resourceVersion"]
            events.append((line["type"], meta["name"], version))
            state[meta["name"]] = line["object"]["spec"]["replicas"]
    assert expired == 1
    assert len(events) == len(set(events)) == 6
    assert state == {"s0": 0, "s1": 1, "s2": 2, "s3": 3, "changing": 3}
    assert os.environ.get("KUBECONFIG") is None


def test_a_plain_loop_with_the_official_client_makes_services_that_answer(shop: Cluster) -> None:
    """Lists, watches in short pieces from the last version, lists anew after 410; acts on each object once."""
    client = pytest.importorskip("kubernetes.client")
    watch = pytest.importorskip("kubernetes.watch")
    shop.apply(DEFINITION)
    shop.apply(shop_object("before", 1))
    api = shop.clients.kubernetes()
    custom, apps, core = client.CustomObjectsApi(api), client.AppsV1Api(api), client.CoreV1Api(api)
    place = (GROUP, "v1", "default", PLURAL)
    made: list[str] = []
    handled: set[str] = set()
    events: list[tuple[str, str]] = []

    def reconcile(shown: dict[str, Any]) -> None:
        name, uid = shown["metadata"]["name"], shown["metadata"]["uid"]
        if uid not in handled:
            handled.add(uid)
            made.append(name)
            apps.create_namespaced_deployment("default", deployment_of(name, shown["spec"]["replicas"]))
            core.create_namespaced_service("default", service_of(name))

    def relist() -> str:
        found = custom.list_namespaced_custom_object(*place)
        for shown in found["items"]:
            reconcile(shown)
        return str(found["metadata"]["resourceVersion"])

    version, expired = relist(), 0
    for turn in range(3):
        shop.apply(shop_object(f"shop-{turn}", 1))
        shop.apply(shop_object("before", turn + 2))
        if turn == 1:
            store = shop.parts.server.store
            store.compact(store.revision)
        try:
            options = {"resource_version": version, "timeout_seconds": 0}
            for event in watch.Watch().stream(custom.list_namespaced_custom_object, *place, **options):
                meta = event["object"]["metadata"]
                events.append((meta["name"], meta["resourceVersion"]))
                version = meta["resourceVersion"]
                reconcile(event["object"])
        except client.ApiException as gone:
            assert gone.status == 410
            expired += 1
            version = relist()
    assert (made, expired) == (["before", "shop-0", "shop-1", "shop-2"], 1)
    assert len(events) == len(set(events)) == 4
    for name in made:
        assert shop.pod("client").connect(name, 80).request(b"hi").server.startswith(f"{name}-")
