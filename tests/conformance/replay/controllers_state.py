"""What a recorded step of area `controllers` shows of a namespace, read from the model's server."""

from __future__ import annotations

from typing import Any

from fakecluster.api.client import Client

Json = dict[str, Any]
RESOURCES = {
    "endpoints": "endpoints",
    "endpointSlices": "endpointslices.discovery.k8s.io",
    "pods": "pods",
    "deployments": "deployments.apps",
    "replicasets": "replicasets.apps",
    "statefulsets": "statefulsets.apps",
    "daemonsets": "daemonsets.apps",
    "jobs": "jobs.batch",
}
DROPPED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace")
TIMES = ("lastUpdateTime", "lastTransitionTime", "lastProbeTime", "startTime", "completionTime")
POD_SPEC = ("nodeName", "hostname", "subdomain", "restartPolicy", "tolerations")


def state_of(client: Client, kind: str, namespace: str) -> list[Json]:
    """All objects of a kind as the recordings show them."""
    return [SHOWN.get(kind, _whole)(obj) for obj in client.list(RESOURCES[kind], namespace)]


def _metadata(obj: Json) -> Json:
    return {key: value for key, value in obj["metadata"].items() if key not in DROPPED}


def _whole(obj: Json) -> Json:
    bare = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    return {**bare, "metadata": _metadata(obj)}


def _pod(pod: Json) -> Json:
    return {
        "metadata": _metadata(pod),
        "spec": {key: pod["spec"][key] for key in POD_SPEC if key in pod["spec"]},
        "status": {"phase": pod["status"]["phase"], "podIP": pod["status"].get("podIP")},
    }


def _workload(obj: Json) -> Json:
    labels = (obj["spec"]["template"].get("metadata") or {}).get("labels")
    spec = {key: value for key, value in obj["spec"].items() if key != "template"}
    return {"metadata": _metadata(obj), "spec": spec, "templateLabels": labels, "status": _timeless(obj.get("status"))}


def _timeless(status: Any) -> Any:
    """A status without its times, which the recorder left out."""
    if isinstance(status, dict):
        return {key: _timeless(value) for key, value in status.items() if key not in TIMES}
    return [_timeless(one) for one in status] if isinstance(status, list) else status


SHOWN = {
    "pods": _pod,
    "deployments": _workload,
    "replicasets": _workload,
    "statefulsets": _workload,
    "daemonsets": _workload,
    "jobs": _workload,
}


def summary_of(client: Client, namespace: str) -> Json:
    """Sizes of Endpoints and EndpointSlices that are too large to be shown whole."""
    return {
        "endpoints": [
            {"metadata": _metadata(one), "subsetsSummary": [_subset(subset) for subset in one.get("subsets") or ()]}
            for one in client.list("endpoints", namespace)
        ],
        "endpointSlices": [_slice(one) for one in client.list(RESOURCES["endpointSlices"], namespace)],
    }


def _subset(subset: Json) -> Json:
    texts = [address["ip"] for address in subset.get("addresses") or ()]
    return {
        "ports": subset.get("ports"),
        "addresses": len(texts),
        "notReadyAddresses": len(subset.get("notReadyAddresses") or ()),
        "firstAddress": texts[0] if texts else None,
        "lastAddress": texts[-1] if texts else None,
        "addressesSortedByIP": texts == sorted(texts),
    }


def _slice(one: Json) -> Json:
    endpoints = one.get("endpoints") or []
    return {
        "ports": one["ports"],
        "addressType": one["addressType"],
        "count": len(endpoints),
        "ready": sum(endpoint["conditions"].get("ready") is True for endpoint in endpoints),
    }
