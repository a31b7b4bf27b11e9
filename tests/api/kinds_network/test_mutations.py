"""Whatever is wrong with an object, the server says so in a Status and keeps nothing of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.api.client import ApiError, Client
from fakecluster.api.server import ApiServer
from fakecluster.sim import Clock, Seeded

BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
OBJECTS: dict[str, dict[str, Any]] = {
    "services": {
        "metadata": {"name": "s", "labels": {"a": "b"}},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.9.9",
            "clusterIPs": ["10.96.9.9", "fd00:10:96::9"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [
                {"name": "a", "port": 53, "targetPort": "dns", "nodePort": 30053},
                {"name": "b", "port": 53, "protocol": "UDP", "targetPort": 5353},
            ],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 30054,
            "externalIPs": ["1.2.3.4"],
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "trafficDistribution": "PreferSameZone",
        },
    },
    "endpoints": {
        "metadata": {"name": "e"},
        "subsets": [
            {"addresses": [{"ip": "10.0.0.1", "hostname": "h", "nodeName": "n"}], "ports": [{"name": "a", "port": 1}]}
        ],
    },
    "endpointslices.discovery.k8s.io": {
        "metadata": {"name": "e"},
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "conditions": {"ready": True},
                "hostname": "h",
                "nodeName": "n",
                "hints": {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]},
            }
        ],
        "ports": [{"name": "a", "port": 1, "protocol": "TCP", "appProtocol": "http"}],
    },
    "namespaces": {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}},
    "nodes": {
        "metadata": {"name": "n"},
        "spec": {
            "podCIDR": "10.244.0.0/24",
            "podCIDRs": ["10.244.0.0/24"],
            "taints": [{"key": "k", "effect": "NoExecute"}],
        },
        "status": {"addresses": [{"type": "InternalIP", "address": "1.2.3.4"}], "capacity": {"cpu": "1"}},
    },
    "configmaps": {"metadata": {"name": "c"}, "data": {"a": "b"}, "binaryData": {"c": "aGVsbG8="}, "immutable": True},
    "secrets": {
        "metadata": {"name": "s"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": "aGVsbG8=", "tls.key": "aGVsbG8="},
        "stringData": {"x": "y"},
    },
    "networkpolicies.networking.k8s.io": {
        "metadata": {"name": "p"},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]},
            "ingress": [
                {
                    "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": 80, "endPort": 90, "protocol": "TCP"}],
                }
            ],
            "policyTypes": ["Ingress"],
        },
    },
    "ingresses.networking.k8s.io": {
        "metadata": {"name": "i"},
        "spec": {
            "defaultBackend": BACKEND,
            "rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}}],
            "tls": [{"hosts": ["*.a.b"], "secretName": "s"}],
        },
    },
    "ingressclasses.networking.k8s.io": {
        "metadata": {"name": "i"},
        "spec": {
            "controller": "example.com/c",
            "parameters": {"kind": "K", "name": "n", "scope": "Namespace", "namespace": "default"},
        },
    },
    "ipaddresses.networking.k8s.io": {
        "metadata": {"name": "10.96.3.3"},
        "spec": {"parentRef": {"resource": "services", "name": "x", "namespace": "default"}},
    },
    "servicecidrs.networking.k8s.io": {"metadata": {"name": "c"}, "spec": {"cidrs": ["10.50.0.0/24", "fd00::/112"]}},
}
NAMESPACED = {"services", "endpoints", "configmaps", "secrets"}
WRONG = st.sampled_from(
    [
        None,
        "",
        "x",
        "Bad_",
        "None",
        "-1",
        "10.96.0.1",
        "::ffff:1.2.3.4",
        "010.0.0.1",
        "10.0.0.1/8",
        "é" * 300,
        0,
        -1,
        70000,
        True,
        1.5,
        [],
        {},
        [""],
        [None],
        {"": ""},
        ["a", "a"],
    ]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


@st.composite
def wrong_objects(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    resource = draw(st.sampled_from(sorted(OBJECTS)))
    obj = json.loads(json.dumps(OBJECTS[resource]))
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(obj) if place != ("metadata",)]
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        parent: Any = obj
        for key in path:
            parent = parent[key]
        if draw(st.booleans()):
            parent.pop(last)
        else:
            parent[last] = copy.deepcopy(draw(WRONG))
    return resource, obj


def _state(server: ApiServer) -> tuple[dict[str, int], set[int]]:
    counts = {resource: server.store.count(resource) for resource in sorted(server.store.resources())}
    return counts, set(server.allocators.ports.taken)


@settings(max_examples=300, deadline=None)
@given(wrong_objects(), st.booleans())
def test_a_wrong_object_is_refused_with_a_status_or_stored(wrong: tuple[str, dict[str, Any]], again: bool) -> None:
    resource, obj = wrong
    client = Client(ApiServer(Clock(), Seeded(1), service_cidrs=("10.96.0.0/16", "fd00:10:96::/112")))
    namespace = "default" if resource in NAMESPACED or resource.split(".")[0] in NAMESPACED_GROUPED else ""
    if again:
        client.create(resource, OBJECTS[resource], namespace)
    before = _state(client.server)
    try:
        client.update(resource, _named(resource, obj, namespace)) if again else client.create(resource, obj, namespace)
    except ApiError as refusal:
        assert 400 <= refusal.code <= 500
        assert refusal.message
        if resource not in LEAKS:
            assert _state(client.server) == before


NAMESPACED_GROUPED = {"endpointslices", "networkpolicies", "ingresses"}
#: A Service whose second address cannot be had leaves the first one's IPAddress behind, as the real server does.
LEAKS = {"services"}


def _named(resource: str, obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    meta = {"name": OBJECTS[resource]["metadata"]["name"]}
    return {**obj, "metadata": {**meta, "namespace": namespace} if namespace else meta}
