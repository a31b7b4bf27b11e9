"""The real cluster, through the installed kubectl: it knows every way of logging in that a kubeconfig can name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs

JsonObject = dict[str, Any]
#: How long one command may take, besides the waiting that it was asked for.
TIMEOUT_S = 60


class LiveError(Exception):
    """A command failed, in kubectl's words."""


@attrs.frozen
class Kubectl:
    """kubectl with a kubeconfig and a namespace, which stands for `default` of the tests."""

    kubeconfig: Path
    namespace: str = "default"

    def run(self, *words: str, stdin: bytes = b"", timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[bytes]:
        """Run a command. Raises LiveError when there is no kubectl, or when it hangs."""
        program = shutil.which("kubectl")
        if program is None:
            raise LiveError("--fakecluster-live needs kubectl, which is not installed")
        command = [program, "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *words]
        try:
            return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise LiveError(f"kubectl {' '.join(words)}: no answer in {timeout_s:g} s") from None

    def ask(self, *words: str, stdin: bytes = b"", timeout_s: float = TIMEOUT_S) -> bytes:
        """What a command prints. Raises LiveError when it fails."""
        done = self.run(*words, stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            raise LiveError(f"kubectl {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ask(*words, "-o", "json"))


@attrs.frozen
class LiveApi:
    """The reading part of `cluster.api`; a namespace `default` is the test's own."""

    kubectl: Kubectl

    def get(self, resource: str, name: str, namespace: str = "") -> JsonObject:
        """One object. Raises LookupError when it does not exist."""
        try:
            found: JsonObject = self._in(namespace).json("get", resource, name)
        except LiveError as problem:
            raise LookupError(str(problem)) from None
        return found

    def list(self, resource: str, namespace: str = "", *, label_selector: str = "") -> list[JsonObject]:
        """The objects of a kind, of all namespaces without one."""
        words = ["get", resource] + (["--selector", label_selector] if label_selector else [])
        if not namespace:
            words.append("--all-namespaces")
        items: list[JsonObject] = self._in(namespace).json(*words)["items"]
        return items

    def _in(self, namespace: str) -> Kubectl:
        return self.kubectl if namespace in ("", "default") else attrs.evolve(self.kubectl, namespace=namespace)
