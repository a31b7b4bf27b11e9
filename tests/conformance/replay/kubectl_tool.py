"""The commands of a kubectl recording, run by the installed kubectl against the served API; what it prints is compared.

The recordings are of kubectl 1.36. Where an older one prints or does something else, the expectation is put into its
words (`WORDINGS`) or the step is run but not compared (`differs`).
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from fakecluster.api.rest.users import MASTERS, User
from fakecluster.http.certificates import ca_pem
from fakecluster.http.direct import Direct
from fakecluster.http.kubeconfig import ADMIN_TOKEN, kubeconfig
from fakecluster.http.serving import Served
from replay.kubectl_cluster import NAMESPACE, JsonObject, Recorder, body_of, collapsed, new_cluster
from replay.placeholders import Bindings
from replay.result import Difference

#: How long the recorder let an endless command run.
INTERRUPT_S = 1.5
#: What happens in the background does so this long after kubectl has begun to watch; or after so long without a watch.
BACKGROUND_S, NO_WATCH_S = 0.3, 3.0
#: Nothing here takes longer; a command that does hangs.
TIMEOUT_S = 30.0
#: Placeholders whose values depend on the machine and the kubectl.
LOCAL = re.compile(r"\{\{(?:any line|server|home|tmp|n|klog|os|commit|version|timeout|gitVersion|gitCommit)\}\}")
#: (minor version that brought it, pattern of the newer words, the older words)
WORDINGS = (
    (34, re.compile(r"( (?:force )?deleted) from \S+ namespace"), r"\1"),
    (34, re.compile(r"^( *(?:Host )?Port: +\S+/\w+) \([\w-]+\)$", re.MULTILINE), r"\1"),
    (
        36,
        re.compile(r"^error: unable to upgrade connection: (pod .*)$", re.MULTILINE),
        r"Error from server (BadRequest): \1",
    ),
    (36, re.compile(r"^Warning: failed to migrate kubectl\.kubernetes\.io/last-applied.*\n?", re.MULTILINE), ""),
)
#: Lines that only older versions print: (minor version that dropped it, line)
DROPPED = (
    (34, re.compile(r"^ *creationTimestamp: null\n", re.MULTILINE)),
    (34, re.compile(r"^ *Kube-Proxy Version: *\n", re.MULTILINE)),
)
#: The schemas that were recorded hold no prose, which `kubectl explain` prints under this heading.
PROSE = re.compile(r"(?<=^DESCRIPTION:\n).*", re.MULTILINE | re.DOTALL)


class ToolReplay:
    """One file: a served cluster of its own, an empty home, the namespace as the context's default."""

    def __init__(self, data: JsonObject) -> None:
        self.data = data
        self.bindings = Bindings()
        self.cluster = new_cluster(data, self.bindings)
        self.recorder = Recorder.of(self.cluster)
        self.cluster.server.tokens[ADMIN_TOKEN] = User("admin", (MASTERS,), "1")

    def run(self) -> Iterator[Difference]:
        with tempfile.TemporaryDirectory() as home, Served(self.recorder.door) as served:
            self.served = served
            folder = Path(home)
            config = kubeconfig(served.url, ca_pem=ca_pem(), namespace=NAMESPACE)
            config["contexts"][0]["name"] = config["current-context"] = "x"
            (folder / "config").write_text(yaml.safe_dump(config))
            for step in self.data["steps"]:
                if step["op"] == "http":
                    self._http(step)
                    continue
                for text in self._command(step, folder):
                    yield Difference(f"kubectl, step {step['id']}", f"{' '.join(step['args'])}: {text}")

    def _http(self, step: JsonObject) -> None:
        request = step["request"]
        headers = {"Content-Type": request.get("contentType", "application/json")}
        path = self.bindings.fill(request["path"])
        Direct(self.recorder.door).send(request["method"], path, headers, body_of(request, self.bindings))
        self.recorder.let_time_pass()

    def _command(self, step: JsonObject, folder: Path) -> Iterator[str]:
        for name, content in (step.get("files") or {}).items():
            (folder / name).write_text(self.bindings.fill(content))
        words = [str(self.bindings.fill(word)) for word in step["args"]]
        background = self.recorder.background(step)
        timer = threading.Thread(target=self._act, args=(background, words)) if background else None
        if timer:
            timer.start()
        code, out, err = self._run(words, str(self.bindings.fill(step.get("stdin", ""))), step, folder)
        if timer:
            timer.join()
        self.recorder.let_time_pass()
        if differs(words):
            return
        if not step["requests"]:
            step = {**step, "unstable": ("stdout", "stderr")}  # nothing of the server is in it
        if isinstance(step["exit"], int) and code != step["exit"]:
            yield f"exit {code} instead of {step['exit']}: {out[-200:]!r} {err[-300:]!r}"
            return
        unstable = step.get("unstable") or ()
        for name, found in (("stdout", out), ("stderr", err)):
            if name not in unstable:
                yield from self.bindings.match(expected(step[name]), printed(found), name)

    def _act(self, background: Callable[[list[str]], None], words: list[str]) -> None:
        """Do what the recorder did in the background, once kubectl waits for it."""
        end = time.monotonic() + NO_WATCH_S
        while not self.served.app.streams and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(BACKGROUND_S)
        background(words)

    def _run(self, words: list[str], stdin: str, step: JsonObject, folder: Path) -> tuple[int, str, str]:
        path = os.environ.get("PATH", "")
        environment = {"HOME": str(folder), "KUBECONFIG": str(folder / "config"), "PATH": path}
        process = subprocess.Popen(
            # a job in the background of a shell inherits that interrupts are ignored
            ["env", "--default-signal=INT", "kubectl", *words],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = process.communicate(stdin, timeout=TIMEOUT_S if isinstance(step["exit"], int) else INTERRUPT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, out, err


@functools.cache
def minor() -> int:
    """The installed kubectl's minor version."""
    output = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    return int(re.sub(r"\D", "", json.loads(output.stdout)["clientVersion"]["gitVersion"].split(".")[1]))


def expected(text: str) -> str:
    """What this kubectl should print."""
    for since, newer, older in WORDINGS:
        if minor() < since:
            text = newer.sub(older, text)
    return collapsed(PROSE.sub("", LOCAL.sub("{{any}}", text)))


def printed(text: str) -> str:
    """What this kubectl printed, without what newer ones do not print."""
    for until, line in DROPPED:
        if minor() < until:
            text = line.sub("", text)
    return collapsed(PROSE.sub("", text))


def differs(words: list[str]) -> bool:
    """Whether this kubectl's output of these words is its own."""
    return words[0] == "version"
