"""What is not imported before it is needed: every command and every test session pays for what is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nginx.yaml"
#: Of the libraries, those that only some uses need; `ssl` and `socket` stand for what speaks to real networks.
LIBRARIES = (
    "anyio",
    "asyncio",
    "celpy",
    "concurrent",
    "cryptography",
    "h2",
    "httpcore",
    "httpx",
    "hypothesis",
    "lark",
    "logging",
    "pydantic",
    "pytest",
    "rich",
    "scapy",
    "ssl",
    "starlette",
    "trustme",
    "typer",
    "urllib.request",
    "uvicorn",
)
#: Of the project's own packages, those that a cluster in iptables mode never comes to when nobody asks for more.
PARTS = (
    "fakecluster.api.rest.dispatch",
    "fakecluster.api.tables",
    "fakecluster.apps.load",
    "fakecluster.campaigns",
    "fakecluster.checks",
    "fakecluster.cli",
    "fakecluster.cluster.capturing",
    "fakecluster.cluster.faults",
    "fakecluster.cluster.reachability",
    "fakecluster.drawing",
    "fakecluster.explaining",
    "fakecluster.http",
    "fakecluster.load",
    "fakecluster.replay",
    "fakecluster.strategies",
)
#: The example's client has a command: with it, the commands are loaded.
COMMANDS = "fakecluster.cluster.commands"
CONNECTED = f"""
cluster = fakecluster.Cluster(nodes=2)
cluster.apply({str(EXAMPLE)!r})
cluster.pod("client").connect("svc/nginx-service:8081").request(b"hi")
"""


def loaded(names: tuple[str, ...], program: str = "") -> list[str]:
    """Which of these modules a new interpreter has after `import fakecluster` and a program."""
    code = f"import sys, fakecluster\n{program}\nprint(*sorted(set({names!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_importing_the_package_loads_no_library_that_only_some_uses_need() -> None:
    assert loaded((*LIBRARIES, *PARTS, COMMANDS)) == []


def test_a_cluster_in_iptables_mode_and_a_connection_load_no_part_that_they_do_not_use() -> None:
    assert loaded((*LIBRARIES, *PARTS, COMMANDS), CONNECTED) == [COMMANDS]


def test_campaign_is_a_public_name_that_is_imported_when_it_is_asked_for() -> None:
    assert loaded(("fakecluster.campaigns",), "assert 'campaign' in fakecluster.__all__") == []
    assert loaded(("fakecluster.campaigns",), "assert callable(fakecluster.campaign)") == ["fakecluster.campaigns"]
