"""docs/fidelity.md says what the code does today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_fidelity_page_is_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_every_unsupported_word_is_known_to_the_page() -> None:
    page = (ROOT / "docs" / "fidelity.md").read_text()
    for words in ("kube-proxy modes", "iptables-restore", "endpointslice-controller", "## Simplified", "## Refused"):
        assert words in page
