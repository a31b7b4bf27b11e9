"""Area `api`: HTTP exchanges, watches and waiting, against the API server with its controllers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from fakecluster.api.rest.response import JSON, Response
from fakecluster.api.rest.users import MASTERS, User
from fakecluster.api.server import ApiServer
from fakecluster.controllers.manager import CONTROLLERS, Manager
from fakecluster.sim import Clock, Seeded
from replay.placeholders import Bindings, shown
from replay.result import Difference, Recording

CLUSTERS: dict[str, dict[str, Any]] = {
    "dual": {"service_cidrs": ("10.96.0.0/16", "fd00:10:96::/112")},
    "single": {"service_cidrs": ("10.96.0.0/16",)},
    "dual-sa": {"service_cidrs": ("10.96.0.0/16", "fd00:10:96::/112"), "service_account_admission": True},
}
USERS = (
    User("admin", (MASTERS,), "1"),
    User("viewer", ("dev",), "2"),
    User("bob", ("dev", "qa"), "3"),
)
AGENT = "gt-oracle"
#: The recorded controller manager was that of a fork, which publishes this in every namespace.
FORK_CONFIG_MAP = {
    "metadata": {
        "name": "openshift-service-ca.crt",
        "annotations": {"service.beta.openshift.io/inject-cabundle": "true"},
    },
    "data": {"service-ca.crt": ""},
}
#: After a write to one of these the recorder waited for the controllers.
SLOW_WRITES = ("/deployments", "/replicasets", "/nodes")
WAIT_S = 0.9
#: This controller waits five seconds before it looks at a deletion: only a step that polls sees its work.
PATIENT = "namespace-controller"
#: Longest wait for a step that polls.
EVENTUALLY_S = 90.0
KEPT_HEADERS = ("Allow", "Location", "Www-Authenticate", "Retry-After")


def replay(recording: Recording) -> Iterator[Difference]:
    return Replay(recording.data).run()


class Cluster:
    """The server and the controllers of the recorded cluster: no scheduler, no kubelet."""

    def __init__(self, name: str) -> None:
        self.clock = Clock()
        choices = Seeded(0)
        self.server = ApiServer(self.clock, choices, **CLUSTERS[name])
        for user in USERS:
            self.server.users[user.name] = user
        self.manager = Manager(
            self.server,
            self.clock,
            choices,
            controllers=[controller for controller in CONTROLLERS if controller not in NOT_RUN],
            cluster_cidrs=CLUSTER_CIDRS[name],
        )
        self.clock.advance(2.0)
        self.server.store.compact(self.server.store.revision)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)


#: As the recorder's controller manager ran: no cloud, no node lifecycle.
NOT_RUN = ("node-lifecycle-controller", "service-lb-controller")
CLUSTER_CIDRS = {
    "dual": ("10.244.0.0/16", "fd00:10:244::/56"),
    "single": ("10.244.0.0/16",),
    "dual-sa": ("10.244.0.0/16", "fd00:10:244::/56"),
}


class Replay:
    """One file: its cluster, what its placeholders stand for, its open watches."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.cluster = Cluster(data["cluster"])
        self.bindings = Bindings()
        self.watches: dict[str, Response] = {}

    def run(self) -> Iterator[Difference]:
        self._make_namespaces()
        self.cluster.clock.hold(PATIENT)
        for step in self.data["steps"]:
            for text in self._step(step):
                yield Difference(f"step {step['id']}", text)

    def _make_namespaces(self) -> None:
        text = json.dumps(self.data["steps"])
        for symbol in ("ns", "ns2", "ns3"):
            placeholder = f"{{{{{symbol}}}}}"
            if placeholder not in text:
                continue
            name = f"gt-{symbol}"
            self.bindings.bind(placeholder, name)
            if not any(self._posts_namespace(step, placeholder) for step in self.data["steps"]):
                namespace = {"metadata": {"name": name}}
                self._send({"method": "POST", "path": "/api/v1/namespaces", "body": namespace}, agent="gt-setup")
                path = f"/api/v1/namespaces/{name}/configmaps"
                self._send({"method": "POST", "path": path, "body": FORK_CONFIG_MAP}, agent="kube-controller-manager")
        self.cluster.advance(1.0)

    @staticmethod
    def _posts_namespace(step: dict[str, Any], placeholder: str) -> bool:
        request = step.get("request", {})
        body = request.get("body")
        return (
            request.get("method") == "POST"
            and request["path"] == "/api/v1/namespaces"
            and isinstance(body, dict)
            and body.get("metadata", {}).get("name") == placeholder
        )

    def _step(self, step: dict[str, Any]) -> Iterator[str]:
        operation = step.get("op", "request")
        if operation == "watch-read":
            yield from self._read_watch(step)
        elif operation == "eventually":
            yield from self._wait_for(step)
        else:
            response = self._send(step["request"])
            if operation == "watch-open":
                self.watches[step["watch"]] = response
            if not step.get("unstable"):
                yield from self._compare(step["response"], response)
            self._let_controllers_work(step, response)

    def _let_controllers_work(self, step: dict[str, Any], response: Response) -> None:
        request = step["request"]
        if request["method"] != "GET" and response.status < 300:
            slow = any(word in request["path"] for word in SLOW_WRITES)
            self.cluster.advance(WAIT_S if slow else 0.02)

    def _send(self, request: dict[str, Any], *, agent: str = AGENT) -> Response:
        request = self.bindings.fill(request)
        headers = {"User-Agent": agent, "Accept": JSON, **request.get("headers", {})}
        body = b""
        if "rawBody" in request:
            body = request["rawBody"].encode()
        elif "body" in request:
            body = json.dumps(request["body"]).encode()
        if body and "Content-Type" not in headers:
            headers["Content-Type"] = JSON
        user = request.get("as", "admin")
        if user == "bad":
            headers["Authorization"] = "Bearer wrong"
        name = "system:anonymous" if user == "none" else user
        query = urlencode(request.get("query") or {}, doseq=True)
        return self.cluster.server.request(request["method"], request["path"], query, headers, body, name)

    def _compare(self, expected: dict[str, Any], found: Response) -> Iterator[str]:
        if expected["status"] != found.status:
            yield f"status {found.status} instead of {expected['status']}: {shown(found.value)}"
            return
        if found.stream is None or "body" in expected:
            content = expected.get("contentType", JSON)
            if content != found.content_type and not (found.stream is not None):
                yield f"content type {found.content_type} instead of {content}"
        yield from self._compare_headers(expected, found)
        if "text" in expected:
            yield from self.bindings.match(expected["text"], found.body.decode("utf-8", "replace"), "text")
        elif "body" in expected:
            yield from self._compare_body(expected["body"], found)

    def _compare_headers(self, expected: dict[str, Any], found: Response) -> Iterator[str]:
        warnings = expected.get("warnings", [])
        if warnings != found.warnings:
            yield f"warnings {found.warnings} instead of {warnings}"
        headers = {name: value for name, value in found.headers if name in KEPT_HEADERS}
        if headers != expected.get("headers", {}):
            yield f"headers {headers} instead of {expected.get('headers', {})}"

    def _compare_body(self, expected: Any, found: Response) -> Iterator[str]:
        value = found.value
        if found.stream is not None:
            events = found.stream.take()
            value = events[0] if len(events) == 1 else events
        yield from self.bindings.match(normalized(expected), normalized(json.loads(json.dumps(value))), "body")

    def _read_watch(self, step: dict[str, Any]) -> Iterator[str]:
        watch = self.watches.get(step["watch"])
        if watch is None:
            yield "the watch is not open"
            return
        events = json.loads(json.dumps(watch.stream.take() if watch.stream is not None else [watch.value]))
        yield from self.bindings.match(
            [normalized(event) for event in step["events"]], [normalized(event) for event in events], "events"
        )

    def _wait_for(self, step: dict[str, Any]) -> Iterator[str]:
        waited, differences = 0.0, ["never asked"]
        while waited <= EVENTUALLY_S:
            kept = self.bindings.fork()
            response = self._send(step["request"])
            differences = [] if step.get("unstable") else list(self._compare(step["response"], response))
            if not differences:
                return
            self.bindings = kept
            pause = 0.1 if waited < 2 else 1.0
            self.cluster.clock.release(PATIENT)
            self.cluster.advance(pause)
            self.cluster.clock.hold(PATIENT)
            waited += pause
        yield from differences


def normalized(value: Any) -> Any:
    """managedFields sorted as in the recordings."""
    if isinstance(value, dict):
        found = {key: normalized(item) for key, item in value.items()}
        lines = found.get("managedFields")
        if isinstance(lines, list) and all(isinstance(line, dict) for line in lines):
            found["managedFields"] = sorted(
                lines,
                key=lambda line: (
                    line.get("manager", ""),
                    line.get("operation", ""),
                    line.get("subresource", ""),
                    line.get("apiVersion", ""),
                ),
            )
        return found
    if isinstance(value, list):
        return [normalized(item) for item in value]
    return value
