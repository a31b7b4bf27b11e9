"""What the admission plugins of a default server do to Pods: default tolerations, priority, service account.

Facts from plugin/pkg/admission/{defaulttolerationseconds,priority,serviceaccount}. The functions here
return a new object and leave the one they are given as it is: what they add has no manager.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api import status
from fakecluster.api.kinds_workload.pod_defaults import containers
from fakecluster.api.kinds_workload.runtime_class import Rejected, apply_runtime_class
from fakecluster.api.object_meta import SUFFIX_ALPHABET, SUFFIX_LENGTH
from fakecluster.api.strategy import Request

Json = dict[str, Any]

#: Seconds that a Pod stays on a node that is gone.
TOLERATION_S = 300
NODE_LOSS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
SYSTEM_PRIORITIES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
MIRROR = "kubernetes.io/config.mirror"
TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
#: An hour and a bit: the bit marks tokens whose life the server silently extends.
TOKEN_S = 3607
#: Labels of a node that its Pods carry too.
PLACES = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
#: The certificate bundles that the recorded server mounts beside the token: ConfigMap -> file.
BUNDLES = (("kube-root-ca.crt", "ca.crt"), ("openshift-service-ca.crt", "service-ca.crt"))


def admit_pod(pod: Json, old: Json | None, request: Request) -> Json:
    """The Pod as the plugins leave it; raises a 403 where one of them refuses."""
    spec = dict(pod["spec"])
    mirror = MIRROR in (pod["metadata"].get("annotations") or {})
    if old is None and request.server.service_account_admission and not mirror:
        _service_account(spec, pod, request)
    _priority(spec, pod, old, request)
    _tolerations(spec)
    if old is None:
        try:
            apply_runtime_class(spec, request)
        except Rejected as problem:
            raise _refused(pod, str(problem)) from problem
    meta = pod["metadata"]
    if old is None and (places := topology_labels(request, spec.get("nodeName", ""))):
        meta = {**meta, "labels": {**(meta.get("labels") or {}), **places}}
    return {**pod, "metadata": meta, "spec": spec}


def topology_labels(request: Request, node: str) -> dict[str, str]:
    """What a Pod on `node` is told about its place: the node's zone and region (KEP-4742)."""
    found = request.store.get("nodes", "", node) if node else None
    labels = (found["metadata"].get("labels") or {}) if found else {}
    return {key: labels[key] for key in PLACES if key in labels}


def _refused(pod: Json, words: str) -> status.ApiError:
    return status.forbidden("pods", "", pod["metadata"].get("name", ""), words)


def _tolerations(spec: Json) -> None:
    given = spec.get("tolerations") or []
    missing = [key for key in NODE_LOSS if not any(_covers(toleration, key) for toleration in given)]
    if missing:
        common = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_S}
        spec["tolerations"] = [*given, *({"key": key, **common} for key in missing)]


def _covers(toleration: Json, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")


def _priority(spec: Json, pod: Json, old: Json | None, request: Request) -> None:
    if old is not None:
        for field in ("priority", "preemptionPolicy"):
            if spec.get(field) is None and old["spec"].get(field) is not None:
                spec[field] = old["spec"][field]
        return
    priority, policy, name = _priority_class(spec.get("priorityClassName", ""), pod, request)
    if name:
        spec["priorityClassName"] = name
    for field, value in (("priority", priority), ("preemptionPolicy", policy)):
        if spec.get(field) is not None and spec[field] != value:
            what = "integer value of priority" if field == "priority" else "string value of PreemptionPolicy"
            computed = f"must not be provided in pod spec; priority admission controller computed {value}"
            raise _refused(pod, f"the {what} ({spec[field]}) {computed}")
        spec[field] = value


def _priority_class(name: str, pod: Json, request: Request) -> tuple[int, str, str]:
    """(value, preemption policy, class name) of a Pod that names `name`, or of the cluster's default class."""
    if name in SYSTEM_PRIORITIES:
        return SYSTEM_PRIORITIES[name], "PreemptLowerPriority", name
    resource = "priorityclasses.scheduling.k8s.io"
    if name:
        found = request.store.get(resource, "", name)
        if found is None:
            raise _refused(pod, f"no PriorityClass with name {name} was found")
    else:
        defaults = [item for item in request.store.list(resource) if item.get("globalDefault")]
        if not defaults:
            return 0, "PreemptLowerPriority", ""
        found = min(defaults, key=lambda item: int(item.get("value", 0)))
    policy = found.get("preemptionPolicy") or "PreemptLowerPriority"
    return found.get("value", 0), policy, found["metadata"]["name"]


def _service_account(spec: Json, pod: Json, request: Request) -> None:
    name = spec.get("serviceAccountName") or "default"
    account = request.store.get("serviceaccounts", request.namespace, name)
    if account is None:
        where = f"{request.namespace}/{name}"
        raise _refused(pod, f'error looking up service account {where}: serviceaccount "{name}" not found')
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = account.get("automountServiceAccountToken")
    if automount is not False:
        _mount_token(spec, account["metadata"]["uid"])
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]


def _mount_token(spec: Json, account_uid: str) -> None:
    """Mount a token where none is; the volume's random suffix is drawn once per account, not once per Pod."""
    unmounted = [c for c in containers(spec) if not _mounted(c)]
    if not unmounted:
        return
    name = f"kube-api-access-{_suffix(account_uid)}"
    mount = {"name": name, "readOnly": True, "mountPath": TOKEN_MOUNT}
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [
                c if _mounted(c) else {**c, "volumeMounts": [*(c.get("volumeMounts") or ()), dict(mount)]}
                for c in spec[kind]
            ]
    spec["volumes"] = [*(spec.get("volumes") or ()), {"name": name, "projected": _token_sources()}]


def _suffix(uid: str) -> str:
    number, letters = int(uid.replace("-", ""), 16), []
    for _ in range(SUFFIX_LENGTH):
        number, letter = divmod(number, len(SUFFIX_ALPHABET))
        letters.append(SUFFIX_ALPHABET[letter])
    return "".join(letters)


def _mounted(container: Json) -> bool:
    return any(mount.get("mountPath") == TOKEN_MOUNT for mount in container.get("volumeMounts") or ())


def _token_sources() -> Json:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    bundles = [{"configMap": {"name": name, "items": [{"key": file, "path": file}]}} for name, file in BUNDLES]
    token = {"serviceAccountToken": {"expirationSeconds": TOKEN_S, "path": "token"}}
    return {"sources": [token, bundles[0], {"downwardAPI": {"items": [namespace]}}, bundles[1]], "defaultMode": 420}
