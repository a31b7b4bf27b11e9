"""`fakecluster version`: what is installed, and what it models."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.console import Console

from fakecluster.cli.output import Answer, Output, OutputFile, give
from fakecluster.proxy.config import MODES

#: extra -> the distribution that it brings
EXTRAS = {"http": "uvicorn", "dask": "distributed", "plots": "matplotlib"}


def version_command(
    output: Output = "",
    file: OutputFile = None,
    short: Annotated[bool, typer.Option("--short", help="The number alone.")] = False,
) -> None:
    """Print the version, what it runs on, and which extras are there.

    Example: fakecluster version --output json
    """
    found = {
        "fakecluster": version("fakecluster"),
        "python": platform.python_version(),
        "scapy": version("scapy"),
        "proxy modes": ", ".join(MODES),
        "extras": ", ".join(f"{extra} ({_installed(name)})" for extra, name in EXTRAS.items()),
    }

    def show(console: Console) -> None:
        if short:
            console.print(found["fakecluster"])
            return
        for name, value in found.items():
            console.print(f"{name:<12} {value}")

    give(Answer("fakecluster version", show, lambda: found), output, file)


def _installed(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return "not installed"
