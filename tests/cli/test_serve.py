"""`fakecluster serve`, run as a process."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def test_serve_says_where_writes_a_kubeconfig_and_stops_when_interrupted(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "fakecluster", "serve", "examples/shop.yaml", "--kubeconfig", str(config)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a job in the background of a shell inherits that interrupts are ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    found = re.fullmatch(r"serving (https://127\.0\.0\.1:\d+) \(real time\); stop with Ctrl-C\n", first)
    assert found, (first, errors)
    assert second == f"export KUBECONFIG={config}\n"
    assert yaml.safe_load(config.read_text())["clusters"][0]["cluster"]["server"] == found[1]
    assert config.stat().st_mode & 0o777 == 0o600
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize("words", [["--clock", "fast"], ["--port", "70000"]])
def test_serve_refuses_what_means_nothing(words: list[str]) -> None:
    command = [sys.executable, "-m", "fakecluster", "serve", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
