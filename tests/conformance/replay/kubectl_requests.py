"""The requests of a kubectl recording, sent as they were recorded; their answers' status codes must be the recorded ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from fakecluster.http.direct import Direct
from replay.kubectl_cluster import NAMESPACE, JsonObject, Recorder, body_of, new_cluster
from replay.placeholders import SYMBOL, Bindings
from replay.result import Difference

COLLECTOR = "garbage-collector-controller"
OPEN = re.compile(r"\{\{[^}]*\}\}")
AGENT = "kubectl/v1.36.2 (linux/amd64) kubernetes/0000000"


class RequestReplay:
    """One file: its cluster, its namespace, the entity tags that kubectl's cache would hold."""

    def __init__(self, data: JsonObject) -> None:
        self.data = data
        self.bindings = Bindings()
        self.cluster = new_cluster(data, self.bindings)
        self.recorder = Recorder.of(self.cluster)
        self.direct = Direct(self.recorder.door)
        self.tags: dict[str, str] = {}
        self.continue_token = ""

    def run(self) -> Iterator[Difference]:
        for step in self.data["steps"]:
            requests = step["requests"] if step["op"] == "kubectl" else [{**step["request"], "status": step["status"]}]
            background = self.recorder.background(step) if step["op"] == "kubectl" else None
            for number, request in enumerate(requests):
                if background and self._needs(step, requests, number):
                    background(step["args"])
                following = requests[number + 1] if number + 1 < len(requests) else {}
                orphans = request["method"] == "DELETE" and following.get("path") == request["path"]
                if orphans and following["status"] == 200:
                    self.cluster.clock.hold(COLLECTOR)  # kubectl looked again before the collector had
                text = self._send(step, request)
                self.cluster.clock.release(COLLECTOR)
                if text:
                    yield Difference(f"step {step['id']}", f"{request['method']} {request['path']}: {text}")
            if background:
                background(step["args"])
            self.recorder.let_time_pass()

    def _needs(self, step: JsonObject, requests: list[JsonObject], number: int) -> bool:
        """Whether the recorder must have acted before this request: it found what the one before did not."""
        path = requests[number]["path"]
        earlier = [request["status"] for request in requests[:number] if request["path"] == path]
        return 404 in earlier and requests[number]["status"] == 200

    def _send(self, step: JsonObject, request: JsonObject) -> str:
        headers = dict(request.get("headers") or {"Accept": "application/json"})
        if "contentType" in request:
            headers["Content-Type"] = request["contentType"]
        headers["User-Agent"] = AGENT
        path = self._path(self.bindings.fill(request["path"]))
        query = self.bindings.fill(request.get("query") or {})
        query = {name: self._any(name, value) for name, value in query.items()}
        url = f"{path}?{urlencode(query, doseq=True)}"
        key = f"{headers.get('Accept')} {path}"
        if request["status"] == 304:  # the recorder did not keep If-None-Match; only a request with it is answered so
            headers["If-None-Match"] = self.tags.get(key, "")
        body = self._body(request, path)
        if body.endswith(b"not text>"):
            body = json.dumps(created_by(step["args"])).encode()
            headers["Content-Type"] = "application/json"
        headers |= dict(impersonation(step.get("args", [])))
        reply = self.direct.send(request["method"], url, headers, body)
        for name, content in reply.headers:
            if name == b"etag":
                self.tags[key] = content.decode()
        text = b"" if (request.get("query") or {}).get("watch") else reply.read()
        token = re.search(rb'"continue":"([^"]+)"', text)
        self.continue_token = token[1].decode() if token else self.continue_token
        if request["method"] != "GET":
            self.recorder.let_time_pass()
        if request["status"] in (reply.status, "{{any}}"):
            return ""
        return f"{reply.status} instead of {request['status']}: {text[:300]!r}"

    def _path(self, path: str) -> str:
        """Generated names were never shown: the one object whose name fits is meant."""
        if "{{" not in path:
            return path
        head, _, last = path.rpartition("/")
        pattern = re.compile(r"[a-z0-9]+".join(re.escape(part) for part in OPEN.split(last)))
        resource = head.rpartition("/")[2]
        names = [
            obj["metadata"]["name"]
            for key in self.cluster.server.store.resources()
            if key.partition(".")[0] == resource
            for obj in self.cluster.server.store.list(key, NAMESPACE)
        ]
        return next((f"{head}/{name}" for name in names if pattern.fullmatch(name)), path)

    def _any(self, name: str, value: Any) -> Any:
        """Values in a query that no recorded answer showed."""
        if not isinstance(value, str):
            return value
        if name == "continue":
            return self.continue_token
        known = {"timeout": "1", "any": "metadata.name=x"}
        return SYMBOL.sub(lambda match: known.get(match[1], "0"), value)

    def _body(self, request: JsonObject, path: str) -> bytes:
        """The body; the version that it names was never shown: the present one is meant."""
        body = body_of(request, self.bindings)
        if b"{{rv" not in body:
            return body
        found = json.loads(self.direct.send("GET", path, {}).read())
        return re.sub(rb"\{\{rv[:\d]*\}\}", found["metadata"]["resourceVersion"].encode(), body)


def impersonation(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if word.startswith("--as="):
            yield "Impersonate-User", word.removeprefix("--as=")


# --- bodies that the recording could not hold (protobuf with bytes that are no text): made of the command's own words


def created_by(words: list[str]) -> JsonObject:
    """What `kubectl create ...` sends."""
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    names = [word for word in words[1:] if not word.startswith("--")]
    return CREATED[names[0]](names, options)


def _deployment(names: list[str], options: dict[str, str]) -> JsonObject:
    labels = {"app": names[1]}
    container = {"name": re.split(r"[:@]", options["image"].rpartition("/")[2])[0], "image": options["image"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names[1], "labels": labels},
        "spec": {
            "replicas": int(options.get("replicas", "1")),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


SERVICE_TYPES = {
    "clusterip": "ClusterIP",
    "nodeport": "NodePort",
    "loadbalancer": "LoadBalancer",
    "externalname": "ExternalName",
}


def _service(names: list[str], options: dict[str, str]) -> JsonObject:
    labels = {"app": names[2]}
    spec: JsonObject = {"type": SERVICE_TYPES[names[1]], "selector": labels}
    if "tcp" in options:
        port, _, target = options["tcp"].partition(":")
        name = options["tcp"].replace(":", "-") if target else port
        spec["ports"] = [{"name": name, "port": int(port), "targetPort": int(target or port), "protocol": "TCP"}]
    if "node-port" in options:
        spec["ports"][0]["nodePort"] = int(options["node-port"])
    if "external-name" in options:
        spec["externalName"] = options["external-name"]
    if "clusterip" in options:
        spec["clusterIP"] = options["clusterip"]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": names[2], "labels": labels}, "spec": spec}


CREATED: dict[str, Callable[[list[str], dict[str, str]], JsonObject]] = {"deployment": _deployment, "service": _service}
