"""/healthz, /livez, /readyz and /version."""

from __future__ import annotations

from fakecluster.api import status
from fakecluster.api.object_meta import timestamp
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response, page_not_found, text

#: The checks of a running server, in the order of `?verbose`.
CHECKS = (
    "ping",
    "log",
    "loopback-serving-certificate",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
)
ENDPOINTS = ("healthz", "livez", "readyz")
GIT_VERSION = "v1.36.2"


def answer(call: Call) -> Response | None:
    """The answer to a health or version path; None for other paths."""
    path = call.target.path.rstrip("/")
    head, _, check = path[1:].partition("/")
    if head in ENDPOINTS:
        return _health(call, head, check)
    if path == "/version":
        if call.method != "GET":
            raise status.method_not_allowed()
        return Response(200, version(call))
    return None


def _health(call: Call, endpoint: str, check: str) -> Response:
    if check:
        return text(200, "ok") if check in CHECKS else page_not_found()
    if "verbose" in call.query:
        lines = "".join(f"[+]{name} ok\n" for name in CHECKS)
        return text(200, f"{lines}{endpoint} check passed\n")
    return text(200, "ok")


def version(call: Call) -> dict[str, str]:
    """What `kubectl version` shows of the server."""
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "0" * 40,
        "gitTreeState": "",
        "buildDate": timestamp(call.server.clock.epoch_s),
        "goVersion": "go1.26.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    }
