"""A whole explanation, as text and as JSON, letter by letter: what people read and what programs parse.

When words change on purpose, write the files anew: `fakecluster explain ... --output text > golden/explanation.txt`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakecluster.cli.main import app

GOLDEN = Path(__file__).parent / "golden"
ARGUMENTS = [
    "explain",
    *("--iptables-save", str(GOLDEN / "node.rules"), "--ip-route", str(GOLDEN / "node.routes")),
    *("--packet", "tcp 10.244.0.9:40000 > 10.96.7.7:80 in cni0"),
]


@pytest.mark.parametrize(("output", "file"), [("text", "explanation.txt"), ("json", "explanation.json")])
def test_an_explanation_reads_as_it_did(output: str, file: str) -> None:
    run = CliRunner().invoke(app, [*ARGUMENTS, "--output", output], env={"NO_COLOR": "1", "COLUMNS": "160"})
    assert run.exit_code == 1  # the packet did not arrive
    assert run.stdout == (GOLDEN / file).read_text()
