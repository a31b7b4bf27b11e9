"""What both replays of kubectl recordings share: the recorder's cluster and what the recorder did in the background."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import attrs

from fakecluster.api.client import Client
from fakecluster.api.rest.users import MASTERS, User
from fakecluster.http.door import Door
from replay.api import FORK_CONFIG_MAP, Cluster
from replay.placeholders import Bindings

JsonObject = dict[str, Any]
#: Table headers and protobuf bodies show how long the recorder's namespaces were.
NAMESPACE = "gt-kc-abc"
READY: JsonObject = {
    "phase": "Running",
    "podIP": "10.244.3.60",
    "podIPs": [{"ip": "10.244.3.60"}],
    "conditions": [{"type": "Ready", "status": "True"}],
}
FAR_NODE = "recorder"


@attrs.define(eq=False)
class Recorder:
    """The recorder's own hands in the cluster."""

    door: Door
    client: Client

    @classmethod
    def of(cls, cluster: Cluster) -> Recorder:
        class Simulation:
            server, clock = cluster.server, cluster.clock

        return cls(Door(Simulation()), Client(cluster.server))

    def let_time_pass(self) -> None:
        """The controllers finish what a write has started."""
        self.door.advance(1.0)

    def mark_ready(self, words: list[str]) -> None:
        with self.door:
            for pod in self.client.list("pods", NAMESPACE):
                self.client.update_status("pods", {**pod, "status": {**pod["status"], **READY}})
        self.let_time_pass()

    def create_pod(self, words: list[str]) -> None:
        spec = {"nodeName": FAR_NODE, "containers": [{"name": "main", "image": "i"}]}
        name = pod_of(words)
        with self.door:
            if self.client.server.store.get("pods", NAMESPACE, name) is None:
                self.client.create("pods", {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
        self.let_time_pass()

    def finish_deletion(self, words: list[str]) -> None:
        with self.door:
            for pod in self.client.list("pods", NAMESPACE):
                if pod["metadata"].get("deletionTimestamp"):
                    self.client.delete("pods", pod["metadata"]["name"], NAMESPACE, grace_period_s=0)
        self.let_time_pass()

    def change_watched(self, row: list[str], words: list[str]) -> None:
        """What made the last row of a watched table appear."""
        name = row[0]
        with self.door:
            if "Terminating" in row:
                self.client.delete("pods", name, NAMESPACE)
            else:
                self.client.patch("pods", name, {"metadata": {"annotations": {"touched": "yes"}}}, NAMESPACE)
        self.let_time_pass()

    def background(self, step: JsonObject) -> Callable[[list[str]], None] | None:
        """What the recorder did while this step's kubectl was running."""
        note, words = step.get("note", ""), step["args"]
        if "--for=create" in words:
            return self.create_pod
        if "finishes the deletion" in note or (words[0] == "wait" and "--for=delete" in words):
            return self.finish_deletion
        if "-w" in words or "--watch-only" in words:
            return functools.partial(self.change_watched, step["stdout"].splitlines()[-1].split())
        return self.mark_ready if "ready after" in note.lower() else None


def pod_of(words: list[str]) -> str:
    return next(word.partition("/")[2] for word in words if word.startswith("pod/"))


def new_cluster(data: JsonObject, bindings: Bindings) -> Cluster:
    """The recorder's cluster, with the file's namespace."""
    cluster = Cluster(data["cluster"])
    cluster.server.users["admin"] = User("admin", (MASTERS,), "1")
    bindings.bind("{{ns}}", NAMESPACE)
    client = Client(cluster.server, agent="gt-setup")
    client.create("namespaces", {"metadata": {"name": NAMESPACE}})
    client.create("configmaps", FORK_CONFIG_MAP, NAMESPACE)
    cluster.advance(1.0)
    return cluster


def body_of(request: JsonObject, bindings: Bindings) -> bytes:
    if "rawBody" in request:
        return str(bindings.fill(request["rawBody"])).encode()
    return json.dumps(bindings.fill(request["body"])).encode() if "body" in request else b""


def collapsed(text: str) -> str:
    """Runs of blanks as one: column widths depend on the values behind placeholders."""
    return "\n".join(re.sub(r"[ \t]+", " ", line).rstrip() for line in text.splitlines())
